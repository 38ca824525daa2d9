// Passes of the device kernels, and rows packed for matrix units: normalised, as words of an arithmetic, in the order
// in which shared memory holds them, so that loading a tile copies bytes.
//
// A row's words fill whole panels of 128 bytes. 128 rows are stored panel by panel, each [128 rows, 8 chunks of 16
// bytes], with chunk c of row r at position c ^ r % 8: rows that lanes read together lie in different banks. It is the
// 128-byte swizzle of operand_descriptor.
#pragma once
#include <algorithm>
#include <utility>

#include "info_nce/cuda/device.h"
#include "info_nce/info_nce.h"

namespace avsa::info_nce {

// A pass over a block: the grid divides one side's rows, each thread block's own rows, and goes through all rows of the
// other side.
struct Pass {
  RowRange own, other;
  std::int64_t D, K;
  const double* scale;
  bool own_has_losses, other_has_losses;

  Pass(const InfoNceBlock& block, bool keys)
      : own(keys ? block.key : block.query),
        other(keys ? block.query : block.key),
        D(block.D),
        K(block.K),
        scale(block.scale),
        own_has_losses(!keys || block.symmetric),
        other_has_losses(keys || block.symmetric) {}
};

// Blocks of a precision other than fp32: by mma.sync (info_nce_mma.cu), or by wgmma (info_nce_wgmma.cu) if the block
// asks for it.
bool fits_matrix_units(const InfoNceBlock& block);
bool uses_wgmma(const InfoNceBlock& block);
int info_nce_scan_mma(const InfoNceScan& task, void* stream);
int info_nce_scan_wgmma(const InfoNceScan& task, void* stream);
int info_nce_gradient_mma(const InfoNceGradient& task, void* stream);
int info_nce_gradient_wgmma(const InfoNceGradient& task, void* stream);

constexpr int kPanel = 128, kChunk = 16;  // bytes
constexpr int kChunks = kPanel / kChunk;
constexpr int kPackedRows = 128;  // rows are stored in groups of this many; those beyond the last are zeros
constexpr int kMaxPanels = 8;     // of a row, for matrix units

struct alignas(kChunk) Chunk {
  std::uint32_t word[4];
};

// An arithmetic: bytes per number, how numbers become registers of 32 bits, how these are multiplied, and whether
// exponentials have to be as exact as float.
struct Bf16 {
  static constexpr int kWord = 2;
  static constexpr bool kExact = false;

  __device__ static std::uint32_t word(const float* x) { return bfloat16_pair(x[0], x[1]); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) { mma_bf16(a, b, d); }
};

struct Tf32 {
  static constexpr int kWord = 4;
  static constexpr bool kExact = false;

  __device__ static std::uint32_t word(const float* x) { return tf32(*x); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) { mma_tf32(a, b, d); }
};

// Each number as the sum of two of TF32, large and small; of their products all but small times small: 21 bits.
struct Tf32x3 : Tf32 {
  static constexpr bool kExact = true;

  __device__ static std::uint32_t word(const float* x) { return bits_of(*x); }
  __device__ static void multiply_add(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
    RegistersA a_large, a_small;
    RegistersB b_large, b_small;
    for (int n = 0; n < 4; ++n) split(a[n], a_large[n], a_small[n]);
    for (int n = 0; n < 2; ++n) split(b[n], b_large[n], b_small[n]);
    mma_tf32(a_small, b_large, d);
    mma_tf32(a_large, b_small, d);
    mma_tf32(a_large, b_large, d);
  }
  __device__ static void split(std::uint32_t x, std::uint32_t& large, std::uint32_t& small) {
    large = tf32(float_of(x));
    small = tf32(float_of(x) - float_of(large));
  }
};

AVSA_HD int panels_of(std::int64_t D, int word) { return int(ceil_div(D * word, kPanel)); }
// Panels of a row as the block's rows are packed: wgmma takes two at a time.
inline int packed_panels(const InfoNceBlock& block, int word) {
  const int panels = panels_of(block.D, word);
  return uses_wgmma(block) ? int(round_up(panels, 2)) : panels;
}

// Position of a chunk in bytes from the panel's first row.
AVSA_HD int chunk_position(int row, int chunk) { return row * kPanel + (chunk ^ row % 8) * kChunk; }

// The weight of a negative in a row's loss is factor * exp(scale * cosine - offset), offset in units of Exponential<A>.
struct RowWeight {
  float offset, factor;
};

// Exponentials of x in units: powers of e if kExact, otherwise of 2.
template <class A>
struct Exponential {
  static constexpr double kUnit = A::kExact ? 1 : 1.4426950408889634;

