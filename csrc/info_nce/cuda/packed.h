// Rows packed for matrix units: normalised, as words of an arithmetic, in the order in which shared memory holds them,
// so that a copy is a copy of bytes.
//
// A row's words fill whole panels of 128 bytes. Of 128 rows a panel each is [128 rows, 8 chunks of 16 bytes], and row
// r's chunk c lies at place c ^ (r mod 8): rows that lanes read together lie in different banks. It is the 128-byte
// swizzle that wgmma's descriptors know.
#pragma once
#include <algorithm>
#include <utility>

#include "info_nce/cuda/mma.h"
#include "info_nce/cuda/passes.h"

namespace avsa::info_nce {

constexpr int kPanel = 128, kChunk = 16;  // bytes
constexpr int kChunks = kPanel / kChunk;
constexpr int kPackedRows = 128;  // rows are packed by so many; those beyond the last are zeros
#ifdef AVSA_EMULATE
constexpr int kGroups = 2;  // so that tests see groups with more than one block of rows
#else
constexpr int kGroups = 256;  // most blocks of threads that sum columns, each for itself
#endif

struct alignas(kChunk) Chunk {
  std::uint32_t word[4];
};

// An arithmetic: kWord bytes a word, how numbers become words of 32 bits, how those are multiplied, and whether
// exponentials are to be as exact as float.
struct Bf16 {
  static constexpr int kWord = 2;
  static constexpr bool kExact = false;

  __device__ static std::uint32_t word(const float* x) { return bfloat16_pair(x[0], x[1]); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    multiply_add_bf16(a, b, d);
  }
};

struct Tf32 {
  static constexpr int kWord = 4;
  static constexpr bool kExact = false;

  __device__ static std::uint32_t word(const float* x) { return tf32(*x); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    multiply_add_tf32(a, b, d);
  }
};

// Each number as the sum of two of TF32, and all products but that of the small parts: 21 bits.
struct Tf32x3 : Tf32 {
  static constexpr bool kExact = true;

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

AVSA_HD int panels_of(std::int64_t D, int word) { return int(ceil_div(D * word, kPanel)); }
// As a block's rows are packed: wgmma takes two panels at a time.
inline int packed_panels(const InfoNceBlock& block, int word) {
  const int panels = panels_of(block.D, word);
  return uses_wgmma(block) ? int(round_up(panels, 2)) : panels;
}

// Where a chunk lies, counted in bytes from the first of a panel's rows.
AVSA_HD int chunk_at(int row, int chunk) { return row * kPanel + (chunk ^ row % 8) * kChunk; }

// How a row weighs others: factor * exp(scale * cosine - below), below in units of A's exponentials.
struct RowWeight {
  float below, factor;
};

// Exponentials of scale * cosine - below, the exponent in units: powers of e where kExact, of 2 where not.
template <class A>
struct Exponential {
  static constexpr double kUnit = A::kExact ? 1 : 1.4426950408889634;

  __device__ static float of(float x) {
    if constexpr (A::kExact) return std::exp(x);
#ifdef AVSA_EMULATE
    return std::exp2(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
  }
};

// What a block's workspace holds: packed queries, packed keys, their weights, and sums of columns by groups of threads.
struct Workspace {
  std::int64_t words[2], weights[2], columns;  // bytes

  explicit Workspace(const InfoNceBlock& block) {
    const std::int64_t row = packed_panels(block, block.precision == Precision::bf16 ? 2 : 4) * kPanel;
    const std::int64_t rows[2] = {round_up(block.query.count, kPackedRows), round_up(block.key.count, kPackedRows)};
    for (int side = 0; side < 2; ++side) {
      words[side] = rows[side] * row;
      weights[side] = rows[side] * std::int64_t(sizeof(RowWeight));
    }
    const std::int64_t groups = std::min<std::int64_t>(ceil_div(block.query.count, kPackedRows / 2), kGroups);
    columns = block.symmetric ? groups * rows[1] * std::int64_t(sizeof(float)) : 0;
  }
  std::int64_t bytes() const { return words[0] + words[1] + weights[0] + weights[1] + columns; }
};

// A pass over packed rows.
struct PackedPass : Pass {
  unsigned char *own_words, *other_words;  // [ceil(rows / kPackedRows), panels, kPackedRows, kPanel]
  RowWeight *own_weights, *other_weights;  // [rows]
  float* columns;                          // [groups, other rows to whole kPackedRows]
  int panels;

