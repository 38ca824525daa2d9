// What tiles.h computes with: SIMD exponentials and matrix products, rows packed for these, and a thread's memory. All
// is compiled once per instruction set. An arithmetic, A, is a class that says how numbers are packed and multiplied.
// Functions of vectors are always inlined, so that sums stay in registers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/half.h"
#include "info_nce/info_nce.h"

namespace avsa::info_nce::AVSA_ISA {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64, kProductRows = 8;  // of 32 registers, 16 hold the sums of a product
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32, kProductRows = 4;  // of 16 registers, 8
#else
constexpr int kRegisterBytes = 16, kProductRows = 4;
#endif

// Products in T, float or double: kRows x kWidth sums at a time.
template <class Number>
struct Plain {
  using T = Number;
  using Scalar = Number;   // a packed number
  using Element = Number;  // kGroup of them, neighbours along the depth of a product
  static constexpr int kGroup = 1;
  typedef T Vector __attribute__((vector_size(kRegisterBytes), aligned(alignof(T)), may_alias));
  static constexpr int kLanes = kRegisterBytes / int(sizeof(T)), kVectors = 2, kWidth = kVectors * kLanes;
  static constexpr int kRows = kProductRows;
  static constexpr bool kRoundsWeights = false;  // before they are multiplied

  static Scalar pack(T x) { return x; }
  static void multiply_add(Vector& sum, const Element& a, const Element* b) {
    sum += a * *reinterpret_cast<const Vector*>(b);
  }
};

// Products of numbers rounded to bfloat16, in float: for processors without products of bfloat16.
struct RoundedBf16 : Plain<float> {
  static constexpr bool kRoundsWeights = true;

  static float pack(float x) {
    Bfloat16 rounded;
    narrow(x, rounded);
    return widen(rounded);
  }
};

// The exponential of each lane. Of float: within 2 units in the last place, and 0 below the normal numbers.
template <class A>
[[gnu::always_inline]] inline typename A::Vector exponential(const typename A::Vector& x) {
  using V = typename A::Vector;
  if constexpr (std::is_same_v<typename A::T, double>) {
    V y = {};
    for (int lane = 0; lane < A::kLanes; ++lane) y[lane] = std::exp(x[lane]);
    return y;
  } else {
    typedef std::int32_t Integers __attribute__((vector_size(kRegisterBytes)));
    const V shifted = x * 1.44269504f + 12582912.f;  // the integer nearest to x / ln 2 in the low bits
    const V n = shifted - 12582912.f;
    const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    V y = r * (1.f / 5040) + 1.f / 720;
    y = y * r + 1.f / 120;
    y = y * r + 1.f / 24;
    y = y * r + 1.f / 6;
    y = y * r + .5f;
    y = y * r + 1.f;
    y = y * r + 1.f;
    const V power = (V)(((Integers)shifted + 127) << 23);
    return x < -87.f ? V{} : y * power;
  }
}

// The kRows x kWidth sums of a product.
template <class A>
using Sums = typename A::Vector[A::kRows][A::kVectors];

// sum[r, :] += a[r * kRowStride + k * kStep] * b[k, :] for each k < depth.
template <class A, int kRowStride, int kStep>
[[gnu::always_inline]] inline void multiply(const typename A::Element* a, const typename A::Element* b,
                                            std::int64_t depth, Sums<A>& sum) {
  Sums<A> part;  // in registers, since nobody takes its address
  for (int r = 0; r < A::kRows; ++r)
    for (int v = 0; v < A::kVectors; ++v) part[r][v] = sum[r][v];
  for (std::int64_t k = 0; k < depth; ++k) {
    for (int r = 0; r < A::kRows; ++r)
      for (int v = 0; v < A::kVectors; ++v)
        A::multiply_add(part[r][v], a[r * kRowStride + k * kStep], b + k * A::kWidth + v * A::kLanes);
  }
  for (int r = 0; r < A::kRows; ++r)
    for (int v = 0; v < A::kVectors; ++v) sum[r][v] = part[r][v];
}

// to[r * stride + d] += sum[r, d] for the first `rows` rows and `columns` columns.
template <class A>
[[gnu::always_inline]] inline void add(const Sums<A>& sum, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                                       typename A::T* to) {
  using V = typename A::Vector;
  if (columns >= A::kWidth) {
    for (int r = 0; r < A::kRows && r < rows; ++r)
      for (int v = 0; v < A::kVectors; ++v) *reinterpret_cast<V*>(to + r * stride + v * A::kLanes) += sum[r][v];
    return;
  }
  typename A::T part[A::kWidth];
  for (int r = 0; r < A::kRows && r < rows; ++r) {
    std::memcpy(part, sum[r], sizeof part);
    for (int d = 0; d < columns; ++d) to[r * stride + d] += part[d];
  }
}

// Positions of packed rows in the three layouts that products read.
template <class A>
struct Packed {
  static constexpr int W = A::kWidth, G = A::kGroup;
  std::int64_t rows, depth;  // rows filled up to whole W, and D to whole G

  Packed(std::int64_t count, std::int64_t D) : rows(round_up(count, W)), depth(round_up(D, G)) {}
  std::int64_t size() const { return rows * round_up(depth, W); }

