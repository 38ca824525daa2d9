// Entry points of the device kernels, which the bindings call, and the kernels in float and double; those on matrix
// units are in info_nce_mma.cu and info_nce_wgmma.cu.
#include "info_nce/cuda/packed.h"

namespace avsa::info_nce {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int kBlockRows = 64;                    // own rows of a thread block, other rows of a tile
constexpr int kSide = 16;                         // threads per side of a tile of cosines
constexpr int kPerThread = kBlockRows / kSide;    // rows per side of a thread's cosines, kSide rows apart
constexpr int kGroups = kThreads / kBlockRows;    // groups of threads, with one thread per own row
constexpr int kGroupRows = kBlockRows / kGroups;  // other rows of a tile per group

__device__ double warp_sum(double x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(~0u, x, mask);
  return x;
}

// 1 / L2 norm of a row [D], 0 for a row of zeros, computed by a warp.
template <class T>
__device__ double inverse_norm(const T* row, std::int64_t D, int lane) {
  double square = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) square += double(row[d]) * row[d];
  square = warp_sum(square);
  if (is_exact_square(square)) return 1 / sqrt(square);
  if (square != square) return square;
  double peak = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) peak = fmax(peak, fabs(double(row[d])));
  for (int mask = kWarp / 2; mask > 0; mask /= 2) peak = fmax(peak, __shfl_xor_sync(~0u, peak, mask));
  if (peak < kMinPeak) return 0;
  double scaled = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) scaled += (row[d] / peak) * (row[d] / peak);
  return 1 / sqrt(warp_sum(scaled)) / peak;
}

// One warp per pair.
template <class T>
__global__ void __launch_bounds__(kThreads) prepare_kernel(InfoNcePrepare task) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp, D = task.D;
  const int lane = threadIdx.x % kWarp;
  if (row >= task.N) return;
  const T *query = static_cast<const T*>(task.query) + row * D, *key = static_cast<const T*>(task.key) + row * D;
  const double inverse_query = inverse_norm(query, D, lane), inverse_key = inverse_norm(key, D, lane);
  double cosine = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) cosine += query[d] * inverse_query * (key[d] * inverse_key);
  cosine = warp_sum(cosine);
  if (lane > 0) return;
  double *of_query = task.statistics + row * kStatistics, *of_key = of_query + task.N * kStatistics;
  of_query[kInverseNorm] = inverse_query;
  of_key[kInverseNorm] = inverse_key;
  of_query[kPairCosine] = of_key[kPairCosine] = cosine;
}

// Dimensions of own and other rows that are in shared memory at a time.
template <class T>
constexpr int kSlice = 64 / int(sizeof(T));

template <class T>
struct Slices {
  T own[kSlice<T>][kBlockRows + 1], other[kSlice<T>][kBlockRows + 1];
};

// Dimensions [first, first + slice) of normalised rows from `row` on; zeros beyond the last row or dimension.
template <class T>
__device__ void load_slice(const RowRange& rows, std::int64_t row, std::int64_t first, std::int64_t D,
                           T (&slice)[kSlice<T>][kBlockRows + 1]) {
  for (int e = threadIdx.x; e < kSlice<T> * kBlockRows; e += kThreads) {
    const std::int64_t r = row + e / kSlice<T>, d = first + e % kSlice<T>;
    const bool inside = r < rows.count && d < D;
    slice[e % kSlice<T>][e / kSlice<T>] =
        inside ? T(static_cast<const T*>(rows.data)[r * D + d] * rows.statistics[r * kStatistics + kInverseNorm])
               : T(0);
  }
}

// tile[j][i] = cosine of own row own + i and other row other + j, which all threads may read on return.
template <class T>
__device__ void cosines(const Pass& pass, std::int64_t own, std::int64_t other, Slices<T>& slices,
                        T (&tile)[kBlockRows][kBlockRows]) {
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  T sum[kPerThread][kPerThread] = {};
  for (std::int64_t d = 0; d < pass.D; d += kSlice<T>) {
    __syncthreads();
    load_slice(pass.own, own, d, pass.D, slices.own);
    load_slice(pass.other, other, d, pass.D, slices.other);
    __syncthreads();
    for (int k = 0; k < kSlice<T>; ++k)
      for (int b = 0; b < kPerThread; ++b)
        for (int a = 0; a < kPerThread; ++a) sum[b][a] += slices.own[k][x + a * kSide] * slices.other[k][y + b * kSide];
  }
  __syncthreads();
  for (int b = 0; b < kPerThread; ++b)
    for (int a = 0; a < kPerThread; ++a) tile[y + b * kSide][x + a * kSide] = sum[b][a];
  __syncthreads();
}

