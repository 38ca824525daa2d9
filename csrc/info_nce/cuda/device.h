// What the kernels on matrix units take from the device: its limits, and its instructions, a function for each. A host
// counterpart for the tests, csrc/emulation/info_nce/cuda/device.h, declares the same names.
#pragma once
#include "core/launch.h"
#include "info_nce/cuda/operands.h"

namespace avsa::info_nce {

constexpr int kMaxScanBlocks = 256;  // thread blocks of a scan, each with its own sums of columns

inline bool is_hopper() {
  int device, major;
  return !cudaGetDevice(&device) && !cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) &&
         major == 9;
}

__device__ inline SharedAddress shared_address(const void* p) { return std::uint32_t(__cvta_generic_to_shared(p)); }

// 2^x, within 2 units in the last place.
__device__ inline float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// sm_80: copies from global to shared memory that a thread does not wait for.

// Copies 16 bytes, both addresses aligned to 16.
__device__ inline void copy_16_bytes(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global))
               : "memory");
}

// The thread's copies since the last commit become a group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for all but the thread's last n groups.
template <int n>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

// sm_80: matrix products of a warp.

__device__ inline void mma_bf16(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void mma_tf32(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Loads four matrices of 8 rows of 16 bytes. Lane l passes the address of row l % 8 of matrix l / 8, and gets bytes 4t
// to 4t + 3 of row g of each matrix.
__device__ inline void ldmatrix(SharedAddress row, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

// The same for matrices of 16-bit numbers, transposed: a lane gets numbers g of rows 2t and 2t + 1 of each matrix.
__device__ inline void ldmatrix_transposed(SharedAddress row, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}

__device__ inline std::uint32_t load_word(SharedAddress address) {
  std::uint32_t word;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
  return word;
}

// sm_90: barriers and bulk copies.

// A barrier in shared memory. A phase ends when `count` threads have arrived and the bytes that they expect are there;
// wait(parity) returns when the phase of that parity has ended, the first phase having parity 0.
class Mbarrier {
 public:
  __device__ void init(int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(this)), "r"(count) : "memory");
  }
  __device__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(this)) : "memory");
  }
  __device__ void arrive_and_expect(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(this)), "r"(bytes)
                 : "memory");
  }
  __device__ void wait(int parity) {
    int done = 0;
    while (!done)
      asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}"
                   : "=r"(done)
                   : "r"(shared_address(this)), "r"(parity)
                   : "memory");
  }
  // Has the copy engine copy bytes that the phase expects; addresses aligned to 16.
  __device__ void copy(void* shared, const void* global, int bytes) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(shared)),
                 "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(shared_address(this))
                 : "memory");
  }

 private:
  std::uint64_t state;
};

// Makes barriers that were initialised known to the copy engine.
__device__ inline void fence_barrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// A barrier among `threads` threads; id from 1 on.
__device__ inline void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Sets the registers of each thread of the warpgroup to a smaller or a larger count.
template <int count>
__device__ void dealloc_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ void alloc_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

// sm_90: matrix products of a warpgroup, which run on until they are waited for.

// The body of a kernel that uses them, which other architectures compile but never launch.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AVSA_ON_SM90A(call) call
#elif defined(__CUDA_ARCH__)
#define AVSA_ON_SM90A(call) __trap()
#else
#define AVSA_ON_SM90A(call)
#endif

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

// Starts d = A B, or d += A B if `add`, with A and B by descriptors of K-major operands.
__device__ inline void start_wgmma(WarpgroupSums& d, std::uint64_t a, std::uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " AVSA_64_REGISTERS ", %64, %65, p, 1, 1, 0, 0;\n}"
      : AVSA_ALL_SUMS(d)
      : "l"(a), "l"(b), "r"(int(add)));
}

// Starts d += A B for one half of d's columns, with B by the descriptor of an MN-major operand.
template <int half>
__device__ void start_wgmma_half(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" AVSA_32_REGISTERS
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"
      : AVSA_SUMS(d, 8 * half), AVSA_SUMS(d, 8 * half + 1), AVSA_SUMS(d, 8 * half + 2), AVSA_SUMS(d, 8 * half + 3),
        AVSA_SUMS(d, 8 * half + 4), AVSA_SUMS(d, 8 * half + 5), AVSA_SUMS(d, 8 * half + 6), AVSA_SUMS(d, 8 * half + 7)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Orders writes to a product's registers before the product.
__device__ inline void fence_wgmma() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Products since the last commit become a group.
__device__ inline void commit_wgmma() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits for all but the last n groups; d: sums that are complete then.
template <int n>
__device__ void wait_for_wgmma(WarpgroupSums& d) {
  asm volatile("wgmma.wait_group.sync.aligned %64;" : AVSA_ALL_SUMS(d) : "n"(n) : "memory");
}
template <int n>
__device__ void wait_for_wgmma() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}

}  // namespace avsa::info_nce
