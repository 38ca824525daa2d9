// The matrix unit's product of a warp: D += A B, A 16 x 16, B 16 x 8 of bfloat16, D 16 x 8 of float.
//
// Lane l holds, with g = l / 4 and t = l % 4: of A rows g, g + 8 (registers 0, 1) at columns 2t, 2t + 1, and again at
// columns 8 later (registers 2, 3); of B column g at rows 2t, 2t + 1 (register 0), and 8 later (1); of D rows g (0, 1)
// and g + 8 (2, 3) at columns 2t, 2t + 1. A register of A or B holds two numbers, the first in its lower half.
#pragma once
#include <cstdint>

#include "core/launch.h"
#include "core/narrow.h"

namespace avsa {

// Two floats, rounded, as a register holds them.
__device__ inline std::uint32_t bfloat16_pair(float first, float second) {
  Bfloat16 a, b;
  narrow(first, a);
  narrow(second, b);
  return a.bits | std::uint32_t(b.bits) << 16;
}

#ifndef AVSA_EMULATE
__device__ inline void multiply_add(const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
// The same on the host: every lane shows its registers to the others of its warp.
inline void multiply_add(const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], float (&d)[4]) {
  struct Registers {
    std::uint32_t a[4], b[2];
  };
  static thread_local Registers lanes[32][32];
  Registers(&warp)[32] = lanes[threadIdx.x / 32];
  const int lane = int(threadIdx.x % 32), g = lane / 4, t = lane % 4;
  for (int n = 0; n < 4; ++n) warp[lane].a[n] = a[n];
  for (int n = 0; n < 2; ++n) warp[lane].b[n] = b[n];
  __syncwarp();
  const auto half = [](std::uint32_t pair, int k) { return float_of(k % 2 ? pair & 0xffff0000u : pair << 16); };
  for (int n = 0; n < 4; ++n) {
    const int row = g + n / 2 * 8, column = 2 * t + n % 2;
    for (int k = 0; k < 16; ++k) {
      const Registers &of_a = warp[row % 8 * 4 + k % 8 / 2], &of_b = warp[column * 4 + k % 8 / 2];
      d[n] += half(of_a.a[row / 8 + k / 8 * 2], k) * half(of_b.b[k / 8], k);
    }
  }
  __syncwarp();
}
#endif

}  // namespace avsa
