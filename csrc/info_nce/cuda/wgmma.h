// Products of a warpgroup (wgmma, sm_90a), D += A B, 16 deep, of bfloat16, D 64 x 128 of float or a half of its
// columns: B in shared memory, A there or in registers. Warp w of the four holds rows 16w on of A and D, as mma.h says
// of one warp.
//
// A descriptor says how an operand lies in shared memory swizzled by 128 bytes (PTX ISA, "Asynchronous warpgroup level
// matrix shared memory layout"): rows of 128 bytes, eight of them 1024 bytes, with the 16-byte chunks of row r at
// places c ^ r, as packed.h has them. Depth along the rows: row and column numbers of the operand count rows. Depth
// across them: numbers of the operand run along rows, 64 of them.
#pragma once
#include <numeric>

#include "info_nce/cuda/hopper.h"
#include "info_nce/cuda/mma.h"

namespace avsa::info_nce {

using WarpgroupSums = float[16][4];  // 64 x 128 of float

__device__ inline std::uint64_t descriptor(SharedPlace place) {
  constexpr std::uint64_t kBeyond = 1, kEight = 1024 >> 4, kSwizzle128 = 1;  // the first: of wider operands than these
#ifndef AVSA_EMULATE
  const std::uint64_t start = place;
#else
  const auto start = std::uint64_t(place - dynamic_shared<unsigned char>());
#endif
  return (start & 0x3ffff) >> 4 | kBeyond << 16 | kEight << 32 | kSwizzle128 << 62;
}

#ifndef AVSA_EMULATE
// The 64 registers of sums as operands.
#define AVSA_SUMS(d, c) "+f"(d[c][0]), "+f"(d[c][1]), "+f"(d[c][2]), "+f"(d[c][3])
#define AVSA_ALL_SUMS(d)                                                                                      \
  AVSA_SUMS(d, 0), AVSA_SUMS(d, 1), AVSA_SUMS(d, 2), AVSA_SUMS(d, 3), AVSA_SUMS(d, 4), AVSA_SUMS(d, 5),       \
      AVSA_SUMS(d, 6), AVSA_SUMS(d, 7), AVSA_SUMS(d, 8), AVSA_SUMS(d, 9), AVSA_SUMS(d, 10), AVSA_SUMS(d, 11), \
      AVSA_SUMS(d, 12), AVSA_SUMS(d, 13), AVSA_SUMS(d, 14), AVSA_SUMS(d, 15)
#define AVSA_32_REGISTERS                                                                                     \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
  "%23, %24, %25, %26, %27, %28, %29, %30, %31"
#define AVSA_64_REGISTERS                                                                        \
  "{" AVSA_32_REGISTERS                                                                          \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// Begins d = A B, or d += A B where `add`; A and B by descriptors, both with depth along rows.
__device__ inline void begin_multiply(WarpgroupSums& d, std::uint64_t a, std::uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " AVSA_64_REGISTERS ", %64, %65, p, 1, 1, 0, 0;\n}"
      : AVSA_ALL_SUMS(d)
      : "l"(a), "l"(b), "r"(int(add)));
}

// Begins d += A B, d a half of the columns; B by a descriptor, with depth across rows.
template <int half>
__device__ void begin_multiply_half(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" AVSA_32_REGISTERS
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"
      : AVSA_SUMS(d, 8 * half), AVSA_SUMS(d, 8 * half + 1), AVSA_SUMS(d, 8 * half + 2), AVSA_SUMS(d, 8 * half + 3),
        AVSA_SUMS(d, 8 * half + 4), AVSA_SUMS(d, 8 * half + 5), AVSA_SUMS(d, 8 * half + 6), AVSA_SUMS(d, 8 * half + 7)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Before products whose registers were written.
__device__ inline void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Products begun so far become a group.
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until all but the last n groups are done; d: sums that are there then.
template <int n>
__device__ void wait_for_products(WarpgroupSums& d) {
  asm volatile("wgmma.wait_group.sync.aligned %64;" : AVSA_ALL_SUMS(d) : "n"(n) : "memory");
}
template <int n>
__device__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}
#else
// On the host a product is computed as late as the wait for it allows: sums that are read too early, and memory that is
// written too early, show.
struct LateProducts {
  struct Product {
    float (*d)[4];  // the first column's
    bool in_registers, add;
    std::uint64_t a, b;
    RegistersA registers;
  };
  std::deque<std::vector<Product> > groups;
  std::vector<Product> open;

