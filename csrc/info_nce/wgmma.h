// Products of a warpgroup (wgmma, sm_90a), D += A B, D 64 x 128 of float, 16 deep, of bfloat16: B in shared memory, A
// there or in registers. Warp w of the four holds rows 16w on of A and D, as mma.h says of one warp.
//
// A descriptor says how an operand lies in shared memory swizzled by 128 bytes (PTX ISA, "Asynchronous warpgroup level
// matrix shared memory layout"): rows of 128 bytes, eight of them 1024 bytes, with the 16-byte chunks of row r at
// places c ^ r, as packed.h has them. Depth along the rows: row and column numbers of the operand count rows. Depth
// across them: numbers of the operand run along rows, 64 a row, the next 64 `leading` bytes further.
#pragma once
#include "core/hopper.h"
#include "info_nce/mma.h"

namespace avsa {

using WarpgroupSums = float[16][4];  // 64 x 128 of float

__device__ inline std::uint64_t descriptor(SharedPlace place, int leading) {
  constexpr std::uint64_t kEight = 1024 >> 4, kSwizzle128 = 1;
#ifndef AVSA_EMULATE
  const std::uint64_t start = place;
#else
  const auto start = std::uint64_t(place - dynamic_shared<unsigned char>());
#endif
  return (start & 0x3ffff) >> 4 | std::uint64_t(leading >> 4) << 16 | kEight << 32 | kSwizzle128 << 62;
}

// Depth along rows; `leading` is not used.
__device__ inline std::uint64_t along_rows(SharedPlace place) { return descriptor(place, 16); }
// Depth across rows.
__device__ inline std::uint64_t across_rows(SharedPlace place, int leading) { return descriptor(place, leading); }

#ifndef AVSA_EMULATE
// The 64 registers of sums as operands; how: "=f" written, "+f" read too.
#define AVSA_SUMS(how, d, c) how(d[c][0]), how(d[c][1]), how(d[c][2]), how(d[c][3])
#define AVSA_ALL_SUMS(how, d)                                                                                       \
  AVSA_SUMS(how, d, 0), AVSA_SUMS(how, d, 1), AVSA_SUMS(how, d, 2), AVSA_SUMS(how, d, 3), AVSA_SUMS(how, d, 4),     \
      AVSA_SUMS(how, d, 5), AVSA_SUMS(how, d, 6), AVSA_SUMS(how, d, 7), AVSA_SUMS(how, d, 8), AVSA_SUMS(how, d, 9), \
      AVSA_SUMS(how, d, 10), AVSA_SUMS(how, d, 11), AVSA_SUMS(how, d, 12), AVSA_SUMS(how, d, 13),                   \
      AVSA_SUMS(how, d, 14), AVSA_SUMS(how, d, 15)
#define AVSA_64_REGISTERS                                                                                          \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "     \
  "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, " \
  "%45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// Begins d = A B, or d += A B where `add`; A and B by descriptors, both with depth along rows.
template <bool add>
__device__ void begin_multiply(WarpgroupSums& d, std::uint64_t a, std::uint64_t b) {
  if constexpr (add)
    asm volatile(
        "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " AVSA_64_REGISTERS ", %64, %65, p, 1, 1, 0, 0;\n}"
        : AVSA_ALL_SUMS("+f", d)
        : "l"(a), "l"(b));
  else
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " AVSA_64_REGISTERS ", %64, %65, p, 1, 1, 0, 0;\n}"
        : AVSA_ALL_SUMS("=f", d)
        : "l"(a), "l"(b));
}

// Begins d += A B; B by a descriptor with depth across rows.
__device__ inline void begin_multiply(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " AVSA_64_REGISTERS
      ", {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"
      : AVSA_ALL_SUMS("+f", d)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Before products whose registers were written.
__device__ inline void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Products begun so far become a group.
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until all but the last n groups are done, d among them.
template <int n>
__device__ void wait_for_products(WarpgroupSums& d) {
  asm volatile("wgmma.wait_group.sync.aligned %64;" : AVSA_ALL_SUMS("+f", d) : "n"(n) : "memory");
}
#else
// On the host a product is computed as late as the wait for it allows: sums that are read too early, and memory that is
// written too early, show.
struct LateProducts {
  struct Product {
    WarpgroupSums* d;
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

// The number at `line` (row of A, column of B) and depth k of an operand.
inline float operand(std::uint64_t descriptor, bool across, int line, int k) {
  const auto field = [&](int bit) { return std::int64_t(descriptor >> bit & 0x3fff) << 4; };
  const std::int64_t start = field(0), leading = field(16), stride = field(32);
  std::int64_t at = start + (across ? line / 64 * leading + line % 64 * 2 + k / 8 * stride + k % 8 * 128
                                    : line / 8 * stride + line % 8 * 128 + k * 2);
  if (descriptor >> 62 == 1) at ^= (at >> 7 & 7) << 4;
  std::uint16_t bits;
  std::memcpy(&bits, dynamic_shared<unsigned char>() + at, sizeof bits);
  return widen(Bfloat16{bits});
}

inline void compute(const LateProducts::Product& product) {
  const int lane = int(threadIdx.x % 32), g = lane / 4, t = lane % 4, first = int(threadIdx.x / 32 % 4) * 16;
  WarpgroupSums& d = *product.d;
  if (product.in_registers) {
    for (int c = 0; c < 16; ++c) {
      RegistersB b;
      for (int n = 0; n < 2; ++n) {
        const int k = 2 * t + 8 * n;
        b[n] = bfloat16_pair(operand(product.b, true, c * 8 + g, k), operand(product.b, true, c * 8 + g, k + 1));
      }
      multiply_add_bf16(product.registers, b, d[c]);
    }
    return;
  }
  for (int e = 0; e < 64; ++e) {
    const int c = e / 4, n = e % 4;
    float sum = product.add ? d[c][n] : 0;
    for (int k = 0; k < 16; ++k)
      sum += operand(product.a, false, first + g + n / 2 * 8, k) * operand(product.b, false, c * 8 + 2 * t + n % 2, k);
    d[c][n] = sum;
  }
}

template <bool add>
void begin_multiply(WarpgroupSums& d, std::uint64_t a, std::uint64_t b) {
  LateProducts::of_thread().open.push_back({&d, false, add, a, b, {}});
}
inline void begin_multiply(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  LateProducts::of_thread().open.push_back({&d, true, true, 0, b, {a[0], a[1], a[2], a[3]}});
}
inline void fence_products() {}
inline void commit_products() {
  LateProducts& products = LateProducts::of_thread();
  products.groups.push_back(std::move(products.open));
  products.open.clear();
}
template <int n>
void wait_for_products(WarpgroupSums&) {
  auto& groups = LateProducts::of_thread().groups;
  for (; groups.size() > std::size_t(n); groups.pop_front())
    for (const LateProducts::Product& product : groups.front()) compute(product);
}
#endif

}  // namespace avsa
