#include "core/launch.h"
#include "info_nce/panels.h"

namespace avsa {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSide = 16;  // a thread computes 4 x 4 cosines of a 64 x 64 tile, 16 rows apart
constexpr int kEach = kBlock / kSide;
constexpr int kQuarters = kThreads / kBlock;  // threads that share an own row

__device__ double warp_sum(double x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(~0u, x, mask);
  return x;
}

// The sum of a value of each thread, in an order of its own; for thread 0.
__device__ double block_sum(double x) {
  __shared__ double warps[kWarps];
  x = warp_sum(x);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += warps[w];
  return sum;
}

// Place of dimension d of a row in panels [panels, depth, 16].
__device__ std::int64_t place(std::int64_t row, std::int64_t d, std::int64_t depth) {
  return (row / kLanes * depth + d) * kLanes + row % kLanes;
}

// A warp a row, those that fill up the last panel too: normalises it into its panel.
template <class T>
__global__ void __launch_bounds__(kThreads) pack_kernel(Pass<T> pass, const T* rows, T* units, std::int64_t D) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (row >= pass.panels() * kLanes) return;
  const std::int64_t width = row < pass.N ? D : 0;
  double square = 0;
  for (std::int64_t d = lane; d < width; d += kWarp) square += double(rows[row * D + d]) * double(rows[row * D + d]);
  square = warp_sum(square);
  const double inverse = square == 0 ? 0 : 1 / sqrt(square);
  for (std::int64_t d = lane; d < pass.depth; d += kWarp) {
    units[place(row, d, pass.depth)] = d < width ? T(rows[row * D + d] * inverse) : T(0);
  }
  if (lane == 0 && row < pass.N) pass.own_statistics.inverse_norm[row] = inverse;
}

// Dimensions of two blocks of rows that are in shared memory at a time.
template <class T>
constexpr int kSlice = 64 / int(sizeof(T));

template <class T>
struct Slices {
  T own[kSlice<T>][kBlock], other[kSlice<T>][kBlock];
};

// Dimensions [first, first + slice) of a block of rows; zeros beyond the last row or dimension.
template <class T>
__device__ void load_slice(const T* units, std::int64_t block, std::int64_t first, const Pass<T>& pass,
                           T (&slice)[kSlice<T>][kBlock]) {
  for (int e = threadIdx.x; e < kSlice<T> * kBlock; e += kThreads) {
    const std::int64_t row = block * kBlock + e % kBlock, d = first + e / kBlock;
    const bool inside = row < pass.panels() * kLanes && d < pass.depth;
    slice[e / kBlock][e % kBlock] = inside ? units[place(row, d, pass.depth)] : T(0);
  }
}

// tile[j][i] = <own row i, other row j> of two blocks. Ends with the tile ready for all threads.
template <class T>
__device__ void cosines(const Pass<T>& pass, std::int64_t own, std::int64_t other, Slices<T>& slices,
                        T (&tile)[kBlock][kBlock]) {
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  T sum[kEach][kEach] = {};
  for (std::int64_t d = 0; d < pass.depth; d += kSlice<T>) {
    __syncthreads();
    load_slice(pass.own, own, d, pass, slices.own);
    load_slice(pass.other, other, d, pass, slices.other);
    __syncthreads();
    for (int k = 0; k < kSlice<T>; ++k)
      for (int b = 0; b < kEach; ++b)
        for (int a = 0; a < kEach; ++a) sum[b][a] += slices.own[k][x + a * kSide] * slices.other[k][y + b * kSide];
  }
  __syncthreads();
  for (int b = 0; b < kEach; ++b)
    for (int a = 0; a < kEach; ++a) tile[y + b * kSide][x + a * kSide] = sum[b][a];
  __syncthreads();
}

