// Products on matrix units. A warp has 16 own rows and meets tiles of other rows, their cosines in its registers: as D
// holds them, A takes them, so that weights go back into a product without leaving them.
#include "info_nce/mma.h"
#include "info_nce/passes.h"

namespace avsa {
namespace {

constexpr int kWarp = 32, kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kOwn = 16 * kWarps;     // rows of a block of threads
constexpr int kOther = 32;            // rows of a tile
constexpr int kColumns = kOther / 8;  // products of 8 columns across a tile
constexpr int kGradient = 128;        // dimensions of the gradient that a block of threads gathers

constexpr int kPairStride = kGradient + 8;

// An arithmetic: kWord numbers a word, how rows become words, and products of words. Rows lie in shared memory as
// [count, row_stride] words, the stride such that lanes that read together read from different banks.
struct Bf16 {
  static constexpr int kWord = 2;
  static constexpr std::int64_t kMost = 512;  // dimensions that fit into shared memory

  __device__ static std::uint32_t word(const float* x) { return bfloat16_pair(x[0], x[1]); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    multiply_add_bf16(a, b, d);
  }
};

struct Tf32 {
  static constexpr int kWord = 1;
  static constexpr std::int64_t kMost = 256;

  __device__ static std::uint32_t word(const float* x) { return tf32(*x); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    multiply_add_tf32(a, b, d);
  }
};

// Each number as the sum of two of TF32, and all products but that of the small parts: 21 bits.
struct Tf32x3 : Tf32 {
  __device__ static std::uint32_t word(const float* x) { return bits_of(*x); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    RegistersA a_large, a_small;
    RegistersB b_large, b_small;
    for (int n = 0; n < 4; ++n) split(a[n], a_large[n], a_small[n]);
    for (int n = 0; n < 2; ++n) split(b[n], b_large[n], b_small[n]);
    multiply_add_tf32(a_small, b_large, d);
    multiply_add_tf32(a_large, b_small, d);
    multiply_add_tf32(a_large, b_large, d);
  }
  __device__ static void split(std::uint32_t x, std::uint32_t& large, std::uint32_t& small) {
    large = tf32(float_of(x));
    small = tf32(float_of(x) - float_of(large));
  }
};

template <class A>
AVSA_HD int words(std::int64_t D) {
  return int(round_up(ceil_div(D, A::kWord), 8));
}
template <class A>
AVSA_HD int row_stride(std::int64_t D) {
  return words<A>(D) + 4;
}

// Normalised rows; zeros beyond the last row or dimension.
template <class A>
__device__ void load_rows(const Rows& rows, std::int64_t first, int count, std::int64_t D, std::uint32_t* to) {
  const float* data = static_cast<const float*>(rows.data);
  const int width = words<A>(D);
  for (int e = threadIdx.x; e < count * width; e += kThreads) {
    const std::int64_t row = first + e / width, d = e % width * A::kWord;
    float x[A::kWord] = {};
    if (row < rows.count) {
      const double inverse = rows.statistics[row * kStatistics + kInverse];
      for (int n = 0; n < A::kWord; ++n) x[n] = d + n < D ? float(data[row * D + d + n] * inverse) : 0;
    }
    to[e / width * row_stride<A>(D) + e % width] = A::word(x);
  }
}

// Of bfloat16, dimensions [begin, begin + kGradient) of a tile's rows as pairs of neighbouring rows: [kOther / 2,
// kPairStride].
__device__ void turn_rows(const std::uint32_t* rows, int begin, std::int64_t D, std::uint32_t* to) {
  const int stride = row_stride<Bf16>(D);
  for (int e = threadIdx.x; e < kOther / 2 * kGradient / 2; e += kThreads) {
    const int pair = e / (kGradient / 2), word = e % (kGradient / 2), from = begin / 2 + word;
    const bool inside = from < words<Bf16>(D);
    const std::uint32_t x = inside ? rows[2 * pair * stride + from] : 0;
    const std::uint32_t y = inside ? rows[(2 * pair + 1) * stride + from] : 0;
    to[pair * kPairStride + 2 * word] = (x & 0xffffu) | y << 16;
    to[pair * kPairStride + 2 * word + 1] = x >> 16 | (y & 0xffff0000u);
  }
}

using Weights = float[kColumns][4];        // of a warp for a tile, as D holds them
using Gradient = float[kGradient / 8][4];  // of a warp's rows, as D holds it

// sum += weights times dimensions from `begin` on of the tile's rows. turned: as turn_rows leaves them.
__device__ void multiply_back(Bf16, const Weights& w, const std::uint32_t*, const std::uint32_t* turned, int,
                              std::int64_t, Gradient& sum) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  AVSA_UNROLL
  for (int k = 0; k < kColumns; k += 2) {  // 16 other rows
    const RegistersA a = {bfloat16_pair(w[k][0], w[k][1]), bfloat16_pair(w[k][2], w[k][3]),
                          bfloat16_pair(w[k + 1][0], w[k + 1][1]), bfloat16_pair(w[k + 1][2], w[k + 1][3])};
    AVSA_UNROLL
    for (int c = 0; c < kGradient / 8; ++c) {
      const std::uint32_t* column = turned + (k * 4 + t) * kPairStride + c * 8 + g;
      const RegistersB b = {column[0], column[4 * kPairStride]};
      Bf16::multiply_add(a, b, sum[c]);
    }
  }
}

// Of TF32, other rows 2t and 2t + 1 of eight stand at depths t and t + 4: the order of a sum is free.
template <class A>
__device__ void multiply_back(A, const Weights& w, const std::uint32_t* other, const std::uint32_t*, int begin,
                              std::int64_t D, Gradient& sum) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4, stride = row_stride<A>(D);
  AVSA_UNROLL
  for (int k = 0; k < kColumns; ++k) {
    const RegistersA a = {A::word(&w[k][0]), A::word(&w[k][2]), A::word(&w[k][1]), A::word(&w[k][3])};
    AVSA_UNROLL
    for (int c = 0; c < kGradient / 8; ++c) {
      const std::uint32_t* column = other + (k * 8 + 2 * t) * stride + begin + c * 8 + g;
      const bool inside = begin + c * 8 < words<A>(D);
      const RegistersB b = {inside ? column[0] : 0, inside ? column[stride] : 0};
      A::multiply_add(a, b, sum[c]);
    }
  }
}

