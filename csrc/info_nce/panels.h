// What host and device share: how normalised rows lie in memory, which rows compete, and the loss from its sum.
//
// Row i's loss is softplus(z), z = log sum_{j != i} exp(s (c_ij - c_ii)) over its candidates j, with cosines c and
// s = 1 / temperature. Everything is relative to the pair's own cosine, so a loss of 1e-30 keeps its digits. Backward:
// p_ij = exp(s (c_ij - c_ii) - loss_i), and the pair's own term is -(1 - p_ii) = expm1(-loss_i).
#pragma once
#include <cmath>
#include <limits>

#include "core/vector.h"
#include "info_nce/info_nce.h"

namespace avsa {

constexpr int kLanes = 16;  // rows of a panel: [depth, 16], so that a dimension of 16 rows is contiguous
constexpr int kDepth = 4;   // a panel's depth is D, filled up with zeros to a multiple of this
constexpr int kPanels = 4;  // panels of a block: blocks of rows meet blocks of rows
constexpr int kBlock = kPanels * kLanes;

// Device code takes numeric limits as constants, not as calls.
template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

AVSA_HD std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct Statistics {
  double* inverse_norm;  // [N], 0 for a row of zeros
  double* cosine;        // [N], of the pair
  double* loss;          // [N]

  Statistics(double* base, std::int64_t N) : inverse_norm(base), cosine(base + N), loss(base + 2 * N) {}
};

// One side's rows ("own") against all rows of the other side. Each side may hold losses: it chooses among the other.
template <class T>
struct Pass {
  const T* own;    // [panels, depth, 16]
  const T* other;  // [panels, depth, 16]
  Statistics own_statistics, other_statistics;
  bool own_chooses, other_chooses;
  const double* temperature;
  std::int64_t N, depth, K;

  AVSA_HD std::int64_t panels() const { return ceil_div(N, kLanes); }
  AVSA_HD std::int64_t blocks() const { return ceil_div(N, kBlock); }

  // Not a number where the temperature is none.
  AVSA_HD double scale() const {
    const double t = *temperature;
    return t > 0 && t < kInfinity<double> ? 1 / t : kNaN;
  }

  // Minus the share of a pair's competitors, for each side that chooses: 1 - p_ii = -expm1(-loss_i).
  AVSA_HD double pair_weight(std::int64_t i) const {
    using std::expm1;
    return (own_chooses ? expm1(-own_statistics.loss[i]) : 0) + (other_chooses ? expm1(-other_statistics.loss[i]) : 0);
  }

  // Weight of each row's loss in the mean.
  AVSA_HD double share() const { return 1 / (double(N) * (own_chooses && other_chooses ? 2 : 1)); }
};

// Passes of query (side 0) or key (side 1) over units [2, panels, depth, 16] and statistics [2, 3, N] of a task.
template <class T, class Task>
Pass<T> make_pass(const Task& task, int side) {
  const std::int64_t depth = ceil_div(task.D, kDepth) * kDepth;
  const std::int64_t size = ceil_div(task.N, kLanes) * kLanes * depth;
  const T* units = static_cast<const T*>(task.units);
  double* statistics = const_cast<double*>(task.statistics);
  return {units + side * size,
          units + (1 - side) * size,
          Statistics(statistics + side * 3 * task.N, task.N),
          Statistics(statistics + (1 - side) * 3 * task.N, task.N),
          side == 0 || task.symmetric,
          side == 1 || task.symmetric,
          task.temperature,
          task.N,
          depth,
          task.K};
}

// The clip and the crop number of a row. Rows compete that share one of the two; both, and it is the row itself.
struct Label {
  int row, clip, crop;

  AVSA_HD Label(std::int64_t row, std::int64_t K) : row(int(row)), clip(int(row) / int(K)), crop(int(row) % int(K)) {}
};

AVSA_HD bool compete(const Label& a, const Label& b) { return (a.clip == b.clip) != (a.crop == b.crop); }

AVSA_HD double softplus(double z) {
  using std::exp, std::log1p;
  return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
}

}  // namespace avsa
