// Matrix products of packed rows at the rate of the processor's multiply-adds, for any register width.
//
// An arithmetic says how numbers are multiplied: in registers of Vector, kRows x kWidth sums at a time, kGroup
// neighbours along the product's depth in one Element. Everything is inlined into functions for an instruction set.
#pragma once
#include <algorithm>
#include <cstring>

#include "core/half.h"
#include "info_nce/rows.h"

namespace avsa::info_nce {

// Products in float or double.
template <class Number, int kBytes, int kRowsAtOnce>
struct Plain {
  using T = Number;
  using Scalar = Number;   // as packed
  using Element = Number;  // kGroup scalars
  typedef T Vector __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr int kLanes = kBytes / int(sizeof(T)), kVectors = 2, kWidth = kVectors * kLanes;
  static constexpr int kRows = kRowsAtOnce, kGroup = 1;
  static constexpr bool kRounds = false;

  AVSA_HD static Scalar pack(T x) { return x; }
  AVSA_HD static void multiply_add(Vector& sum, const Element& a, const Element* b) {
    sum += a * *reinterpret_cast<const Vector*>(b);
  }
};

// Products of bfloat16 in float, where the processor has none of its own.
template <int kBytes, int kRowsAtOnce>
struct Rounded : Plain<float, kBytes, kRowsAtOnce> {
  static constexpr bool kRounds = true;

  AVSA_HD static float pack(float x) {
    Bfloat16 narrowed;
    narrow(x, narrowed);
    return float_of(std::uint32_t(narrowed.bits) << 16);
  }
};

// Products of bfloat16 two at a time (AVX512_BF16).
struct Dots : Plain<float, 64, 8> {
  using Scalar = std::uint16_t;
  typedef std::uint32_t Element __attribute__((may_alias));
  typedef std::uint32_t Bits __attribute__((vector_size(64), aligned(4), may_alias));
  static constexpr int kGroup = 2;

  AVSA_HD static Scalar pack(float x) {
    Bfloat16 narrowed;
    narrow(x, narrowed);
    return narrowed.bits;
  }
  AVSA_HD static void multiply_add(Vector& sum, const Element& a, const Element* b) {
#ifdef __x86_64__
    Vector x = sum;  // by its address the compiler would keep the sum in memory
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(x) : "v"(*reinterpret_cast<const Vector*>(b)), "m"(a));
    sum = x;
#endif
  }

  // Rows x and y of [rows, stride] to bfloat16, and their pairs; 16 columns at a time, up to `width`.
  AVSA_HD static void narrow_rows(const float* x, const float* y, int width, Scalar* to_x, Scalar* to_y,
                                  Scalar* pairs) {
    typedef std::uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));
    const auto rounded = [](const float* from) {  // in the upper half; NaN stays
      const Bits bits = *reinterpret_cast<const Bits*>(from);
      return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
    };
    for (int j = 0; j < width; j += kLanes) {
      const Bits first = rounded(x + j) >> 16, second = rounded(y + j) >> 16;
      *reinterpret_cast<Halves*>(to_x + j) = __builtin_convertvector(first, Halves);
      *reinterpret_cast<Halves*>(to_y + j) = __builtin_convertvector(second, Halves);
      *reinterpret_cast<Bits*>(pairs + 2 * j) = first | second << 16;
    }
  }
};

// sum[r][v] += sum_k a[r kRowStride + k kStep] b[k][v].
template <class A, int kRowStride, int kStep>
AVSA_HD void multiply(const typename A::Element* a, const typename A::Element* b, std::int64_t depth,
                      typename A::Vector (&sum)[A::kRows][A::kVectors]) {
  typename A::Vector part[A::kRows][A::kVectors];  // whose address nobody takes: registers
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

// to[r][d] += sum[r][d] for the rows and columns that there are.
template <class A>
AVSA_HD void add(const typename A::Vector (&sum)[A::kRows][A::kVectors], std::int64_t stride, std::int64_t rows,
                 std::int64_t columns, typename A::T* to) {
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

// Where normalised rows lie, packed: dimension d of row i, of `rows` rows (a multiple of kWidth) and D dimensions.
template <class A>
struct Packed {
  static constexpr int W = A::kWidth, G = A::kGroup;
  std::int64_t rows, depth;  // D, filled up to whole elements

  AVSA_HD Packed(std::int64_t count, std::int64_t D) : rows(round_up(count, W)), depth(round_up(D, G)) {}
  AVSA_HD std::int64_t chunks() const { return ceil_div(depth, W); }
  AVSA_HD std::int64_t size() const { return rows * chunks() * W; }

  // A row's dimensions side by side, W at a time: [chunks, rows, W].
  AVSA_HD std::int64_t along(std::int64_t i, std::int64_t d) const { return (d / W * rows + i) * W + d % W; }
  // Elements of a row's neighbours, W dimensions side by side: [chunks, rows / G, W, G].
  AVSA_HD std::int64_t across(std::int64_t i, std::int64_t d) const {
    return ((d / W * rows + i - i % G) * W) + d % W * G + i % G;
  }
  // Elements of neighbouring dimensions, W rows side by side: [rows / W, depth / G, W, G].
  AVSA_HD std::int64_t tall(std::int64_t i, std::int64_t d) const {
    return (i / W * depth + d - d % G) * W + i % W * G + d % G;
  }
};

// Rows [count, D] normalised, into those layouts that are asked for.
template <class A>
AVSA_HD void pack(const typename A::T* rows, const double* statistics, int count, std::int64_t D,
                  typename A::Scalar* along, typename A::Scalar* across, typename A::Scalar* tall) {
  using T = typename A::T;
  const Packed<A> layout(count, D);
  if (count < layout.rows || D % A::kWidth)
    for (typename A::Scalar* out : {along, across, tall})
      if (out != nullptr) std::fill_n(out, layout.size(), typename A::Scalar(0));
  for (int i = 0; i < count; ++i) {
    const double inverse = statistics[i * kStatistics + kInverse];
    for (std::int64_t first = 0; first < D; first += A::kWidth) {
      const int width = int(std::min<std::int64_t>(A::kWidth, D - first));
      const T* row = rows + i * D + first;
      typename A::Scalar unit[A::kWidth] = {};
      if (inverse > 1e-30 && inverse < 1e30)
        for (int d = 0; d < width; ++d) unit[d] = A::pack(row[d] * T(inverse));
      else  // the product in double: the factor may be no float
        for (int d = 0; d < width; ++d) unit[d] = A::pack(T(row[d] * inverse));
      if (along != nullptr) std::copy_n(unit, A::kWidth, along + layout.along(i, first));
      if (across != nullptr)
        for (int d = 0; d < A::kWidth; ++d) across[layout.across(i, first) + d * A::kGroup] = unit[d];
      if (tall != nullptr)
        for (int d = 0; d < width; d += A::kGroup)
          std::memcpy(tall + layout.tall(i, first + d), unit + d, sizeof(typename A::Element));
    }
  }
}

}  // namespace avsa::info_nce