  PackedPass(const InfoNceBlock& block, bool keys, int word) : Pass(block, keys), panels(packed_panels(block, word)) {
    const Workspace sizes(block);
    auto* place = static_cast<unsigned char*>(block.workspace);
    const auto take = [&](std::int64_t bytes) { return std::exchange(place, place + bytes); };
    unsigned char* words[2] = {take(sizes.words[0]), take(sizes.words[1])};
    unsigned char* weights[2] = {take(sizes.weights[0]), take(sizes.weights[1])};
    own_words = words[keys];
    other_words = words[!keys];
    own_weights = reinterpret_cast<RowWeight*>(weights[keys]);
    other_weights = reinterpret_cast<RowWeight*>(weights[!keys]);
    columns = reinterpret_cast<float*>(place);
  }
  // Of rows [first, first + kPackedRows), which start there.
  __device__ static const unsigned char* rows(const unsigned char* words, std::int64_t first, int panels) {
    return words + first / kPackedRows * panels * kPackedRows * kPanel + first % kPackedRows * kPanel;
  }
};

// Packs own rows, a thread a chunk.
template <class A>
__global__ void pack_kernel(PackedPass pass) {
  constexpr int kNumbers = kChunk / A::kWord;
  const std::int64_t chunk = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x, chunks = pass.panels * kChunks;
  const std::int64_t row = chunk / chunks, d = chunk % chunks * kNumbers;
  if (row >= round_up(pass.own.count, kPackedRows)) return;
  float x[kNumbers] = {};
  if (row < pass.own.count) {
    const float* from = static_cast<const float*>(pass.own.data) + row * pass.D;
    const double inverse = pass.own.statistics[row * kStatistics + kInverse];
    for (int n = 0; n < kNumbers; ++n) x[n] = d + n < pass.D ? float(from[d + n] * inverse) : 0;
  }
  Chunk words;
  for (int n = 0; n < 4; ++n) words.word[n] = A::word(x + n * (4 / A::kWord));
  unsigned char* panel =
      pass.own_words + (row / kPackedRows * pass.panels + chunk % chunks / kChunks) * kPackedRows * kPanel;
  *reinterpret_cast<Chunk*>(panel + chunk_at(int(row % kPackedRows), int(chunk % kChunks))) = words;
  if (d > 0) return;
  RowWeight weight = {float(*pass.scale * Exponential<A>::kUnit), 0};
  if (pass.own_chooses && row < pass.own.count) {
    const double* statistics = pass.own.statistics + row * kStatistics;
    const double exponent = *pass.scale * statistics[kCosine] + statistics[kLoss];
    if (!shares_exponential(*pass.scale)) weight.below = float(exponent * Exponential<A>::kUnit);
    weight.factor = float(std::exp(weight.below / Exponential<A>::kUnit - exponent));
  }
  pass.own_weights[row] = weight;
}

// Both sides of a block.
template <class A>
int pack(const InfoNceBlock& block, void* stream) {
  constexpr int kThreads = 256;
  for (const bool keys : {false, true}) {
    const PackedPass pass(block, keys, A::kWord);
    const std::int64_t chunks = round_up(pass.own.count, kPackedRows) * pass.panels * kChunks;
    const dim3 grid(unsigned(ceil_div(chunks, kThreads)));
    if (int error = launch(pack_kernel<A>, grid, dim3(kThreads), 0, stream, pass)) return error;
  }
  return 0;
}

}  // namespace avsa::info_nce