  __device__ static float of(float x) {
    if constexpr (A::kExact)
      return std::exp(x);
    else
      return fast_exp2(x);
  }
};

// Sizes in bytes of what a block's workspace holds: packed rows and weights of queries and of keys, and each thread
// block's sums of columns.
struct Workspace {
  std::int64_t words[2], weights[2], columns;

  explicit Workspace(const InfoNceBlock& block) {
    const std::int64_t row = packed_panels(block, block.precision == Precision::bf16 ? 2 : 4) * kPanel;
    const std::int64_t rows[2] = {round_up(block.query.count, kPackedRows), round_up(block.key.count, kPackedRows)};
    for (int side = 0; side < 2; ++side) {
      words[side] = rows[side] * row;
      weights[side] = rows[side] * std::int64_t(sizeof(RowWeight));
    }
    const std::int64_t blocks = std::min<std::int64_t>(ceil_div(block.query.count, kPackedRows / 2), kMaxScanBlocks);
    columns = block.symmetric ? blocks * rows[1] * std::int64_t(sizeof(float)) : 0;
  }
  std::int64_t bytes() const { return words[0] + words[1] + weights[0] + weights[1] + columns; }
};

// A pass over packed rows, each side [ceil(count / kPackedRows), panels, kPackedRows, kPanel] bytes. Its arrays of rows
// go on to whole kPackedRows.
struct PackedPass : Pass {
  unsigned char *own_words, *other_words;
  RowWeight *own_weights, *other_weights;  // [rows], with factor 0 for rows without loss
  float* columns;                          // [thread blocks, other rows] sums of columns in a scan
  int panels;                              // of a row

  PackedPass(const InfoNceBlock& block, bool keys, int word) : Pass(block, keys), panels(packed_panels(block, word)) {
    const Workspace sizes(block);
    auto* memory = static_cast<unsigned char*>(block.workspace);
    const auto take = [&](std::int64_t bytes) { return std::exchange(memory, memory + bytes); };
    unsigned char* words[2] = {take(sizes.words[0]), take(sizes.words[1])};
    unsigned char* weights[2] = {take(sizes.weights[0]), take(sizes.weights[1])};
    own_words = words[keys];
    other_words = words[!keys];
    own_weights = reinterpret_cast<RowWeight*>(weights[keys]);
    other_weights = reinterpret_cast<RowWeight*>(weights[!keys]);
    columns = reinterpret_cast<float*>(memory);
  }
  // The first panel of row `first`, a row on which no more than kPackedRows - first % kPackedRows others follow.
  __device__ static const unsigned char* rows(const unsigned char* words, std::int64_t first, int panels) {
    return words + first / kPackedRows * panels * kPackedRows * kPanel + first % kPackedRows * kPanel;
  }
};

// Packs the pass's own rows, with one thread per chunk; that of a row's first chunk writes its weight.
template <class A>
__global__ void pack_kernel(PackedPass pass) {
  constexpr int kNumbers = kChunk / A::kWord;
  const std::int64_t chunk = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x, chunks = pass.panels * kChunks;
  const std::int64_t row = chunk / chunks, d = chunk % chunks * kNumbers;
  if (row >= round_up(pass.own.count, kPackedRows)) return;
  float x[kNumbers] = {};
  if (row < pass.own.count) {
    const float* from = static_cast<const float*>(pass.own.data) + row * pass.D;
    const double inverse = pass.own.statistics[row * kStatistics + kInverseNorm];
    for (int n = 0; n < kNumbers; ++n) x[n] = d + n < pass.D ? float(from[d + n] * inverse) : 0;
  }
  Chunk words;
  for (int n = 0; n < 4; ++n) words.word[n] = A::word(x + n * (4 / A::kWord));
  unsigned char* panel =
      pass.own_words + (row / kPackedRows * pass.panels + chunk % chunks / kChunks) * kPackedRows * kPanel;
  *reinterpret_cast<Chunk*>(panel + chunk_position(int(row % kPackedRows), int(chunk % kChunks))) = words;
  if (d > 0) return;
  RowWeight weight = {float(*pass.scale * Exponential<A>::kUnit), 0};
  if (pass.own_has_losses && row < pass.own.count) {
    const double exponent = weight_exponent(pass.own, row, *pass.scale);
    if (!has_common_maximum(*pass.scale)) weight.offset = float(exponent * Exponential<A>::kUnit);
    weight.factor = float(std::exp(weight.offset / Exponential<A>::kUnit - exponent));
  }
  pass.own_weights[row] = weight;
}

// Packs both sides of a block.
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