// A block of threads finds the cosines of the pairs and the losses of a block of own rows. Each of an own row's four
// threads sums a quarter of every tile below a running maximum; the four meet at the end.
template <class T>
__global__ void __launch_bounds__(kThreads) scan_kernel(Pass<T> pass) {
  using std::exp, std::log;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlock][kBlock];
  __shared__ T tops[kQuarters][kBlock];
  __shared__ double sums[kQuarters][kBlock];
  const std::int64_t block = blockIdx.x;
  const int i = threadIdx.x % kBlock, quarter = threadIdx.x / kBlock;
  const Label own(block * kBlock + i, pass.K);
  const T scale = T(pass.scale());
  cosines(pass, block, block, slices, tile);
  const T pair = tile[i][i];
  T top = kLowest<T>;
  double sum = 0;  // of exp(x - top), x = scale * (cosine - pair)
  for (std::int64_t other = 0; other < pass.blocks(); ++other) {
    cosines(pass, block, other, slices, tile);
    T highest = top, part = 0;
    for (int j = quarter * kLanes; j < (quarter + 1) * kLanes; ++j) {
      const Label label(other * kBlock + j, pass.K);
      const bool competes = label.row < pass.N && compete(own, label);
      const T x = competes ? scale * (tile[j][i] - pair) : -kInfinity<T>;
      tile[j][i] = x;
      highest = x > highest ? x : highest;
    }
    for (int j = quarter * kLanes; j < (quarter + 1) * kLanes; ++j) part += exp(tile[j][i] - highest);
    sum = sum * exp(top - highest) + part;
    top = highest;
  }
  tops[quarter][i] = top;
  sums[quarter][i] = sum;
  __syncthreads();
  if (quarter > 0 || own.row >= pass.N) return;
  for (int q = 1; q < kQuarters; ++q) top = tops[q][i] > top ? tops[q][i] : top;
  sum = 0;
  for (int q = 0; q < kQuarters; ++q) sum += sums[q][i] * exp(tops[q][i] - top);
  pass.own_statistics.cosine[own.row] = pair;
  pass.own_statistics.loss[own.row] = softplus(top + log(sum));
}

// For a block of own rows: sums, as panels, of the gradient of (sum of losses) / scale by the own unit rows.
template <class T>
__global__ void __launch_bounds__(kThreads) gather_kernel(Pass<T> pass, T* sums) {
  using std::exp;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlock][kBlock];
  const std::int64_t block = blockIdx.x;
  const int i = threadIdx.x % kBlock, quarter = threadIdx.x / kBlock;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const Label own(block * kBlock + i, pass.K);
  const T scale = T(pass.scale());
  const T pair = own.row < pass.N ? T(pass.own_statistics.cosine[own.row]) : T(0);
  const T loss = own.row < pass.N && pass.own_chooses ? T(pass.own_statistics.loss[own.row]) : T(0);
  for (std::int64_t other = 0; other < pass.blocks(); ++other) {
    cosines(pass, block, other, slices, tile);
    for (int j = quarter * kLanes; j < (quarter + 1) * kLanes; ++j) {
      const Label label(other * kBlock + j, pass.K);
      T weight = 0;
      if (own.row < pass.N && label.row < pass.N) {
        if (own.row == label.row) {
          weight = T(pass.pair_weight(own.row));
        } else if (compete(own, label)) {
          if (pass.own_chooses) weight += exp(scale * (tile[j][i] - pair) - loss);
          if (pass.other_chooses) {
            const Statistics& theirs = pass.other_statistics;
            weight += exp(scale * (tile[j][i] - T(theirs.cosine[label.row])) - T(theirs.loss[label.row]));
          }
        }
      }
      tile[j][i] = weight;
    }
    // A warp a dimension, two own rows a thread: nobody else adds to these sums.
    for (std::int64_t d = 0; d < pass.depth; d += kSlice<T>) {
      __syncthreads();
      load_slice(pass.other, other, d, pass, slices.other);
      __syncthreads();
      for (int k = warp; k < kSlice<T> && d + k < pass.depth; k += kWarps) {
        T part[2] = {};
        for (int j = 0; j < kBlock; ++j)
          for (int a = 0; a < 2; ++a) part[a] += tile[j][lane + a * kWarp] * slices.other[k][j];
        for (int a = 0; a < 2; ++a) {
          const std::int64_t row = block * kBlock + lane + a * kWarp;
          if (row >= pass.panels() * kLanes) continue;
          T& sum = sums[place(row, d + k, pass.depth)];
          sum = other == 0 ? part[a] : sum + part[a];
        }
      }
    }
  }
}