  // Left operand of the cosines: [depth / W, rows, W].
  std::int64_t left(std::int64_t i, std::int64_t d) const { return (d / W * rows + i) * W + d % W; }
  // Right operand of the cosines, W rows next to each other: [rows / W, depth / G, W, G].
  std::int64_t right(std::int64_t i, std::int64_t d) const {
    return (i / W * depth + d - d % G) * W + i % W * G + d % G;
  }
  // Right operand of the gradient, W dimensions next to each other: [depth / W, rows / G, W, G].
  std::int64_t gradient_right(std::int64_t i, std::int64_t d) const {
    return (d / W * rows + i - i % G) * W + d % W * G + i % G;
  }
};

// Packs rows [count, D] times their inverse norms into each of the layouts that is not null.
template <class A>
void pack(const typename A::T* rows, const double* statistics, int count, std::int64_t D, typename A::Scalar* left,
          typename A::Scalar* right, typename A::Scalar* gradient_right) {
  using T = typename A::T;
  const Packed<A> layout(count, D);
  if (count < layout.rows || D % A::kWidth)
    for (typename A::Scalar* out : {left, right, gradient_right})
      if (out != nullptr) std::fill_n(out, layout.size(), typename A::Scalar(0));
  for (int i = 0; i < count; ++i) {
    const double inverse = statistics[i * kStatistics + kInverseNorm];
    for (std::int64_t first = 0; first < D; first += A::kWidth) {
      const int width = int(std::min<std::int64_t>(A::kWidth, D - first));
      const T* row = rows + i * D + first;
      typename A::Scalar unit[A::kWidth] = {};
      if (inverse > 1e-30 && inverse < 1e30)
        for (int d = 0; d < width; ++d) unit[d] = A::pack(row[d] * T(inverse));
      else  // the product in double: the inverse may not be a normal float
        for (int d = 0; d < width; ++d) unit[d] = A::pack(T(row[d] * inverse));
      if (left != nullptr) std::copy_n(unit, A::kWidth, left + layout.left(i, first));
      if (right != nullptr)
        for (int d = 0; d < width; d += A::kGroup)
          std::memcpy(right + layout.right(i, first + d), unit + d, sizeof(typename A::Element));
      if (gradient_right != nullptr)
        for (int d = 0; d < A::kWidth; ++d) gradient_right[layout.gradient_right(i, first) + d * A::kGroup] = unit[d];
    }
  }
}

constexpr int kMaxTileRows = 256;           // of a tile's side
constexpr int kStripRows = 64;              // query rows whose cosines are held at a time
constexpr int kStride = kMaxTileRows + 32;  // of rows of cosines; powers of two would share few sets of the cache

// Position of a tile within its block.
struct Tile {
  std::int64_t query, key;  // first rows
  int queries, keys;        // numbers of rows
};

// One thread's memory for a tile.
template <class A>
struct Scratch {
  using T = typename A::T;
  using Scalar = typename A::Scalar;
  T* cosines;                                                                  // [kStripRows, kStride]
  Scalar *weights, *weights_transposed;                                        // as left operands of the gradients
  Scalar *query_left, *query_gradient_right, *key_right, *key_gradient_right;  // packed rows

  Scratch(std::byte* memory, std::int64_t rows, std::int64_t D) {
    const std::int64_t packed = Packed<A>(rows, D).size();
    const auto take = [&](auto*& pointer, std::int64_t count) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(memory);
      memory += round_up(count * std::int64_t(sizeof *pointer), 64);
    };
    take(cosines, kStripRows * kStride);
    for (Scalar** matrix : {&weights, &weights_transposed}) take(*matrix, kStripRows * kStride);
    for (Scalar** side : {&query_left, &query_gradient_right, &key_right, &key_gradient_right}) take(*side, packed);
    if constexpr (A::kGroup == 1) query_gradient_right = query_left;  // the same layout
    if constexpr (std::is_same_v<T, Scalar>) weights = weights_transposed = cosines;
  }
  static std::int64_t bytes(std::int64_t rows, std::int64_t D) {
    const std::int64_t scalars = 2 * kStripRows * kStride + 4 * Packed<A>(rows, D).size();
    return round_up(kStripRows * kStride * std::int64_t(sizeof(T)) + scalars * std::int64_t(sizeof(Scalar)), 64) +
           7 * 64;
  }
};

// Packs the rows of a tile, those that only the gradient needs if `backward`.
template <class A>
void pack_tile(const InfoNceBlock& block, const Tile& tile, bool backward, const Scratch<A>& scratch) {
  using T = typename A::T;
  const T* query = static_cast<const T*>(block.query.data) + tile.query * block.D;
  const T* key = static_cast<const T*>(block.key.data) + tile.key * block.D;
  pack<A>(query, block.query.statistics + tile.query * kStatistics, tile.queries, block.D, scratch.query_left, nullptr,
          backward && A::kGroup > 1 ? scratch.query_gradient_right : nullptr);
  pack<A>(key, block.key.statistics + tile.key * kStatistics, tile.keys, block.D, nullptr, scratch.key_right,
          backward ? scratch.key_gradient_right : nullptr);
}

}  // namespace avsa::info_nce::AVSA_ISA
