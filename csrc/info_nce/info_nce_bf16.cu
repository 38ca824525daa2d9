// Products of bfloat16 on matrix units. A warp has 16 own rows and meets tiles of other rows, their cosines in its
// registers: two of D's registers are one of A's, so that weights go back into a product without leaving them.
#include "info_nce/mma.h"
#include "info_nce/passes.h"

namespace avsa {
namespace {

constexpr int kWarp = 32, kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kOwn = 16 * kWarps;     // rows of a block of threads
constexpr int kOther = 32;            // rows of a tile
constexpr int kColumns = kOther / 8;  // products of 8 columns across a tile
constexpr int kGradient = 128;        // dimensions of the gradient that a block of threads gathers

AVSA_HD int padded(std::int64_t D) { return int(round_up(D, 16)); }
// Words of shared memory between rows: lanes that read together then read from different banks.
AVSA_HD int row_stride(std::int64_t D) { return padded(D) / 2 + 4; }
constexpr int kPairStride = kGradient + 8;

// Normalised rows as pairs of neighbouring dimensions, [count, row_stride]; zeros beyond the last row or dimension.
__device__ void load_rows(const Rows& rows, std::int64_t first, int count, std::int64_t D, std::uint32_t* to) {
  const float* data = static_cast<const float*>(rows.data);
  const int words = padded(D) / 2;
  for (int e = threadIdx.x; e < count * words; e += kThreads) {
    const std::int64_t row = first + e / words, d = e % words * 2;
    float pair[2] = {};
    if (row < rows.count) {
      const double inverse = rows.statistics[row * kStatistics + kInverse];
      for (int n = 0; n < 2; ++n) pair[n] = d + n < D ? float(data[row * D + d + n] * inverse) : 0;
    }
    to[e / words * row_stride(D) + e % words] = bfloat16_pair(pair[0], pair[1]);
  }
}

// Dimensions [begin, begin + kGradient) of a tile's rows, as pairs of neighbouring rows: [kOther / 2, kPairStride].
__device__ void turn_rows(const std::uint32_t* rows, int begin, std::int64_t D, std::uint32_t* to) {
  for (int e = threadIdx.x; e < kOther / 2 * kGradient / 2; e += kThreads) {
    const int pair = e / (kGradient / 2), word = e % (kGradient / 2), from = begin / 2 + word;
    const bool inside = from < padded(D) / 2;
    const std::uint32_t x = inside ? rows[2 * pair * row_stride(D) + from] : 0;
    const std::uint32_t y = inside ? rows[(2 * pair + 1) * row_stride(D) + from] : 0;
    to[pair * kPairStride + 2 * word] = (x & 0xffffu) | y << 16;
    to[pair * kPairStride + 2 * word + 1] = x >> 16 | (y & 0xffff0000u);
  }
}

// A tile's other rows, beside what a kernel keeps of them.
struct Others {
  Label label[kOther];
  float below[kOther], factor[kOther];  // of their weights
};

// A warp's cosines with a tile, times the scale; -infinity where rows do not compete.
struct Cosines {
  float x[kColumns][4];

  __device__ void compute(const std::uint32_t* own, const std::uint32_t* other, std::int64_t D) {
    const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4, stride = row_stride(D);
    const std::uint32_t* rows = own + (threadIdx.x / kWarp * 16 + g) * stride + t;
    for (int c = 0; c < kColumns; ++c)
      for (int n = 0; n < 4; ++n) x[c][n] = 0;
    for (int k = 0; k < padded(D) / 2; k += 8) {
      const std::uint32_t a[4] = {rows[k], rows[k + 8 * stride], rows[k + 4], rows[k + 8 * stride + 4]};
      AVSA_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        const std::uint32_t* column = other + (c * 8 + g) * stride + t + k;
        const std::uint32_t b[2] = {column[0], column[4]};
        multiply_add(a, b, x[c]);
      }
    }
  }

  __device__ void mask(const Pass& pass, const Label (&own)[2], std::int64_t tile, const Others& others, float scale) {
    AVSA_UNROLL
    for (int c = 0; c < kColumns; ++c) AVSA_UNROLL
    for (int n = 0; n < 4; ++n) {
      const int j = c * 8 + threadIdx.x % 4 * 2 + n % 2;
      const bool competes = tile + j < pass.other.count && compete(own[n / 2], others.label[j]);
      x[c][n] = competes ? scale * x[c][n] : -kInfinity<float>;
    }
  }
};

// Shared memory of a block of threads: own rows, a tile's rows, and their pairs.
struct Shared {
  std::uint32_t *own, *other, *turned;

