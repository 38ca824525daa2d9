// What host and device share: which rows compete, and when one exponential serves both sides.
#pragma once
#include <cmath>
#include <limits>

#include "core/vec3.h"
#include "info_nce/info_nce.h"

namespace avsa::info_nce {

// Device code takes numeric limits as constants, not as calls.
template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

AVSA_HD std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
AVSA_HD std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// exp(s c - s) >= exp(-2s) is then a normal float, whatever the cosine c. As in avsa_fast/ops/info_nce.py.
AVSA_HD bool shares_exponential(double scale) { return 2 * scale < 80; }

// The weight of a row in another's loss is factor * exp(s c - below) of the other's.
template <class T>
struct Weight {
  T below, factor;

  AVSA_HD Weight(const Rows& rows, std::int64_t row, double scale) {
    using std::exp;
    const double* statistics = rows.statistics + row * kStatistics;
    const double exponent = scale * statistics[kCosine] + statistics[kLoss];
    below = T(shares_exponential(scale) ? scale : exponent);
    factor =
        T(std::exp(below - exponent));  // what rounding took from the exponent too: weights must sum to their share
  }
};

// The clip and the crop number of a row. Rows compete that share one of the two; both, and it is the row itself.
struct Label {
  int clip, crop;

  Label() = default;
  AVSA_HD Label(std::int64_t row, std::int64_t K) : clip(int(row / K)), crop(int(row % K)) {}
};

AVSA_HD bool compete(const Label& a, const Label& b) { return (a.clip == b.clip) != (a.crop == b.crop); }

}  // namespace avsa::info_nce
