// Operands of the matrix units, as registers and shared memory hold them: what device.h and its counterpart on the host
// have in common.
//
// mma: a warp's product D += A B, with D [16, 8] of float; A [16, 16] and B [16, 8] of bfloat16, a register holding two
// neighbours along the depth, the first in its lower half; or A [16, 8] and B [8, 8] of TF32, a number per register.
// Lane l holds, with g = l / 4 and t = l % 4 and depth counted in registers:
//   A: rows g, g + 8 at depth t (registers 0, 1) and at depth t + 4 (2, 3);
//   B: column g at depth t (register 0) and t + 4 (1);
//   D: row g (0, 1) and row g + 8 (2, 3), at columns 2t, 2t + 1.
//
// wgmma: a warpgroup's product D += A B, 16 deep, of bfloat16, with D [64, 128] of float or half of its columns; B in
// shared memory, A there or in registers. Warp w of the four holds rows 16w to 16w + 15 of A and D, as for mma.
#pragma once
#include <cstdint>

#include "core/half.h"

namespace avsa::info_nce {

constexpr int kWarp = 32, kWarpgroup = 128;  // threads

using SharedAddress = std::uint32_t;  // in bytes; takes one register, a pointer two
using RegistersA = std::uint32_t[4];
using RegistersB = std::uint32_t[2];
using WarpgroupSums = float[16][4];  // D of wgmma, 8 columns after 8

// Two floats rounded to bfloat16, as a register holds them.
AVSA_HD std::uint32_t bfloat16_pair(float first, float second) {
#ifdef __CUDA_ARCH__
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  Bfloat16 a, b;
  narrow(first, a);
  narrow(second, b);
  return a.bits | std::uint32_t(b.bits) << 16;
#endif
}

// TF32 has 10 of float's 23 bits of fraction: rounded here, halves away from zero.
AVSA_HD std::uint32_t tf32(float x) { return (bits_of(x) + 0x1000u) & 0xffffe000u; }

// Describes an operand of wgmma in shared memory with the 128-byte swizzle (PTX ISA, "Asynchronous warpgroup level
// matrix shared memory layout"): rows of 128 bytes, 1024 bytes per 8 rows, the 16-byte chunk c of row r at c ^ r % 8.
// The operand is either K-major, its rows or columns being those 128-byte rows, or MN-major, its depth running over
// them.
AVSA_HD std::uint64_t operand_descriptor(SharedAddress start) {
  constexpr std::uint64_t kLeadingOffset = 1;  // ignored: only for operands wider than the swizzle
  constexpr std::uint64_t kStrideOffset = 1024 >> 4, kSwizzle128 = 1;
  return (std::uint64_t(start) & 0x3ffff) >> 4 | kLeadingOffset << 16 | kStrideOffset << 32 | kSwizzle128 << 62;
}

// The descriptor of an operand `bytes` further on: only the start differs, in the lower word.
AVSA_HD std::uint64_t advanced(std::uint64_t descriptor, int bytes) {
  return (descriptor & 0xffffffff00000000u) | (std::uint32_t(descriptor) + std::uint32_t(bytes >> 4));
}

}  // namespace avsa::info_nce
