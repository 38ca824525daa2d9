// What the kernels on mma.sync share: how a block of threads divides its work and its shared memory, and the products
// of a warp's own rows with a tile of other rows, there and back.
#pragma once
#include "info_nce/cuda/fragments.h"

namespace avsa::info_nce {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kGradient = 128;  // dimensions of the gradient that a block of threads gathers

// How much a block of threads takes on: kRows fragments of 16 own rows a warp, kColumns * 8 rows a tile. Rows of more
// bytes get less: shared memory holds a block's own rows and two tiles.
template <int kRows_, int kColumns_>
struct Shape {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kOwn = 16 * kRows * kWarps, kOther = 8 * kColumns;
  static std::size_t bytes(int panels) { return std::size_t(kOwn + 2 * kOther) * panels * kPanel; }
};
constexpr int kWidePanels = 4, kMostPanels = 8;
using Narrow = Shape<1, 4>;
// Registers hold the gradient too, or both parts of numbers.
template <class A, bool gathers>
using Wide = Shape<2, gathers || A::kExact ? 4 : 8>;

// Shared memory of a block of threads, each part [panels, rows, kPanel].
template <class S>
struct Shared {
  unsigned char* own;
  int panels;

  __device__ explicit Shared(int panels) : own(dynamic_shared<unsigned char>()), panels(panels) {}
  __device__ unsigned char* tile(std::int64_t n) const {
    return own + (S::kOwn + int(n % 2) * S::kOther) * panels * kPanel;
  }
};

template <int kRows>
__device__ void copy_rows(const unsigned char* words, std::int64_t first, int panels, unsigned char* to) {
  const unsigned char* from = PackedPass::rows(words, first, panels);
  AVSA_KEEP_LOOP
  for (int e = threadIdx.x; e < panels * kRows * kChunks; e += kThreads) {
    const int panel = e / (kRows * kChunks), chunk = e % (kRows * kChunks);
    copy_16_bytes(to + e * kChunk, from + panel * kPackedRows * kPanel + chunk * kChunk);
  }
}

template <class S>
using Cosines = float[S::kRows][S::kColumns][4];

// x = a warp's cosines with a tile.
template <class A, class S>
__device__ void multiply(SharedPlace own, SharedPlace tile, int panels, Cosines<S>& x) {
  const int lane = threadIdx.x % kWarp, matrix = lane / 8, row = lane % 8, warp = threadIdx.x / kWarp;
  AVSA_UNROLL
  for (int e = 0; e < S::kRows * S::kColumns * 4; ++e) x[e / 4 / S::kColumns][e / 4 % S::kColumns][e % 4] = 0;
  own += (warp * S::kRows * 16 + matrix % 2 * 8 + row) * kPanel;
  tile += (matrix / 2 * 8 + row) * kPanel;
  AVSA_KEEP_LOOP
  for (int panel = 0; panel < panels; ++panel, own += S::kOwn * kPanel, tile += S::kOther * kPanel) {
    AVSA_UNROLL
    for (int k = 0; k < kChunks; k += 2) {
      RegistersA a[S::kRows];
      AVSA_UNROLL
      for (int r = 0; r < S::kRows; ++r) load_matrices(own + r * 16 * kPanel + (k ^ matrix / 2 ^ row) * kChunk, a[r]);
      AVSA_UNROLL
      for (int c = 0; c < S::kColumns; c += 2) {
        std::uint32_t b[4];
        load_matrices(tile + c * 8 * kPanel + (k ^ matrix % 2 ^ row) * kChunk, b);
        AVSA_UNROLL
        for (int r = 0; r < S::kRows; ++r) {
          A::multiply_add(a[r], {b[0], b[1]}, x[r][c]);
          A::multiply_add(a[r], {b[2], b[3]}, x[r][c + 1]);
        }
      }
    }
  }
}

template <class S>
using Gradient = float[S::kRows][kGradient / 8][4];  // of a warp's rows, as D holds it

// sum += weights times the dimensions of the tile's first `panels` panels. Of bfloat16, 16 other rows at a time.
template <class S>
__device__ void multiply_back_halves(const Cosines<S>& w, SharedPlace tile, int panels, Gradient<S>& sum) {
  const int lane = threadIdx.x % kWarp, matrix = lane / 8, row = lane % 8;
  tile += (matrix % 2 * 8 + row) * kPanel;
  AVSA_UNROLL
  for (int k = 0; k < S::kColumns; k += 2) {
    RegistersA a[S::kRows];
    AVSA_UNROLL
    for (int r = 0; r < S::kRows; ++r)
      for (int n = 0; n < 4; ++n) a[r][n] = bfloat16_pair(w[r][k + n / 2][n % 2 * 2], w[r][k + n / 2][n % 2 * 2 + 1]);
    AVSA_UNROLL
    for (int c = 0; c < kGradient / 8; c += 2) {
      if (c / kChunks >= panels) break;
      std::uint32_t b[4];
      load_matrices_turned(
          tile + (c / kChunks * S::kOther + k * 8) * kPanel + (c % kChunks ^ matrix / 2 ^ row) * kChunk, b);
      AVSA_UNROLL
      for (int r = 0; r < S::kRows; ++r) {
        Bf16::multiply_add(a[r], {b[0], b[1]}, sum[r][c]);
        Bf16::multiply_add(a[r], {b[2], b[3]}, sum[r][c + 1]);
      }
    }
  }
}

// Of TF32, other rows 2t and 2t + 1 of eight stand at depths t and t + 4: the order of a sum is free.
template <class A, class S>
__device__ void multiply_back_words(const Cosines<S>& w, SharedPlace tile, int panels, Gradient<S>& sum) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  tile += 2 * t * kPanel + g % 4 * 4;
  AVSA_UNROLL
  for (int k = 0; k < S::kColumns; ++k) {
    RegistersA a[S::kRows];
    AVSA_UNROLL
    for (int r = 0; r < S::kRows; ++r)
      for (int n = 0; n < 4; ++n) a[r][n] = A::word(&w[r][k][n % 2 * 2 + n / 2]);
    AVSA_UNROLL
    for (int c = 0; c < kGradient / 8; ++c) {
      if (c / 4 >= panels) break;
      RegistersB b;
      for (int n = 0; n < 2; ++n)
        b[n] = load_word(tile + (c / 4 * S::kOther + k * 8 + n) * kPanel + (c % 4 * 2 ^ g / 4 ^ 2 * t ^ n) * kChunk);
      AVSA_UNROLL
      for (int r = 0; r < S::kRows; ++r) A::multiply_add(a[r], b, sum[r][c]);
    }
  }
}

}  // namespace avsa::info_nce
