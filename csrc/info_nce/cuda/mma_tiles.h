// What the kernels on mma.sync have in common: the division of rows and shared memory within a thread block, and a
// warp's products of its own rows with a tile of other rows: cosines, and back to the gradient.
#pragma once
#include "info_nce/cuda/fragments.h"

namespace avsa::info_nce {

constexpr int kMmaWarps = 4, kMmaThreads = kMmaWarps * kWarp;

// Rows of a thread block: each warp has kFragments fragments of 16 own rows, and a tile is kColumns * 8 other rows.
template <int kFragments_, int kColumns_>
struct Shape {
  static constexpr int kFragments = kFragments_, kColumns = kColumns_;
  static constexpr int kOwnRows = 16 * kFragments * kMmaWarps, kOtherRows = 8 * kColumns;
};
// The gradient, and both parts of split numbers, leave fewer registers for cosines.
template <class A, bool for_gradient>
using Wide = Shape<2, for_gradient || A::kExact ? 4 : 8>;
constexpr int kMaxWidePanels = 4;  // beyond, two thread blocks of the next shape fit where one of this would
using Narrow = Shape<1, 4>;
using Narrowest = Shape<1, 2>;  // kMaxPanels of which fit into the 99 KiB of the smallest devices

// Shared memory of a thread block: what it needs besides rows, own rows [panels, kOwnRows, kPanel], and two tiles
// [panels, kOtherRows, kPanel].
template <class S, bool for_gradient>
struct SharedTiles {
  struct Head {
    OtherRows<S::kOtherRows> others[2];                             // of two tiles, as the next
    float columns[2][kMmaWarps][for_gradient ? 1 : S::kOtherRows];  // a scan's sums over each warp's own rows
  };
  static_assert(sizeof(Head) % kChunk == 0);
  static std::size_t bytes(int panels) {
    return sizeof(Head) + std::size_t(S::kOwnRows + 2 * S::kOtherRows) * panels * kPanel;
  }

  Head& head;
  unsigned char* own;
  int panels;

