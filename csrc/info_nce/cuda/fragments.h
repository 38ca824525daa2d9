// What the lanes of a warp do with cosines in registers, as a matrix product leaves them (D in operands.h): 16 own rows
// by kColumns groups of 8 other rows. Lane l, with g = l / 4 and t = l % 4, has own rows g (numbers 0, 1) and g + 8
// (2, 3) at columns 8c + 2t and 8c + 2t + 1. The kernels on mma.sync and on wgmma use it.
#pragma once
#include "info_nce/cuda/packed.h"

namespace avsa::info_nce {

constexpr int kGradientDims = 128;  // dimensions of the gradient that a thread block accumulates

template <int kColumns>
using Fragment = float[kColumns][4];

// Labels and weights of a tile's other rows.
template <int kOtherRows>
struct OtherRows {
  Label label[kOtherRows];
  RowWeight weight[kOtherRows];

  // Loads those of row tile + row; called by one thread per row.
  __device__ void load(const PackedPass& pass, std::int64_t tile, int row) {
    label[row] = Label(pass.other.first + tile + row, pass.K);
    weight[row] = pass.other_weights[tile + row];
  }
};

// The two own rows of a lane.
struct OwnRows {
  std::int64_t row;  // the first; the second is 8 further
  Label label[2];

  __device__ OwnRows(const PackedPass& pass, std::int64_t first)
      : row(first), label{Label(pass.own.first + first, pass.K), Label(pass.own.first + first + 8, pass.K)} {}
};

// Whether all of `own_count` own rows exist and are negatives of all of `other_count` other rows.
__device__ inline bool all_negatives(const PackedPass& pass, std::int64_t own, int own_count, std::int64_t other,
                                     int other_count) {
  const std::int64_t a = pass.own.first + own, b = pass.other.first + other;
  return pass.K == 1 && own + own_count <= pass.own.count && other + other_count <= pass.other.count &&
         (a + own_count <= b || b + other_count <= a);
}

// Sets cosines of rows that are not negatives, or are beyond the last row, to -infinity.
template <int kColumns, int kOtherRows>
__device__ void mask(const PackedPass& pass, const OwnRows& own, std::int64_t tile, const OtherRows<kOtherRows>& others,
                     Fragment<kColumns>& x) {
  const int t = int(threadIdx.x % 4);
  AVSA_UNROLL
  for (int e = 0; e < 4 * kColumns; ++e) {
    const int c = e / 4, n = e % 4, j = c * 8 + t * 2 + n % 2;
    const bool inside = own.row + n / 2 * 8 < pass.own.count && tile + j < pass.other.count;
    if (!inside || !are_negatives(own.label[n / 2], others.label[j])) x[c][n] = -kInfinity<float>;
  }
}

// Running maximum and scaled sum of exponentials for this lane's two rows and its columns: sum of
// exp(scale * cosine - maximum), maximum in units of Exponential<A>.
struct RowSums {
  float maximum[2];
  double sum[2] = {};

  // Turns cosines into those exponentials, and adds them. Raises the maximum first, unless it is common to all rows.
  template <class A, bool common, int kColumns>
  __device__ void add(Fragment<kColumns>& x, float unit_scale) {
    AVSA_UNROLL
    for (int half = 0; half < 2; ++half) {
      float larger = maximum[half], part = 0;
      if constexpr (!common) {
        AVSA_UNROLL
        for (int e = 0; e < 2 * kColumns; ++e) {
          const float y = unit_scale * x[e / 2][2 * half + e % 2];
          larger = y > larger ? y : larger;
        }
      }
      AVSA_UNROLL
      for (int e = 0; e < 2 * kColumns; ++e) {
        float& y = x[e / 2][2 * half + e % 2];
        y = Exponential<A>::of(unit_scale * y - larger);
        part += y;
      }
      if constexpr (!common) sum[half] *= Exponential<A>::of(maximum[half] - larger);
      sum[half] += part;
      maximum[half] = larger;
    }
  }

