#include "info_nce/cuda/passes.h"

namespace avsa::info_nce {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr int kBlock = 64;  // rows of a block
constexpr int kSide = 16;   // a thread computes 4 x 4 cosines of a 64 x 64 tile, 16 rows apart
constexpr int kEach = kBlock / kSide;
constexpr int kQuarters = kThreads / kBlock;  // threads that share an own row
constexpr int kQuarter = kBlock / kQuarters;

__device__ double warp_sum(double x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(~0u, x, mask);
  return x;
}

AVSA_HD double inverse_root(double square) { return square == 0 ? 0 : 1 / sqrt(square); }

// A warp a pair.
template <class T>
__global__ void __launch_bounds__(kThreads) prepare_kernel(InfoNcePrepare task) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp, D = task.D;
  const int lane = threadIdx.x % kWarp;
  if (row >= task.N) return;
  const T *query = static_cast<const T*>(task.query) + row * D, *key = static_cast<const T*>(task.key) + row * D;
  double qq = 0, kk = 0, qk = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) {
    const double q = query[d], k = key[d];
    qq += q * q;
    kk += k * k;
    qk += q * k;
  }
  qq = inverse_root(warp_sum(qq));
  kk = inverse_root(warp_sum(kk));
  qk = warp_sum(qk) * qq * kk;
  if (lane > 0) return;
  double *of_query = task.statistics + row * kStatistics, *of_key = of_query + task.N * kStatistics;
  of_query[kInverse] = qq;
  of_key[kInverse] = kk;
  of_query[kCosine] = of_key[kCosine] = qk;
}

// Dimensions of two blocks of rows that are in shared memory at a time.
template <class T>
constexpr int kSlice = 64 / int(sizeof(T));

template <class T>
struct Slices {
  T own[kSlice<T>][kBlock + 1], other[kSlice<T>][kBlock + 1];
};

// Dimensions [first, first + slice) of normalised rows from `row` on; zeros beyond the last row or dimension.
template <class T>
__device__ void load_slice(const Rows& rows, std::int64_t row, std::int64_t first, std::int64_t D,
                           T (&slice)[kSlice<T>][kBlock + 1]) {
  for (int e = threadIdx.x; e < kSlice<T> * kBlock; e += kThreads) {
    const std::int64_t r = row + e / kSlice<T>, d = first + e % kSlice<T>;
    const bool inside = r < rows.count && d < D;
    slice[e % kSlice<T>][e / kSlice<T>] =
        inside ? T(static_cast<const T*>(rows.data)[r * D + d] * rows.statistics[r * kStatistics + kInverse]) : T(0);
  }
}

