// Scan and gradient with the processor's dot products of bfloat16 pairs (AVX512_BF16).
#include <cstdint>

#include "info_nce/cpu/tiles.h"

namespace avsa::info_nce::AVSA_ISA {
namespace {

struct PairedBf16 : Plain<float> {
  using Scalar = std::uint16_t;                              // bits of a bfloat16
  typedef std::uint32_t Element __attribute__((may_alias));  // two neighbours along the depth
  typedef std::uint32_t Bits __attribute__((vector_size(64), aligned(4), may_alias));
  static constexpr int kGroup = 2;

  static Scalar pack(float x) {
    Bfloat16 rounded;
    narrow(x, rounded);
    return rounded.bits;
  }
  static void multiply_add(Vector& sum, const Element& a, const Element* b) {
    Vector x = sum;  // GCC would keep `sum` in memory, since its address is taken
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(x) : "v"(*reinterpret_cast<const Vector*>(b)), "m"(a));
    sum = x;
  }

  // Rounds rows x and y [width]: each to its bfloat16 row, and both to the row of their pairs (x first).
  static void round_rows(const float* x, const float* y, int width, Scalar* to_x, Scalar* to_y, Scalar* pairs) {
    typedef std::uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));
    const auto rounded = [](const float* from) {  // in the upper half; NaN stays NaN
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

}  // namespace

std::int64_t workspace_bytes(const InfoNceBlock& block) { return Tiles<PairedBf16>(block).workspace_bytes(); }
void scan(const InfoNceScan& task) { scan_tiles<PairedBf16>(task); }
void gradient(const InfoNceGradient& task) { gradient_tiles<PairedBf16>(task); }

}  // namespace avsa::info_nce::AVSA_ISA