// A warp a row: the gradient of rows [N, D] from that of their unit rows, and its slope along them.
template <class T>
__global__ void __launch_bounds__(kThreads)
    project_kernel(Pass<T> pass, const T* upstream, const T* sums, std::int64_t D, double* slopes, T* grad) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (row >= pass.N) return;
  double slope = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) {
    slope += double(pass.own[place(row, d, pass.depth)]) * double(sums[place(row, d, pass.depth)]);
  }
  slope = warp_sum(slope);
  const double factor = *upstream * pass.share() * pass.scale() * pass.own_statistics.inverse_norm[row];
  for (std::int64_t d = lane; d < D; d += kWarp) {
    const std::int64_t at = place(row, d, pass.depth);
    grad[row * D + d] = T(factor * (sums[at] - slope * pass.own[at]));
  }
  if (lane == 0) slopes[row] = slope;
}

// One block: the mean of the losses of the sides that choose.
template <class T>
__global__ void __launch_bounds__(kThreads) mean_kernel(Pass<T> pass, T* mean) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < pass.N; i += kThreads) {
    sum += pass.own_statistics.loss[i] + (pass.other_chooses ? pass.other_statistics.loss[i] : 0);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) *mean = pass.N == 0 ? T(0) : T(sum * pass.share());
}

// One block: the gradient of the temperature. Every cosine enters as scale * cosine, so the loss's derivative by the
// scale is what lies along the unit rows.
template <class T>
__global__ void __launch_bounds__(kThreads)
    temperature_kernel(Pass<T> pass, const T* upstream, const double* slopes, double* grad) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < pass.N; i += kThreads) sum += slopes[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *grad = pass.N == 0 ? 0 : -*upstream * pass.share() * pass.scale() * pass.scale() * sum;
}

template <class T>
int forward(const InfoNceForward& task, void* stream) {
  for (int side = 0; side < 2; ++side) {
    const Pass<T> pass = make_pass<T>(task, side);
    const T* rows = static_cast<const T*>(side == 0 ? task.query : task.key);
    const dim3 grid(unsigned(ceil_div(pass.panels() * kLanes, kWarps)));
    if (int error =
            launch(pack_kernel<T>, grid, dim3(kThreads), 0, stream, pass, rows, const_cast<T*>(pass.own), task.D))
      return error;
  }
  for (int side = 0; side < 1 + int(task.symmetric); ++side) {
    const Pass<T> pass = make_pass<T>(task, side);
    if (int error = launch(scan_kernel<T>, dim3(unsigned(pass.blocks())), dim3(kThreads), 0, stream, pass))
      return error;
  }
  return launch(mean_kernel<T>, dim3(1), dim3(kThreads), 0, stream, make_pass<T>(task, 0), static_cast<T*>(task.loss));
}

template <class T>
int backward(const InfoNceBackward& task, void* stream) {
  const T* upstream = static_cast<const T*>(task.grad);
  T* sums = static_cast<T*>(task.sums);
  for (int side = 1; side >= 0; --side) {  // the query's slopes stay
    const Pass<T> pass = make_pass<T>(task, side);
    T* out = static_cast<T*>(side == 0 ? task.query_grad : task.key_grad);
    const dim3 blocks(unsigned(pass.blocks())), rows(unsigned(ceil_div(pass.N, kWarps)));
    if (int error = launch(gather_kernel<T>, blocks, dim3(kThreads), 0, stream, pass, sums)) return error;
    if (int error =
            launch(project_kernel<T>, rows, dim3(kThreads), 0, stream, pass, upstream, sums, task.D, task.slopes, out))
      return error;
  }
  return launch(temperature_kernel<T>, dim3(1), dim3(kThreads), 0, stream, make_pass<T>(task, 0), upstream, task.slopes,
                task.temperature_grad);
}

}  // namespace

int info_nce_forward_cuda(const InfoNceForward& task, void* stream) {
  return task.dtype == Dtype::float64 ? forward<double>(task, stream) : forward<float>(task, stream);
}

int info_nce_backward_cuda(const InfoNceBackward& task, void* stream) {
  return task.dtype == Dtype::float64 ? backward<double>(task, stream) : backward<float>(task, stream);
}

}  // namespace avsa
