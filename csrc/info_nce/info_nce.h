// InfoNCE: the contrastive loss over paired rows of embeddings. The matrix of their cosines is never stored.
//
// Query row i and key row i are a pair; are_negatives says which other rows row i is compared with. With cosines c and
// scale s = 1 / temperature, row i's loss is softplus(z), z = log sum_{negatives j} exp(s (c_ij - c_ii)). The pair
// itself stays outside the sum, so that a loss of 1e-30 keeps its digits. Backward, the weight of negative j in row i's
// loss is p_ij = exp(s (c_ij - c_ii) - loss_i), and that of the pair is -(1 - p_ii) = expm1(-loss_i).
//
// avsa_fast/ops calls, by way of the bindings: prepare (norms and cosines of pairs), scan for every block (sums of
// exponentials, from which it computes the losses), gradient for every block, and project (gradients of rows from those
// of unit rows). A block is a range of query rows against a range of key rows: all of both in one process; a rank's
// queries against the keys of one rank or of all ranks in several. Blocks add to the sums and gradients of earlier
// ones.
#pragma once
#include <cstdint>
#include <limits>

#include "core/dtype.h"
#include "core/vec3.h"

namespace avsa::info_nce {

// Arithmetic of the matrix products, with the numbers of avsa_fast/ops.
enum class Precision : int { fp32 = 0, tf32 = 1, tf32x3 = 2, bf16 = 3 };

// Columns of statistics: 1 / L2 norm (0 for a row of zeros or of subnormal float64), the cosine with the partner row,
// and the row's loss (0 for keys if only queries have losses).
enum Statistic : int { kInverseNorm, kPairCosine, kLoss, kStatistics };

struct RowRange {
  const void* data;          // [count, D]
  const double* statistics;  // [count, kStatistics]
  std::int64_t count;
  std::int64_t first;  // index of the first row among all rows of its side
};

struct InfoNceBlock {
  Dtype dtype;  // float32 or float64, of both sides' rows
  Precision precision;
  RowRange query, key;
  std::int64_t D, K;    // row r is crop r % K of clip r / K
  const double* scale;  // [] 1 / temperature
  bool symmetric;       // keys have losses too
  bool wgmma;           // for bf16 on Hopper: by wgmma, not by mma.sync
  void* workspace;      // as many bytes as info_nce_workspace says
};

struct InfoNceHasWgmma {
  bool* answer;  // [] out, in host memory: whether the device has the kernels on wgmma
};

struct InfoNceWorkspace {
  InfoNceBlock block;
  std::int64_t* bytes;  // [] out, in host memory: size of the block's workspace
};

struct InfoNcePrepare {
  Dtype dtype;
  const void* query;   // [N, D]
  const void* key;     // [N, D]
  double* statistics;  // [2, N, kStatistics] out, all but the losses
  std::int64_t N, D;
};

// Adds to each row's (maximum, sum): sum of exp(s c - maximum) over the row's negatives. The maximum is s throughout if
// has_common_maximum(s), otherwise the largest s c so far.
struct InfoNceScan {
  InfoNceBlock block;
  double* query_sums;  // [queries, 2] in, out
  double* key_sums;    // [keys, 2] in, out; only if symmetric
};

// Adds to each row's sum over the negatives of weight times unit row, in both directions: the gradient of
// (sum of losses) / s with respect to the unit rows, without the terms of the pairs.
struct InfoNceGradient {
  InfoNceBlock block;
  void* query_grad;  // [queries, D] in, out
  void* key_grad;    // [keys, D] in, out
};

// Turns one side's accumulated gradient into that of its rows, in place, with the terms of the pairs.
struct InfoNceProject {
  Dtype dtype;
  RowRange own, partner;  // N rows each
  std::int64_t D;
  const double* factor;  // [] of the gradient
  void* grad;            // [N, D] in, out
  double* radial;        // [N] out: <unit row, its gradient without factor>
};

void info_nce_has_wgmma_cpu(const InfoNceHasWgmma& task);
void info_nce_prepare_cpu(const InfoNcePrepare& task);
void info_nce_workspace_cpu(const InfoNceWorkspace& task);
void info_nce_scan_cpu(const InfoNceScan& task);
void info_nce_gradient_cpu(const InfoNceGradient& task);
void info_nce_project_cpu(const InfoNceProject& task);
int info_nce_has_wgmma_cuda(const InfoNceHasWgmma& task, void* stream);  // each returns a cudaError_t
int info_nce_prepare_cuda(const InfoNcePrepare& task, void* stream);
int info_nce_workspace_cuda(const InfoNceWorkspace& task, void* stream);
int info_nce_scan_cuda(const InfoNceScan& task, void* stream);
int info_nce_gradient_cuda(const InfoNceGradient& task, void* stream);
int info_nce_project_cuda(const InfoNceProject& task, void* stream);

// Definitions that host and device kernels share. Device code takes numeric limits as constants, not as calls.
template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

// Whether a row's sum of squares is as exact as its elements: neither overflowed nor made of subnormal numbers. Only
// sums of float64 rows need not be, and those of rows of zeros and of NaN.
AVSA_HD bool is_exact_square(double square) { return square > 1e-280 && square < kInfinity<double>; }
// A row whose largest element is below this has no finite inverse norm: it counts as a row of zeros.
constexpr double kMinPeak = std::numeric_limits<double>::min();

AVSA_HD std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
AVSA_HD std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Below this scale s, exp(s c - s) >= exp(-2s) is a normal float for every cosine c: s then serves as the maximum of
// all rows of both sides, so that one exponential serves both directions.
constexpr double kMaxCommonScale = 40;  // exclusive
AVSA_HD bool has_common_maximum(double scale) { return scale < kMaxCommonScale; }

// exp(s c - exponent) is the weight of a negative with cosine c in the row's loss.
AVSA_HD double weight_exponent(const RowRange& rows, std::int64_t row, double scale) {
  const double* statistics = rows.statistics + row * kStatistics;
  return scale * statistics[kPairCosine] + statistics[kLoss];
}

// Clip and crop of a row among all rows.
struct Label {
  int clip, crop;

  Label() = default;
  AVSA_HD Label(std::int64_t row, std::int64_t K) : clip(int(row / K)), crop(int(row % K)) {}
};

// Negatives have either the clip or the crop in common: other crops of the clip, and the same crop of other clips. With
// one crop per clip these are all other rows.
AVSA_HD bool are_negatives(const Label& a, const Label& b) { return (a.clip == b.clip) != (a.crop == b.crop); }

}  // namespace avsa::info_nce
