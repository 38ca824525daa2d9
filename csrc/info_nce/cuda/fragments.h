// What lanes do with cosines in registers, as a matrix product leaves them: 16 rows of a warp by 8 kColumns columns, of
// which lane l, with g = l / 4 and t = l % 4, has rows g (0, 1) and g + 8 (2, 3) at columns 8c + 2t and 8c + 2t + 1.
#pragma once
#include "core/vec3.h"
#include "info_nce/cuda/packed.h"

namespace avsa::info_nce {

constexpr int kWarp = 32;

template <int kColumns>
using Fragment = float[kColumns][4];

// A tile's other rows, beside what a kernel keeps of them.
template <int kOther>
struct Others {
  Label label[kOther];
  RowWeight weight[kOther];

  // Thread `row` sets row tile + row.
  __device__ void set(const PackedPass& pass, std::int64_t tile, int row) {
    label[row] = Label(pass.other.first + tile + row, pass.K);
    weight[row] = pass.other_weights[tile + row];
  }
};

// The two rows of a lane.
struct OwnRows {
  std::int64_t row;  // the first; the second is 8 further
  Label label[2];

  __device__ OwnRows(const PackedPass& pass, std::int64_t first)
      : row(first), label{Label(pass.own.first + first, pass.K), Label(pass.own.first + first + 8, pass.K)} {}
};

// Whether all of `own_count` own rows compete with all of `other_count` other ones.
__device__ inline bool all_compete(const PackedPass& pass, std::int64_t own, int own_count, std::int64_t other,
                                   int other_count) {
  const std::int64_t a = pass.own.first + own, b = pass.other.first + other;
  return pass.K == 1 && own + own_count <= pass.own.count && other + other_count <= pass.other.count &&
         (a + own_count <= b || b + other_count <= a);
}

// -infinity where rows do not compete, or are beyond the last.
template <int kColumns, int kOther>
__device__ void mask(const PackedPass& pass, const OwnRows& own, std::int64_t tile, const Others<kOther>& others,
                     Fragment<kColumns>& x) {
  const int t = int(threadIdx.x % 4);
  AVSA_UNROLL
  for (int e = 0; e < 4 * kColumns; ++e) {
    const int c = e / 4, n = e % 4, j = c * 8 + t * 2 + n % 2;
    const bool inside = own.row + n / 2 * 8 < pass.own.count && tile + j < pass.other.count;
    if (!inside || !compete(own.label[n / 2], others.label[j])) x[c][n] = -kInfinity<float>;
  }
}

// Of a lane's two rows, exp(scale * cosine) as sum * exp(top), top in units.
struct RowSums {
  float top[2];
  double sum[2] = {};

  // Cosines times the scale become exponentials below the top; which rises to them where it is not shared.
  template <class A, int kColumns>
  __device__ void add(Fragment<kColumns>& x, float slope, bool shared) {
    AVSA_UNROLL
    for (int half = 0; half < 2; ++half) {
      float highest = top[half], part = 0;
      if (!shared) {
        AVSA_UNROLL
        for (int e = 0; e < 2 * kColumns; ++e) {
          const float y = slope * x[e / 2][2 * half + e % 2];
          highest = y > highest ? y : highest;
        }
      }
      AVSA_UNROLL
      for (int e = 0; e < 2 * kColumns; ++e) {
        float& y = x[e / 2][2 * half + e % 2];
        y = Exponential<A>::of(slope * y - highest);
        part += y;
      }
      if (!shared) sum[half] *= Exponential<A>::of(top[half] - highest);
      sum[half] += part;
      top[half] = highest;
    }
  }