// A tile's other rows, beside what a kernel keeps of them.
struct Others {
  Label label[kOther];
  float below[kOther], factor[kOther];  // of their weights
};

// x = a warp's cosines with a tile, times the scale; -infinity where rows do not compete.
template <class A>
__device__ void cosines(const Pass& pass, const Label (&own)[2], std::int64_t tile, const Others& others,
                        const std::uint32_t* own_words, const std::uint32_t* other_words, Weights& x) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4, stride = row_stride<A>(pass.D);
  const std::uint32_t* rows = own_words + (threadIdx.x / kWarp * 16 + g) * stride + t;
  for (int c = 0; c < kColumns; ++c)
    for (int n = 0; n < 4; ++n) x[c][n] = 0;
  for (int k = 0; k < words<A>(pass.D); k += 8) {
    const RegistersA a = {rows[k], rows[k + 8 * stride], rows[k + 4], rows[k + 8 * stride + 4]};
    AVSA_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const std::uint32_t* column = other_words + (c * 8 + g) * stride + t + k;
      const RegistersB b = {column[0], column[4]};
      A::multiply_add(a, b, x[c]);
    }
  }
  const float scale = float(*pass.scale);
  AVSA_UNROLL
  for (int e = 0; e < 4 * kColumns; ++e) {
    const int c = e / 4, n = e % 4, j = c * 8 + t * 2 + n % 2;
    const bool competes = tile + j < pass.other.count && compete(own[n / 2], others.label[j]);
    x[c][n] = competes ? scale * x[c][n] : -kInfinity<float>;
  }
}

// Shared memory of a block of threads: own rows, a tile's rows, and their pairs.
template <class A>
struct Shared {
  std::uint32_t *own, *other, *turned;

  __device__ Shared(std::uint32_t* memory, std::int64_t D)
      : own(memory), other(own + kOwn * row_stride<A>(D)), turned(other + kOther * row_stride<A>(D)) {}
  static std::size_t bytes(std::int64_t D, bool gathers) {
    const int turned = gathers && A::kWord == 2 ? kOther / 2 * kPairStride : 0;
    return std::size_t((kOwn + kOther) * row_stride<A>(D) + turned) * sizeof(std::uint32_t);
  }
};

// The row of a block's first that a lane has two of: this one, and 8 later.
__device__ int lane_row() { return int(threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4); }

