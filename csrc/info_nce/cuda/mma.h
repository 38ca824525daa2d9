// The matrix unit's product of a warp, D += A B, D 16 x 8 of float: A 16 x 16, B 16 x 8 of bfloat16, a register holding
// two neighbours along the depth, the first in its lower half; or A 16 x 8, B 8 x 8 of TF32, a number a register.
//
// Lane l holds, with g = l / 4 and t = l % 4: of A rows g, g + 8 at depth t (registers 0, 1) and t + 4 (2, 3), counted
// in registers; of B column g at depth t (0) and t + 4 (1); of D rows g (0, 1) and g + 8 (2, 3) at columns 2t, 2t + 1.
// load_matrices fills registers of A or B from rows of 16 bytes in shared memory.
#pragma once
#include <cstdint>

#include "core/half.h"
#include "info_nce/cuda/async_copies.h"

namespace avsa::info_nce {

// Two floats, rounded, as a register holds them.
__device__ inline std::uint32_t bfloat16_pair(float first, float second) {
  Bfloat16 a, b;
  narrow(first, a);
  narrow(second, b);
  return a.bits | std::uint32_t(b.bits) << 16;
}

// TF32 has 10 of float's 23 bits of fraction: rounded here, halves away from zero.
__device__ inline std::uint32_t tf32(float x) { return (bits_of(x) + 0x1000u) & 0xffffe000u; }

using RegistersA = std::uint32_t[4];
using RegistersB = std::uint32_t[2];

#ifndef AVSA_EMULATE
__device__ inline void multiply_add_bf16(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void multiply_add_tf32(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices of 8 rows of 16 bytes: lane l gives the address of row l % 8 of matrix l / 8, and gets of each matrix
// bytes 4t to 4t + 3 of row g.
__device__ inline void load_matrices(SharedPlace row, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

// The same of matrices of 16-bit numbers, turned: a lane gets of each the numbers g of rows 2t and 2t + 1.
__device__ inline void load_matrices_turned(SharedPlace row, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

__device__ inline std::uint32_t load_word(SharedPlace place) {
  std::uint32_t word;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(place) : "memory");
  return word;
}
#else
// The same on the host: every lane shows its registers to the others of its warp. product: of two registers.
template <class Product>
void multiply_add_shown(const RegistersA& a, const RegistersB& b, float (&d)[4], Product product) {
  struct Registers {
    RegistersA a;
    RegistersB b;
  };
  static thread_local Registers lanes[32][32];
  Registers(&warp)[32] = lanes[threadIdx.x / 32];
  const int lane = int(threadIdx.x % 32), g = lane / 4, t = lane % 4;
  for (int n = 0; n < 4; ++n) warp[lane].a[n] = a[n];
  for (int n = 0; n < 2; ++n) warp[lane].b[n] = b[n];
  __syncwarp();
  for (int n = 0; n < 4; ++n)
    for (int k = 0; k < 8; ++k)
      d[n] += product(warp[g * 4 + k % 4].a[n / 2 + k / 4 * 2], warp[(2 * t + n % 2) * 4 + k % 4].b[k / 4]);
  __syncwarp();
}

inline void multiply_add_bf16(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  multiply_add_shown(a, b, d, [](std::uint32_t x, std::uint32_t y) {
    return float_of(x << 16) * float_of(y << 16) + float_of(x & 0xffff0000u) * float_of(y & 0xffff0000u);
  });
}

inline void multiply_add_tf32(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  multiply_add_shown(
      a, b, d, [](std::uint32_t x, std::uint32_t y) { return float_of(x & 0xffffe000u) * float_of(y & 0xffffe000u); });
}

// matrix: of the registers to fill, from the rows that lanes show.
template <class Matrix>
void load_shown(SharedPlace row, Matrix matrix) {
  static thread_local const unsigned char* lanes[32][32];
  const unsigned char*(&rows)[32] = lanes[threadIdx.x / 32];
  rows[threadIdx.x % 32] = row;
  __syncwarp();
  for (int m = 0; m < 4; ++m) matrix(m, rows + 8 * m);
  __syncwarp();
}

inline std::uint32_t load_word(SharedPlace place) {
  std::uint32_t word;
  std::memcpy(&word, place, sizeof word);
  return word;
}

inline void load_matrices(SharedPlace row, std::uint32_t (&to)[4]) {
  load_shown(row, [&](int m, const unsigned char** rows) {
    std::memcpy(&to[m], rows[threadIdx.x % 32 / 4] + threadIdx.x % 4 * 4, 4);
  });
}

inline void load_matrices_turned(SharedPlace row, std::uint32_t (&to)[4]) {
  load_shown(row, [&](int m, const unsigned char** rows) {
    std::uint16_t numbers[2];
    for (int n = 0; n < 2; ++n) std::memcpy(&numbers[n], rows[threadIdx.x % 4 * 2 + n] + threadIdx.x % 32 / 4 * 2, 2);
    to[m] = numbers[0] | std::uint32_t(numbers[1]) << 16;
  });
}
#endif

}  // namespace avsa::info_nce