  // The four lanes of a row add what they have to its (top, sum).
  template <class A>
  __device__ void finish(const PackedPass& pass, std::int64_t row, double* sums) {
    for (int half = 0; half < 2; ++half) {
      for (int lanes = 1; lanes < 4; lanes *= 2) {
        const float other_top = __shfl_xor_sync(~0u, top[half], lanes);
        const double other_sum = __shfl_xor_sync(~0u, sum[half], lanes);
        const float highest = other_top > top[half] ? other_top : top[half];
        const bool lower = (threadIdx.x & unsigned(lanes)) == 0;  // whose comes first: both lanes get the same bits
        const double mine = sum[half] * Exponential<A>::of(top[half] - highest);
        const double theirs = other_sum * Exponential<A>::of(other_top - highest);
        sum[half] = lower ? mine + theirs : theirs + mine;
        top[half] = highest;
      }
      if (threadIdx.x % 4 != 0 || row + 8 * half >= pass.own.count) continue;
      double* of_row = sums + 2 * (row + 8 * half);
      const double mine = top[half] / Exponential<A>::kUnit;
      const double highest = shares_exponential(*pass.scale) || mine < of_row[0] ? of_row[0] : mine;
      of_row[1] = of_row[1] * std::exp(of_row[0] - highest) + sum[half] * std::exp(mine - highest);
      of_row[0] = highest;
    }
  }
};

// Sums over the warp's rows of numbers in registers, column[2c + n] of column 8c + 2t + n: of those a lane is left with
// kColumns / 4, written to sums[column].
template <int kColumns>
__device__ void sum_columns(float (&column)[2 * kColumns], float* sums) {
  int first = 0, count = 2 * kColumns;
  AVSA_UNROLL
  for (int lanes = kWarp / 2; lanes >= 4; lanes /= 2) {  // a lane passes on one half of its numbers and keeps the other
    const bool upper = (threadIdx.x & unsigned(lanes)) != 0;
    count /= 2;
    AVSA_UNROLL
    for (int i = 0; i < kColumns; ++i) {
      if (i >= count) break;
      const float mine = upper ? column[i + count] : column[i], passed = upper ? column[i] : column[i + count];
      column[i] = mine + __shfl_xor_sync(~0u, passed, lanes);
    }
    first += upper ? count : 0;
  }
  AVSA_UNROLL
  for (int i = 0; i < kColumns / 4; ++i) {
    const int index = first + i;
    sums[index / 2 * 8 + int(threadIdx.x % 4) * 2 + index % 2] = column[i];
  }
}

// Cosines become weights in both directions, of one exponential where it is shared. own: of a lane's two rows; others:
// of the columns.
template <class A, int kColumns, int kOther>
__device__ void weigh(const RowWeight (&own)[2], const RowWeight (&others)[kOther], float slope, bool shared,
                      Fragment<kColumns>& x) {
  const int t = int(threadIdx.x % 4);
  AVSA_UNROLL
  for (int e = 0; e < 4 * kColumns; ++e) {
    const int c = e / 4, n = e % 4;
    const RowWeight mine = own[n / 2], other = others[c * 8 + t * 2 + n % 2];
    const float scaled = slope * x[c][n], first = Exponential<A>::of(scaled - mine.below);
    if (shared)
      x[c][n] = first * (mine.factor + other.factor);
    else
      x[c][n] = first * mine.factor + Exponential<A>::of(scaled - other.below) * other.factor;
  }
}

// Adds a lane's two rows of a gradient, dimensions from `first` on, to grad [rows, D].
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

// Adds to the keys' sums what groups of threads left of columns, where those were summed.
template <class A>
__global__ void columns_kernel(PackedPass pass, int groups, double* sums) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= pass.other.count || !shares_exponential(*pass.scale)) return;
  const std::int64_t stride = round_up(pass.other.count, kPackedRows);
  double sum = 0;
  for (int group = 0; group < groups; ++group) sum += pass.columns[group * stride + row];
  const double top = float(*pass.scale * Exponential<A>::kUnit) / Exponential<A>::kUnit;
  sums[2 * row + 1] += sum * std::exp(top - sums[2 * row]);
}

template <class A>
int add_columns(const PackedPass& pass, int groups, double* sums, void* stream) {
  constexpr int kThreads = 128;
  const dim3 grid(unsigned(ceil_div(pass.other.count, kThreads)));
  return launch(columns_kernel<A>, grid, dim3(kThreads), 0, stream, pass, groups, sums);
}

}  // namespace avsa::info_nce