  // Merges the four lanes of each row, one of which adds the result to the row's (maximum, sum) in sums [own rows, 2].
  template <class A>
  __device__ void finish(const PackedPass& pass, std::int64_t row, double* sums) {
    for (int half = 0; half < 2; ++half) {
      for (int lanes = 1; lanes < 4; lanes *= 2) {
        const float other_maximum = __shfl_xor_sync(~0u, maximum[half], lanes);
        const double other_sum = __shfl_xor_sync(~0u, sum[half], lanes);
        const float larger = other_maximum > maximum[half] ? other_maximum : maximum[half];
        const bool lower = (threadIdx.x & unsigned(lanes)) == 0;  // adds in the order of lanes: both get the same bits
        const double mine = sum[half] * Exponential<A>::of(maximum[half] - larger);
        const double theirs = other_sum * Exponential<A>::of(other_maximum - larger);
        sum[half] = lower ? mine + theirs : theirs + mine;
        maximum[half] = larger;
      }
      if (threadIdx.x % 4 != 0 || row + 8 * half >= pass.own.count) continue;
      double* of_row = sums + 2 * (row + 8 * half);
      const double mine = maximum[half] / Exponential<A>::kUnit;
      const double larger = has_common_maximum(*pass.scale) || mine < of_row[0] ? of_row[0] : mine;
      of_row[1] = of_row[1] * std::exp(of_row[0] - larger) + sum[half] * std::exp(mine - larger);
      of_row[0] = larger;
    }
  }
};

// Sums numbers over the lanes of a warp that have the same t: column[2c + n] is a lane's sum of column 8c + 2t + n over
// its rows, and sums[8 * kColumns] gets those of the warp. Each step halves the numbers that a lane has, down to
// kColumns / 4, or one, which several lanes then have.
template <int kColumns>
__device__ void sum_columns(float (&column)[2 * kColumns], float* sums) {
  int first = 0, count = 2 * kColumns;
  AVSA_UNROLL
  for (int lanes = kWarp / 2; lanes >= 4; lanes /= 2) {  // a lane keeps one half and sends the other
    if (count == 1) {
      column[0] += __shfl_xor_sync(~0u, column[0], lanes);
      continue;
    }
    const bool upper = (threadIdx.x & unsigned(lanes)) != 0;
    count /= 2;
    AVSA_UNROLL
    for (int i = 0; i < kColumns; ++i) {
      if (i >= count) break;
      const float mine = upper ? column[i + count] : column[i], sent = upper ? column[i] : column[i + count];
      column[i] = mine + __shfl_xor_sync(~0u, sent, lanes);
    }
    first += upper ? count : 0;
  }
  constexpr int kLeft = kColumns < 4 ? 1 : kColumns / 4;
  AVSA_UNROLL
  for (int i = 0; i < kLeft; ++i) {
    const int index = first + i;
    sums[index / 2 * 8 + int(threadIdx.x % 4) * 2 + index % 2] = column[i];
  }
}

// Turns cosines into the sum of both directions' weights, with one exponential if the maximum is common. own: weights
// of the lane's two rows; others: of the columns.
template <class A, bool common, int kColumns, int kOtherRows>
__device__ void cosines_to_weights(const RowWeight (&own)[2], const RowWeight (&others)[kOtherRows], float unit_scale,
                                   Fragment<kColumns>& x) {
  const int t = int(threadIdx.x % 4);
  AVSA_UNROLL
  for (int e = 0; e < 4 * kColumns; ++e) {
    const int c = e / 4, n = e % 4;
    const RowWeight mine = own[n / 2], other = others[c * 8 + t * 2 + n % 2];
    const float scaled = unit_scale * x[c][n], first = Exponential<A>::of(scaled - mine.offset);
    if constexpr (common)
      x[c][n] = first * (mine.factor + other.factor);
    else
      x[c][n] = first * mine.factor + Exponential<A>::of(scaled - other.offset) * other.factor;
  }
}

// Adds a lane's two rows of a gradient's dimensions, from `first` on, to grad [own rows, D].
template <int kColumns>
__device__ void add_rows(const Fragment<kColumns>& sum, std::int64_t row, int first, const PackedPass& pass,
                         float* grad) {
  const int begin = first + int(threadIdx.x % 4) * 2, D = int(pass.D);
  AVSA_UNROLL
  for (int half = 0; half < 2; ++half) {
    if (row + 8 * half >= pass.own.count) break;
    float* to = grad + (row + 8 * half) * D + begin;
    AVSA_UNROLL
    for (int e = 0; e < 2 * kColumns; ++e) {
      const int d = e / 2 * 8 + e % 2;
      if (begin + d < D) to[d] += sum[e / 2][2 * half + e % 2];
    }
  }
}

// Adds the sums of columns of `blocks` thread blocks to sums [other rows, 2]. One thread per other row.
template <class A>
__global__ void add_column_sums_kernel(PackedPass pass, int blocks, double* sums) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= pass.other.count || !has_common_maximum(*pass.scale)) return;
  const std::int64_t stride = round_up(pass.other.count, kPackedRows);
  double sum = 0;
  for (int b = 0; b < blocks; ++b) sum += pass.columns[b * stride + row];
  const double maximum = float(*pass.scale * Exponential<A>::kUnit) / Exponential<A>::kUnit;
  sums[2 * row + 1] += sum * std::exp(maximum - sums[2 * row]);
}

template <class A>
int add_column_sums(const PackedPass& pass, int blocks, double* sums, void* stream) {
  constexpr int kThreads = 128;
  const dim3 grid(unsigned(ceil_div(pass.other.count, kThreads)));
  return launch(add_column_sums_kernel<A>, grid, dim3(kThreads), 0, stream, pass, blocks, sums);
}

// How a kernel of the matrix units is launched: own rows and threads per thread block, bytes of shared memory.
struct LaunchShape {
  int own_rows, threads;
  std::size_t shared;
};

// Packs a block, and scans it with a kernel that may sum columns.
template <class A>
int launch_scan(void (*kernel)(PackedPass, bool, double*), const LaunchShape& shape, const InfoNceScan& task,
                void* stream) {
  if (int error = pack<A>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    if (keys && !task.block.symmetric) break;
    const PackedPass pass(task.block, keys, A::kWord);
    const auto blocks = unsigned(std::min<std::int64_t>(ceil_div(pass.own.count, shape.own_rows), kMaxScanBlocks));
    double* sums = keys ? task.key_sums : task.query_sums;
    if (int error = launch(kernel, dim3(blocks), dim3(unsigned(shape.threads)), shape.shared, stream, pass, keys, sums))
      return error;
    if (keys || !task.block.symmetric) continue;
    if (int error = add_column_sums<A>(pass, int(blocks), task.key_sums, stream)) return error;
  }
  return 0;
}

// Packs a block, and adds its gradients.
template <class A>
int launch_gradient(void (*kernel)(PackedPass, float*), const LaunchShape& shape, const InfoNceGradient& task,
                    void* stream) {
  if (int error = pack<A>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    const PackedPass pass(task.block, keys, A::kWord);
    const dim3 grid(unsigned(ceil_div(pass.own.count, shape.own_rows)), unsigned(ceil_div(pass.D, kGradientDims)));
    auto* grad = static_cast<float*>(keys ? task.key_grad : task.query_grad);
    if (int error = launch(kernel, grid, dim3(unsigned(shape.threads)), shape.shared, stream, pass, grad)) return error;
  }
  return 0;
}

}  // namespace avsa::info_nce