// Adds to sums [own rows, 2]. Thread i of a group takes own row i and the group's rows of each tile, with a running
// maximum; the first group merges the sums of all at the end.
template <class T>
__global__ void __launch_bounds__(kThreads) scan_kernel(Pass pass, double* sums) {
  using std::exp;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlockRows][kBlockRows];
  __shared__ T maxima[kGroups][kBlockRows];
  __shared__ double group_sums[kGroups][kBlockRows];
  const std::int64_t begin = std::int64_t(blockIdx.x) * kBlockRows;
  const int i = threadIdx.x % kBlockRows, group = threadIdx.x / kBlockRows;
  const Label own(pass.own.first + begin + i, pass.K);
  const T scale = T(*pass.scale);
  T maximum = kLowest<T>;
  double sum = 0;  // of exp(x - maximum), x = scale * cosine
  for (std::int64_t other = 0; other < pass.other.count; other += kBlockRows) {
    cosines(pass, begin, other, slices, tile);
    T larger = maximum, part = 0;
    for (int j = group * kGroupRows; j < (group + 1) * kGroupRows; ++j) {
      const bool is_negative =
          other + j < pass.other.count && are_negatives(own, Label(pass.other.first + other + j, pass.K));
      const T x = is_negative ? scale * tile[j][i] : -kInfinity<T>;
      tile[j][i] = x;
      larger = x > larger ? x : larger;
    }
    for (int j = group * kGroupRows; j < (group + 1) * kGroupRows; ++j) part += exp(tile[j][i] - larger);
    sum = sum * exp(maximum - larger) + part;
    maximum = larger;
  }
  maxima[group][i] = maximum;
  group_sums[group][i] = sum;
  __syncthreads();
  if (group > 0 || begin + i >= pass.own.count) return;
  double* row = sums + 2 * (begin + i);
  double larger = row[0];
  for (int q = 0; q < kGroups; ++q) larger = maxima[q][i] > larger ? maxima[q][i] : larger;
  sum = row[1] * exp(row[0] - larger);
  for (int q = 0; q < kGroups; ++q) sum += group_sums[q][i] * exp(maxima[q][i] - larger);
  row[0] = larger;
  row[1] = sum;
}

// Adds to grad [own rows, D]: the weights of each tile, computed by the threads that scan it, times its rows.
template <class T>
__global__ void __launch_bounds__(kThreads) gradient_kernel(Pass pass, T* grad) {
  using std::exp;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlockRows][kBlockRows];
  const std::int64_t begin = std::int64_t(blockIdx.x) * kBlockRows;
  const int i = threadIdx.x % kBlockRows, group = threadIdx.x / kBlockRows;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const bool inside = begin + i < pass.own.count;
  const Label own(pass.own.first + begin + i, pass.K);
  const T scale = T(*pass.scale);
  const double own_exponent = inside ? weight_exponent(pass.own, begin + i, *pass.scale) : 0;
  for (std::int64_t other = 0; other < pass.other.count; other += kBlockRows) {
    cosines(pass, begin, other, slices, tile);
    for (int j = group * kGroupRows; j < (group + 1) * kGroupRows; ++j) {
      const std::int64_t row = other + j;
      T weight = 0;
      if (inside && row < pass.other.count && are_negatives(own, Label(pass.other.first + row, pass.K))) {
        const double x = scale * tile[j][i];
        if (pass.own_has_losses) weight += exp(T(x - own_exponent));
        if (pass.other_has_losses) weight += exp(T(x - weight_exponent(pass.other, row, *pass.scale)));
      }
      tile[j][i] = weight;
    }
    // One warp per dimension, two own rows per thread: no other thread adds to these elements.
    for (std::int64_t d = 0; d < pass.D; d += kSlice<T>) {
      __syncthreads();
      load_slice(pass.other, other, d, pass.D, slices.other);
      __syncthreads();
      for (int k = warp; k < kSlice<T> && d + k < pass.D; k += kWarps) {
        T part[2] = {};
        for (int j = 0; j < kBlockRows; ++j)
          for (int a = 0; a < 2; ++a) part[a] += tile[j][lane + a * kWarp] * slices.other[k][j];
        for (int a = 0; a < 2; ++a) {
          const std::int64_t row = begin + lane + a * kWarp;
          if (row < pass.own.count) grad[row * pass.D + d + k] += part[a];
        }
      }
    }
  }
}