  static LateProducts& of_thread() {
    static thread_local std::map<unsigned, LateProducts> threads;
    return threads[threadIdx.x];
  }
};

// Where the number at `line` (row of A, column of B) and depth k of an operand is.
inline const unsigned char* operand(std::uint64_t descriptor, bool across, int line, int k) {
  const auto field = [&](int bit) { return std::int64_t(descriptor >> bit & 0x3fff) << 4; };
  const std::int64_t start = field(0), stride = field(32);
  std::int64_t at =
      start + (across ? line * 2 + k / 8 * stride + k % 8 * 128 : line / 8 * stride + line % 8 * 128 + k * 2);
  if (descriptor >> 62 == 1) at ^= (at >> 7 & 7) << 4;
  return dynamic_shared<unsigned char>() + at;
}

// `count` numbers side by side.
template <int count>
void read_numbers(const unsigned char* from, float* to) {
  std::uint16_t bits[count];
  std::memcpy(bits, from, sizeof bits);
  for (int i = 0; i < count; ++i) to[i] = widen(Bfloat16{bits[i]});
}

inline void compute(const LateProducts::Product& product) {
  const int lane = int(threadIdx.x % 32), g = lane / 4, t = lane % 4, first = int(threadIdx.x / 32 % 4) * 16;
  float (*d)[4] = product.d;
  if (product.in_registers) {
    for (int c = 0; c < 8; ++c) {
      RegistersB b;
      for (int n = 0; n < 2; ++n) {
        float pair[2];
        for (int i = 0; i < 2; ++i) read_numbers<1>(operand(product.b, true, c * 8 + g, 2 * t + 8 * n + i), pair + i);
        b[n] = bfloat16_pair(pair[0], pair[1]);
      }
      multiply_add_bf16(product.registers, b, d[c]);
    }
    return;
  }
  float rows[2][16], columns[2][16];
  const auto read = [](std::uint64_t descriptor, int line, float (&to)[16]) {
    for (int k = 0; k < 16; k += 8) read_numbers<8>(operand(descriptor, false, line, k), to + k);
  };
  for (int half = 0; half < 2; ++half) read(product.a, first + g + half * 8, rows[half]);
  for (int c = 0; c < 16; ++c) {
    for (int n = 0; n < 2; ++n) read(product.b, c * 8 + 2 * t + n, columns[n]);
    for (int n = 0; n < 4; ++n)
      d[c][n] = std::inner_product(rows[n / 2], rows[n / 2] + 16, columns[n % 2], product.add ? d[c][n] : 0.0f);
  }
}

inline void begin_multiply(WarpgroupSums& d, std::uint64_t a, std::uint64_t b, bool add) {
  LateProducts::of_thread().open.push_back({d, false, add, a, b, {}});
}
template <int half>
void begin_multiply_half(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  LateProducts::of_thread().open.push_back({d + 8 * half, true, true, 0, b, {a[0], a[1], a[2], a[3]}});
}
inline void fence_products() {}
inline void commit_products() {
  LateProducts& products = LateProducts::of_thread();
  products.groups.push_back(std::move(products.open));
  products.open.clear();
}
template <int n>
void wait_for_products() {
  auto& groups = LateProducts::of_thread().groups;
  for (; groups.size() > std::size_t(n); groups.pop_front())
    for (const LateProducts::Product& product : groups.front()) compute(product);
}
template <int n>
void wait_for_products(WarpgroupSums&) {
  wait_for_products<n>();
}
#endif

}  // namespace avsa::info_nce
