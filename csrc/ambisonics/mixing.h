// What the host and device kernels of mix share: sample types, and the blocks of rows into which they divide the
// matrix.
#pragma once
#include <type_traits>

#include "ambisonics/ambisonics.h"
#include "ambisonics/harmonics.h"
#include "core/half.h"

namespace avsa::ambisonics {

// The type of gains and sums for samples of type S.
template <class S>
using Gain = std::conditional_t<std::is_same_v<S, double>, double, float>;

// Calls run(S()) with the sample type S of the task.
template <class Run>
inline auto with_sample_type(Dtype dtype, const Run& run) {
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

// Consecutive rows of the matrix that mix the same consecutive channels.
struct RowBlock {
  std::int64_t row;
  int rows;
  std::int64_t channel, channels;
};

// The blocks of a task's matrix, of at most kMaxRows rows each.
template <int kMaxRows>
struct RowBlocks {
  std::int64_t C, R;
  bool by_order;
  int orders = 0, per_view = 0;  // with by_order

  AVSA_HD explicit RowBlocks(const Mix& task) : C(task.C), R(task.R), by_order(task.by_order) {
    if (!by_order) return;
    orders = order_of(int(C) - 1) + 1;
    for (int n = 0; n < orders; ++n) per_view += per_order(n);
  }

  AVSA_HD static int per_order(int n) { return (2 * n + kMaxRows) / kMaxRows; }  // ceil((2 n + 1) / kMaxRows)
  AVSA_HD std::int64_t count() const { return by_order ? R / C * per_view : (R + kMaxRows - 1) / kMaxRows; }

  AVSA_HD RowBlock operator[](std::int64_t i) const {
    if (!by_order) return {i * kMaxRows, int(R - i * kMaxRows < kMaxRows ? R - i * kMaxRows : kMaxRows), 0, C};
    const std::int64_t view = i / per_view;
    int block = int(i % per_view), n = 0;
    while (block >= per_order(n)) block -= per_order(n++);
    const int size = 2 * n + 1, rows_left = size - block * kMaxRows;
    return {view * C + n * n + block * kMaxRows, rows_left < kMaxRows ? rows_left : kMaxRows, n * n, size};
  }
};

}  // namespace avsa::ambisonics