// One warp per row.
template <class T>
__global__ void __launch_bounds__(kThreads) project_kernel(InfoNceProject task) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp, D = task.D;
  const int lane = threadIdx.x % kWarp;
  if (row >= task.own.count) return;
  const T* unscaled = static_cast<const T*>(task.own.data) + row * D;
  const T* partner = static_cast<const T*>(task.partner.data) + row * D;
  const double* own = task.own.statistics + row * kStatistics;
  const double* theirs = task.partner.statistics + row * kStatistics;
  T* grad = static_cast<T*>(task.grad) + row * D;
  const double pair = expm1(-own[kLoss]) + expm1(-theirs[kLoss]), inverse = own[kInverseNorm];
  double radial = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) radial += unscaled[d] * inverse * grad[d];
  radial = warp_sum(radial) + pair * own[kPairCosine];
  const double factor = *task.factor * inverse;
  for (std::int64_t d = lane; d < D; d += kWarp)
    grad[d] = T(factor * (grad[d] + pair * (partner[d] * theirs[kInverseNorm]) - radial * (unscaled[d] * inverse)));
  if (lane == 0) task.radial[row] = radial;
}

dim3 blocks_for(const Pass& pass) { return dim3(unsigned(ceil_div(pass.own.count, kBlockRows))); }
dim3 warps_for(std::int64_t rows) { return dim3(unsigned(ceil_div(rows, kWarps))); }

template <class T>
int scan(const InfoNceScan& task, void* stream) {
  const Pass queries(task.block, false), keys(task.block, true);
  if (int error = launch(scan_kernel<T>, blocks_for(queries), dim3(kThreads), 0, stream, queries, task.query_sums))
    return error;
  if (!task.block.symmetric) return 0;
  return launch(scan_kernel<T>, blocks_for(keys), dim3(kThreads), 0, stream, keys, task.key_sums);
}

template <class T>
int gradient(const InfoNceGradient& task, void* stream) {
  const Pass queries(task.block, false), keys(task.block, true);
  T *query_grad = static_cast<T*>(task.query_grad), *key_grad = static_cast<T*>(task.key_grad);
  if (int error = launch(gradient_kernel<T>, blocks_for(queries), dim3(kThreads), 0, stream, queries, query_grad))
    return error;
  return launch(gradient_kernel<T>, blocks_for(keys), dim3(kThreads), 0, stream, keys, key_grad);
}

}  // namespace

int info_nce_has_wgmma_cuda(const InfoNceHasWgmma& task, void*) {
  *task.answer = is_hopper();
  return 0;
}

int info_nce_prepare_cuda(const InfoNcePrepare& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? prepare_kernel<double> : prepare_kernel<float>;
  return launch(kernel, warps_for(task.N), dim3(kThreads), 0, stream, task);
}

int info_nce_workspace_cuda(const InfoNceWorkspace& task, void*) {
  *task.bytes = fits_matrix_units(task.block) ? Workspace(task.block).bytes() : 0;
  return 0;
}

int info_nce_scan_cuda(const InfoNceScan& task, void* stream) {
  if (fits_matrix_units(task.block)) return info_nce_scan_mma(task, stream);
  return task.block.dtype == Dtype::float64 ? scan<double>(task, stream) : scan<float>(task, stream);
}

int info_nce_gradient_cuda(const InfoNceGradient& task, void* stream) {
  if (fits_matrix_units(task.block)) return info_nce_gradient_mma(task, stream);
  return task.block.dtype == Dtype::float64 ? gradient<double>(task, stream) : gradient<float>(task, stream);
}

int info_nce_project_cuda(const InfoNceProject& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? project_kernel<double> : project_kernel<float>;
  return launch(kernel, warps_for(task.own.count), dim3(kThreads), 0, stream, task);
}

}  // namespace avsa::info_nce