// tile[j][i] = <own row i, other row j> of two blocks. Ends with the tile ready for all threads.
template <class T>
__device__ void cosines(const Pass& pass, std::int64_t own, std::int64_t other, Slices<T>& slices,
                        T (&tile)[kBlock][kBlock]) {
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  T sum[kEach][kEach] = {};
  for (std::int64_t d = 0; d < pass.D; d += kSlice<T>) {
    __syncthreads();
    load_slice(pass.own, own, d, pass.D, slices.own);
    load_slice(pass.other, other, d, pass.D, slices.other);
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

// Adds a block of own rows' exponentials to their (top, sum). Each of an own row's four threads sums a quarter of every
// tile below a running maximum; the four meet at the end.
template <class T>
__global__ void __launch_bounds__(kThreads) scan_kernel(Pass pass, double* sums) {
  using std::exp;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlock][kBlock];
  __shared__ T tops[kQuarters][kBlock];
  __shared__ double parts[kQuarters][kBlock];
  const std::int64_t block = std::int64_t(blockIdx.x) * kBlock;
  const int i = threadIdx.x % kBlock, quarter = threadIdx.x / kBlock;
  const Label own(pass.own.first + block + i, pass.K);
  const T scale = T(*pass.scale);
  T top = kLowest<T>;
  double sum = 0;  // of exp(x - top), x = scale * cosine
  for (std::int64_t other = 0; other < pass.other.count; other += kBlock) {
    cosines(pass, block, other, slices, tile);
    T highest = top, part = 0;
    for (int j = quarter * kQuarter; j < (quarter + 1) * kQuarter; ++j) {
      const bool competes = other + j < pass.other.count && compete(own, Label(pass.other.first + other + j, pass.K));
      const T x = competes ? scale * tile[j][i] : -kInfinity<T>;
      tile[j][i] = x;
      highest = x > highest ? x : highest;
    }
    for (int j = quarter * kQuarter; j < (quarter + 1) * kQuarter; ++j) part += exp(tile[j][i] - highest);
    sum = sum * exp(top - highest) + part;
    top = highest;
  }
  tops[quarter][i] = top;
  parts[quarter][i] = sum;
  __syncthreads();
  if (quarter > 0 || block + i >= pass.own.count) return;
  double* row = sums + 2 * (block + i);
  double highest = row[0];
  for (int q = 0; q < kQuarters; ++q) highest = tops[q][i] > highest ? tops[q][i] : highest;
  sum = row[1] * exp(row[0] - highest);
  for (int q = 0; q < kQuarters; ++q) sum += parts[q][i] * exp(tops[q][i] - highest);
  row[0] = highest;
  row[1] = sum;
}

// The weight of a row in another's loss is exp(scale * cosine - exponent of the other).
__device__ double exponent(const Rows& rows, std::int64_t row, double scale) {
  const double* statistics = rows.statistics + row * kStatistics;
  return scale * statistics[kCosine] + statistics[kLoss];
}

// Adds to the gradients [count, D] of a block of own rows.
template <class T>
__global__ void __launch_bounds__(kThreads) gather_kernel(Pass pass, T* grad) {
  using std::exp;
  __shared__ Slices<T> slices;
  __shared__ T tile[kBlock][kBlock];
  const std::int64_t block = std::int64_t(blockIdx.x) * kBlock;
  const int i = threadIdx.x % kBlock, quarter = threadIdx.x / kBlock;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const bool inside = block + i < pass.own.count;
  const Label own(pass.own.first + block + i, pass.K);
  const T scale = T(*pass.scale);
  const double own_exponent = inside ? exponent(pass.own, block + i, *pass.scale) : 0;
  for (std::int64_t other = 0; other < pass.other.count; other += kBlock) {
    cosines(pass, block, other, slices, tile);
    for (int j = quarter * kQuarter; j < (quarter + 1) * kQuarter; ++j) {
      const std::int64_t row = other + j;
      T weight = 0;
      if (inside && row < pass.other.count && compete(own, Label(pass.other.first + row, pass.K))) {
        const double x = scale * tile[j][i];
        if (pass.own_chooses) weight += exp(T(x - own_exponent));
        if (pass.other_chooses) weight += exp(T(x - exponent(pass.other, row, *pass.scale)));
      }
      tile[j][i] = weight;
    }
    // A warp a dimension, two own rows a thread: nobody else adds to these sums.
    for (std::int64_t d = 0; d < pass.D; d += kSlice<T>) {
      __syncthreads();
      load_slice(pass.other, other, d, pass.D, slices.other);
      __syncthreads();
      for (int k = warp; k < kSlice<T> && d + k < pass.D; k += kWarps) {
        T part[2] = {};
        for (int j = 0; j < kBlock; ++j)
          for (int a = 0; a < 2; ++a) part[a] += tile[j][lane + a * kWarp] * slices.other[k][j];
        for (int a = 0; a < 2; ++a) {
          const std::int64_t row = block + lane + a * kWarp;
          if (row < pass.own.count) grad[row * pass.D + d + k] += part[a];
        }
      }
    }
  }
}

// A warp a row.
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
  const double pair = (expm1(-own[kLoss]) + expm1(-theirs[kLoss])) * theirs[kInverse];
  double slope = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) {
    slope += double(unscaled[d]) * (grad[d] + pair * partner[d]);
  }
  slope = warp_sum(slope) * own[kInverse];
  const double factor = *task.factor * own[kInverse], along = slope * own[kInverse];
  for (std::int64_t d = lane; d < D; d += kWarp)
    grad[d] = T(factor * (grad[d] + pair * partner[d] - along * unscaled[d]));
  if (lane == 0) task.slopes[row] = slope;
}

dim3 blocks_for(const Pass& pass) { return dim3(unsigned(ceil_div(pass.own.count, kBlock))); }
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
int gather(const InfoNceGather& task, void* stream) {
  const Pass queries(task.block, false), keys(task.block, true);
  T *query_grad = static_cast<T*>(task.query_grad), *key_grad = static_cast<T*>(task.key_grad);
  if (int error = launch(gather_kernel<T>, blocks_for(queries), dim3(kThreads), 0, stream, queries, query_grad))
    return error;
  return launch(gather_kernel<T>, blocks_for(keys), dim3(kThreads), 0, stream, keys, key_grad);
}

}  // namespace

int info_nce_prepare_cuda(const InfoNcePrepare& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? prepare_kernel<double> : prepare_kernel<float>;
  return launch(kernel, warps_for(task.N), dim3(kThreads), 0, stream, task);
}

int info_nce_workspace_cuda(const InfoNceWorkspace& task, void*) {
  *task.bytes = fits_matrix_units(task.block) ? matrix_units_workspace(task.block) : 0;
  return 0;
}

int info_nce_scan_cuda(const InfoNceScan& task, void* stream) {
  if (fits_matrix_units(task.block)) return info_nce_scan_mma(task, stream);
  return task.block.dtype == Dtype::float64 ? scan<double>(task, stream) : scan<float>(task, stream);
}

int info_nce_gather_cuda(const InfoNceGather& task, void* stream) {
  if (fits_matrix_units(task.block)) return info_nce_gather_mma(task, stream);
  return task.block.dtype == Dtype::float64 ? gather<double>(task, stream) : gather<float>(task, stream);
}

int info_nce_project_cuda(const InfoNceProject& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? project_kernel<double> : project_kernel<float>;
  return launch(kernel, warps_for(task.own.count), dim3(kThreads), 0, stream, task);
}

}  // namespace avsa::info_nce
