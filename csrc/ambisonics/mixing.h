// What the host and the device kernel share: the element types of sound, and which channels a row of the matrix mixes.
#pragma once
#include <type_traits>

#include "ambisonics/ambisonics.h"
#include "ambisonics/harmonics.h"
#include "core/half.h"

namespace avsa::ambisonics {

// What samples of type S are mixed in.
template <class S>
using Number = std::conditional_t<std::is_same_v<S, double>, double, float>;

// Calls run(S()) for the task's type of samples.
template <class Run>
inline auto with_samples(Dtype dtype, const Run& run) {
  switch (dtype) {
    case Dtype::float64:
      return run(double());
    case Dtype::float16:
      return run(Float16());
    case Dtype::bfloat16:
      return run(Bfloat16());
    default:
      return run(float());
  }
}

// Some rows of the matrix that mix the same run of channels.
struct Slice {
  std::int64_t row;
  int rows;
  std::int64_t column, columns;
};

// The slices of a matrix, of at most kRows rows each.
template <int kRows>
struct Slices {
  std::int64_t C, R;
  bool by_order;
  int orders = 0, in_a_view = 0;

  explicit Slices(const Mix& t) : C(t.C), R(t.R), by_order(t.by_order) {
    if (!by_order) return;
    orders = order_of(int(C) - 1) + 1;
    for (int n = 0; n < orders; ++n) in_a_view += of_order(n);
  }

  AVSA_HD static int of_order(int n) { return (2 * n + kRows) / kRows; }
  AVSA_HD std::int64_t count() const { return by_order ? R / C * in_a_view : (R + kRows - 1) / kRows; }

  AVSA_HD Slice operator[](std::int64_t i) const {
    if (!by_order) return {i * kRows, int(R - i * kRows < kRows ? R - i * kRows : kRows), 0, C};
    const std::int64_t view = i / in_a_view;
    int rest = int(i % in_a_view), n = 0;
    while (rest >= of_order(n)) rest -= of_order(n++);
    const int size = 2 * n + 1, left = size - rest * kRows;
    return {view * C + n * n + rest * kRows, left < kRows ? left : kRows, n * n, size};
  }
};

}  // namespace avsa::ambisonics