  __device__ explicit SharedTiles(int panels)
      : head(*dynamic_shared<Head>()), own(dynamic_shared<unsigned char>() + sizeof(Head)), panels(panels) {}
  __device__ unsigned char* tile(std::int64_t n) const {
    return own + (S::kOwnRows + int(n % 2) * S::kOtherRows) * panels * kPanel;
  }
};
static_assert(sizeof(SharedTiles<Narrowest, false>::Head) +
                  std::size_t(Narrowest::kOwnRows + 2 * Narrowest::kOtherRows) * kMaxPanels * kPanel <=
              99 << 10);

// Starts copies of kRows packed rows from `first` on, by all threads of the block.
template <int kRows>
__device__ void copy_rows(const unsigned char* words, std::int64_t first, int panels, unsigned char* to) {
  const unsigned char* from = PackedPass::rows(words, first, panels);
  AVSA_KEEP_LOOP
  for (int e = threadIdx.x; e < panels * kRows * kChunks; e += kMmaThreads) {
    const int panel = e / (kRows * kChunks), chunk = e % (kRows * kChunks);
    copy_16_bytes(to + e * kChunk, from + panel * kPackedRows * kPanel + chunk * kChunk);
  }
}

template <class S>
using Cosines = float[S::kFragments][S::kColumns][4];

// x = cosines of the warp's own rows with a tile; own: address of the thread block's own rows.
template <class A, class S>
__device__ void compute_cosines(SharedAddress own, SharedAddress tile, int panels, Cosines<S>& x) {
  const int lane = threadIdx.x % kWarp, matrix = lane / 8, row = lane % 8, warp = threadIdx.x / kWarp;
  AVSA_UNROLL
  for (int e = 0; e < S::kFragments * S::kColumns * 4; ++e) x[e / 4 / S::kColumns][e / 4 % S::kColumns][e % 4] = 0;
  own += (warp * S::kFragments * 16 + matrix % 2 * 8 + row) * kPanel;
  tile += (matrix / 2 * 8 + row) * kPanel;
  AVSA_KEEP_LOOP
  for (int panel = 0; panel < panels; ++panel, own += S::kOwnRows * kPanel, tile += S::kOtherRows * kPanel) {
    AVSA_UNROLL
    for (int k = 0; k < kChunks; k += 2) {
      RegistersA a[S::kFragments];
      AVSA_UNROLL
      for (int r = 0; r < S::kFragments; ++r) ldmatrix(own + r * 16 * kPanel + (k ^ matrix / 2 ^ row) * kChunk, a[r]);
      AVSA_UNROLL
      for (int c = 0; c < S::kColumns; c += 2) {
        std::uint32_t b[4];
        ldmatrix(tile + c * 8 * kPanel + (k ^ matrix % 2 ^ row) * kChunk, b);
        AVSA_UNROLL
        for (int r = 0; r < S::kFragments; ++r) {
          A::multiply_add(a[r], {b[0], b[1]}, x[r][c]);
          A::multiply_add(a[r], {b[2], b[3]}, x[r][c + 1]);
        }
      }
    }
  }
}

template <class S>
using Gradient = float[S::kFragments][kGradientDims / 8][4];  // of the warp's own rows

// sum += weights w times the dimensions of the tile's first `panels` panels, 16 other rows at a time. The cosines'
// registers, D of their product, are A of this one.
template <class S>
__device__ void accumulate_gradient_bf16(const Cosines<S>& w, SharedAddress tile, int panels, Gradient<S>& sum) {
  const int lane = threadIdx.x % kWarp, matrix = lane / 8, row = lane % 8;
  tile += (matrix % 2 * 8 + row) * kPanel;
  AVSA_UNROLL
  for (int k = 0; k < S::kColumns; k += 2) {
    RegistersA a[S::kFragments];
    AVSA_UNROLL
    for (int r = 0; r < S::kFragments; ++r)
      for (int n = 0; n < 4; ++n) a[r][n] = bfloat16_pair(w[r][k + n / 2][n % 2 * 2], w[r][k + n / 2][n % 2 * 2 + 1]);
    AVSA_UNROLL
    for (int c = 0; c < kGradientDims / 8; c += 2) {
      if (c / kChunks >= panels) break;
      std::uint32_t b[4];
      ldmatrix_transposed(
          tile + (c / kChunks * S::kOtherRows + k * 8) * kPanel + (c % kChunks ^ matrix / 2 ^ row) * kChunk, b);
      AVSA_UNROLL
      for (int r = 0; r < S::kFragments; ++r) {
        Bf16::multiply_add(a[r], {b[0], b[1]}, sum[r][c]);
        Bf16::multiply_add(a[r], {b[2], b[3]}, sum[r][c + 1]);
      }
    }
  }
}

// The same for TF32, 8 other rows at a time, of which rows 2t and 2t + 1 take the places of depths t and t + 4: the
// order of the rows in the sum is free.
template <class A, class S>
__device__ void accumulate_gradient_tf32(const Cosines<S>& w, SharedAddress tile, int panels, Gradient<S>& sum) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  tile += 2 * t * kPanel + g % 4 * 4;
  AVSA_UNROLL
  for (int k = 0; k < S::kColumns; ++k) {
    RegistersA a[S::kFragments];
    AVSA_UNROLL
    for (int r = 0; r < S::kFragments; ++r)
      for (int n = 0; n < 4; ++n) a[r][n] = A::word(&w[r][k][n % 2 * 2 + n / 2]);
    AVSA_UNROLL
    for (int c = 0; c < kGradientDims / 8; ++c) {
      if (c / 4 >= panels) break;
      RegistersB b;
      for (int n = 0; n < 2; ++n)
        b[n] =
            load_word(tile + (c / 4 * S::kOtherRows + k * 8 + n) * kPanel + (c % 4 * 2 ^ g / 4 ^ 2 * t ^ n) * kChunk);
      AVSA_UNROLL
      for (int r = 0; r < S::kFragments; ++r) A::multiply_add(a[r], b, sum[r][c]);
    }
  }
}

}  // namespace avsa::info_nce