template <class A>
__global__ void __launch_bounds__(kThreads) scan_kernel(Pass pass, double* sums) {
  __shared__ Others others;
  const Shared<A> shared(dynamic_shared<std::uint32_t>(), pass.D);
  const std::int64_t block = std::int64_t(blockIdx.x) * kOwn, row = block + lane_row();
  const Label own[2] = {Label(pass.own.first + row, pass.K), Label(pass.own.first + row + 8, pass.K)};
  load_rows<A>(pass.own, block, kOwn, pass.D, shared.own);
  float top[2] = {kLowest<float>, kLowest<float>};
  double sum[2] = {};  // of exp(x - top)
  Weights x;
  for (std::int64_t tile = 0; tile < pass.other.count; tile += kOther) {
    __syncthreads();
    load_rows<A>(pass.other, tile, kOther, pass.D, shared.other);
    if (threadIdx.x < kOther) others.label[threadIdx.x] = Label(pass.other.first + tile + threadIdx.x, pass.K);
    __syncthreads();
    cosines<A>(pass, own, tile, others, shared.own, shared.other, x);
    AVSA_UNROLL
    for (int half = 0; half < 2; ++half) {
      float highest = top[half], part = 0;
      AVSA_UNROLL
      for (int c = 0; c < kColumns; ++c)
        for (int n = 2 * half; n < 2 * half + 2; ++n) highest = x[c][n] > highest ? x[c][n] : highest;
      AVSA_UNROLL
      for (int c = 0; c < kColumns; ++c)
        for (int n = 2 * half; n < 2 * half + 2; ++n) part += std::exp(x[c][n] - highest);
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
template <class A>
__global__ void __launch_bounds__(kThreads) gather_kernel(Pass pass, float* grad) {
  __shared__ Others others;
  const Shared<A> shared(dynamic_shared<std::uint32_t>(), pass.D);
  const std::int64_t block = std::int64_t(blockIdx.x) * kOwn, row = block + lane_row();
  const int begin = int(blockIdx.y) * kGradient, t = int(threadIdx.x % 4);
  const Label own[2] = {Label(pass.own.first + row, pass.K), Label(pass.own.first + row + 8, pass.K)};
  const float scale = float(*pass.scale);
  float below[2] = {scale, scale}, factor[2] = {};
  for (int half = 0; half < 2; ++half) {
    if (!pass.own_chooses || row + 8 * half >= pass.own.count) continue;
    const Weight<float> weight(pass.own, row + 8 * half, *pass.scale);
    below[half] = weight.below;
    factor[half] = weight.factor;
  }
  load_rows<A>(pass.own, block, kOwn, pass.D, shared.own);
  Gradient sum = {};
  Weights x;
  for (std::int64_t tile = 0; tile < pass.other.count; tile += kOther) {
    __syncthreads();
    load_rows<A>(pass.other, tile, kOther, pass.D, shared.other);
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
    if constexpr (A::kWord == 2) turn_rows(shared.other, begin, pass.D, shared.turned);
    cosines<A>(pass, own, tile, others, shared.own, shared.other, x);
    AVSA_UNROLL
    for (int e = 0; e < 4 * kColumns; ++e) {
      const int c = e / 4, n = e % 4, j = c * 8 + t * 2 + n % 2;
      x[c][n] =
          std::exp(x[c][n] - below[n / 2]) * factor[n / 2] + std::exp(x[c][n] - others.below[j]) * others.factor[j];
    }
    __syncthreads();
    multiply_back(A(), x, shared.other, shared.turned, begin, pass.D, sum);
  }
  AVSA_UNROLL
  for (int e = 0; e < kGradient / 2; ++e) {
    const int c = e / 4, n = e % 4;
    const std::int64_t to = row + n / 2 * 8, d = begin + c * 8 + t * 2 + n % 2;
    if (to < pass.own.count && d < pass.D) grad[to * pass.D + d] += sum[c][n];
  }
}

unsigned blocks_for(const Pass& pass) { return unsigned(ceil_div(pass.own.count, kOwn)); }

template <class A>
int scan(const InfoNceScan& task, void* stream) {
  const std::size_t shared = Shared<A>::bytes(task.block.D, false);
  for (const bool keys : {false, true}) {
    if (keys && !task.block.symmetric) break;
    const Pass pass(task.block, keys);
    double* sums = keys ? task.key_sums : task.query_sums;
    if (int error = launch(scan_kernel<A>, dim3(blocks_for(pass)), dim3(kThreads), shared, stream, pass, sums))
      return error;
  }
  return 0;
}

template <class A>
int gather(const InfoNceGather& task, void* stream) {
  const std::size_t shared = Shared<A>::bytes(task.block.D, true);
  for (const bool keys : {false, true}) {
    const Pass pass(task.block, keys);
    const dim3 grid(blocks_for(pass), unsigned(ceil_div(task.block.D, kGradient)));
    float* grad = static_cast<float*>(keys ? task.key_grad : task.query_grad);
    if (int error = launch(gather_kernel<A>, grid, dim3(kThreads), shared, stream, pass, grad)) return error;
  }
  return 0;
}

}  // namespace

bool fits_matrix_units(const InfoNceBlock& block) {
  const std::int64_t most = block.precision == Precision::bf16 ? Bf16::kMost : Tf32::kMost;
  return block.precision != Precision::fp32 && block.dtype == Dtype::float32 && block.D <= most;
}

int info_nce_scan_mma(const InfoNceScan& task, void* stream) {
  const Precision precision = task.block.precision;
  return precision == Precision::bf16   ? scan<Bf16>(task, stream)
         : precision == Precision::tf32 ? scan<Tf32>(task, stream)
                                        : scan<Tf32x3>(task, stream);
}

int info_nce_gather_mma(const InfoNceGather& task, void* stream) {
  const Precision precision = task.block.precision;
  return precision == Precision::bf16   ? gather<Bf16>(task, stream)
         : precision == Precision::tf32 ? gather<Tf32>(task, stream)
                                        : gather<Tf32x3>(task, stream);
}

}  // namespace avsa