  __device__ Shared(std::uint32_t* memory, std::int64_t D)
      : own(memory), other(own + kOwn * row_stride(D)), turned(other + kOther * row_stride(D)) {}
  static std::size_t bytes(std::int64_t D, bool gathers) {
    const int words = (kOwn + kOther) * row_stride(D) + (gathers ? kOther / 2 * kPairStride : 0);
    return std::size_t(words) * sizeof(std::uint32_t);
  }
};

// The row of a block's first that a lane has two of: this one, and 8 later.
__device__ int lane_row() { return int(threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4); }

__global__ void __launch_bounds__(kThreads) scan_bf16_kernel(Pass pass, double* sums) {
  __shared__ Others others;
  const Shared shared(dynamic_shared<std::uint32_t>(), pass.D);
  const std::int64_t block = std::int64_t(blockIdx.x) * kOwn, row = block + lane_row();
  const Label own[2] = {Label(pass.own.first + row, pass.K), Label(pass.own.first + row + 8, pass.K)};
  const float scale = float(*pass.scale);
  load_rows(pass.own, block, kOwn, pass.D, shared.own);
  float top[2] = {kLowest<float>, kLowest<float>};
  double sum[2] = {};  // of exp(x - top)
  Cosines cosines;
  for (std::int64_t tile = 0; tile < pass.other.count; tile += kOther) {
    __syncthreads();
    load_rows(pass.other, tile, kOther, pass.D, shared.other);
    if (threadIdx.x < kOther) others.label[threadIdx.x] = Label(pass.other.first + tile + threadIdx.x, pass.K);
    __syncthreads();
    cosines.compute(shared.own, shared.other, pass.D);
    cosines.mask(pass, own, tile, others, scale);
    AVSA_UNROLL
    for (int half = 0; half < 2; ++half) {
      float highest = top[half], part = 0;
      AVSA_UNROLL
      for (int c = 0; c < kColumns; ++c)
        for (int n = 2 * half; n < 2 * half + 2; ++n) highest = cosines.x[c][n] > highest ? cosines.x[c][n] : highest;
      AVSA_UNROLL
      for (int c = 0; c < kColumns; ++c)
        for (int n = 2 * half; n < 2 * half + 2; ++n) part += std::exp(cosines.x[c][n] - highest);
      sum[half] = sum[half] * std::exp(top[half] - highest) + part;
      top[half] = highest;
    }
  }
  for (int half = 0; half < 2; ++half) {
    for (int lanes = 1; lanes < 4; lanes *= 2) {  // the four lanes of a row
      const float other_top = __shfl_xor_sync(~0u, top[half], lanes);
      const double other_sum = __shfl_xor_sync(~0u, sum[half], lanes);
      const float highest = other_top > top[half] ? other_top : top[half];
      // The lower lane's first: both get the same bits.
      const bool lower = (threadIdx.x & unsigned(lanes)) == 0;
      const double mine = sum[half] * std::exp(top[half] - highest), theirs = other_sum * std::exp(other_top - highest);
      sum[half] = lower ? mine + theirs : theirs + mine;
      top[half] = highest;
    }
    if (threadIdx.x % 4 != 0 || row + 8 * half >= pass.own.count) continue;
    double* of_row = sums + 2 * (row + 8 * half);
    const double highest = top[half] > of_row[0] ? top[half] : of_row[0];
    of_row[1] = of_row[1] * std::exp(of_row[0] - highest) + sum[half] * std::exp(top[half] - highest);
    of_row[0] = highest;
  }
}

// blockIdx.y: which kGradient dimensions.
__global__ void __launch_bounds__(kThreads) gather_bf16_kernel(Pass pass, float* grad) {
  __shared__ Others others;
  const Shared shared(dynamic_shared<std::uint32_t>(), pass.D);
  const std::int64_t block = std::int64_t(blockIdx.x) * kOwn, row = block + lane_row();
  const int begin = int(blockIdx.y) * kGradient, lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  const Label own[2] = {Label(pass.own.first + row, pass.K), Label(pass.own.first + row + 8, pass.K)};
  const float scale = float(*pass.scale);
  float below[2] = {scale, scale}, factor[2] = {};
  for (int half = 0; half < 2; ++half) {
    if (!pass.own_chooses || row + 8 * half >= pass.own.count) continue;
    const Weight<float> weight(pass.own, row + 8 * half, *pass.scale);
    below[half] = weight.below;
    factor[half] = weight.factor;
  }
  load_rows(pass.own, block, kOwn, pass.D, shared.own);
  float sum[kGradient / 8][4] = {};
  Cosines cosines;
  for (std::int64_t tile = 0; tile < pass.other.count; tile += kOther) {
    __syncthreads();
    load_rows(pass.other, tile, kOther, pass.D, shared.other);
    if (threadIdx.x < kOther) {
      const std::int64_t other = tile + threadIdx.x;
      others.label[threadIdx.x] = Label(pass.other.first + other, pass.K);
      others.below[threadIdx.x] = scale;
      others.factor[threadIdx.x] = 0;
      if (pass.other_chooses && other < pass.other.count) {
        const Weight<float> weight(pass.other, other, *pass.scale);
        others.below[threadIdx.x] = weight.below;
        others.factor[threadIdx.x] = weight.factor;
      }
    }
    __syncthreads();
    turn_rows(shared.other, begin, pass.D, shared.turned);
    cosines.compute(shared.own, shared.other, pass.D);
    cosines.mask(pass, own, tile, others, scale);
    AVSA_UNROLL
    for (int c = 0; c < kColumns; ++c) AVSA_UNROLL
    for (int n = 0; n < 4; ++n) {
      const int j = c * 8 + t * 2 + n % 2;
      const float x = cosines.x[c][n];
      cosines.x[c][n] = std::exp(x - below[n / 2]) * factor[n / 2] + std::exp(x - others.below[j]) * others.factor[j];
    }
    __syncthreads();
    AVSA_UNROLL
    for (int k = 0; k < kColumns; k += 2) {  // 16 other rows
      const float (&x)[4] = cosines.x[k], (&y)[4] = cosines.x[k + 1];
      const std::uint32_t a[4] = {bfloat16_pair(x[0], x[1]), bfloat16_pair(x[2], x[3]), bfloat16_pair(y[0], y[1]),
                                  bfloat16_pair(y[2], y[3])};
      AVSA_UNROLL
      for (int c = 0; c < kGradient / 8; ++c) {
        const std::uint32_t* column = shared.turned + (k * 4 + t) * kPairStride + c * 8 + g;
        const std::uint32_t b[2] = {column[0], column[4 * kPairStride]};
        multiply_add(a, b, sum[c]);
      }
    }
  }
  AVSA_UNROLL
  for (int c = 0; c < kGradient / 8; ++c) AVSA_UNROLL
  for (int n = 0; n < 4; ++n) {
    const std::int64_t to = row + n / 2 * 8, d = begin + c * 8 + t * 2 + n % 2;
    if (to < pass.own.count && d < pass.D) grad[to * pass.D + d] += sum[c][n];
  }
}

unsigned blocks_for(const Pass& pass) { return unsigned(ceil_div(pass.own.count, kOwn)); }

}  // namespace

int info_nce_scan_bf16(const InfoNceScan& task, void* stream) {
  const std::size_t shared = Shared::bytes(task.block.D, false);
  for (const bool keys : {false, true}) {
    if (keys && !task.block.symmetric) break;
    const Pass pass(task.block, keys);
    double* sums = keys ? task.key_sums : task.query_sums;
    if (int error = launch(scan_bf16_kernel, dim3(blocks_for(pass)), dim3(kThreads), shared, stream, pass, sums))
      return error;
  }
  return 0;
}

int info_nce_gather_bf16(const InfoNceGather& task, void* stream) {
  const std::size_t shared = Shared::bytes(task.block.D, true);
  for (const bool keys : {false, true}) {
    const Pass pass(task.block, keys);
    const dim3 grid(blocks_for(pass), unsigned(ceil_div(task.block.D, kGradient)));
    float* grad = static_cast<float*>(keys ? task.key_grad : task.query_grad);
    if (int error = launch(gather_bf16_kernel, grid, dim3(kThreads), shared, stream, pass, grad)) return error;
  }
  return 0;
}

}  // namespace avsa
