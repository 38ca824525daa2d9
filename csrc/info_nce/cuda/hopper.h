// What sm_90 adds to copies and barriers: barriers in shared memory that count bytes, copies of many bytes by the bulk
// copy engine, barriers among some of a block's threads, registers moved between warpgroups.
#pragma once
#include "info_nce/cuda/async_copies.h"

namespace avsa::info_nce {

constexpr int kWarpgroup = 128;  // threads

// A phase ends when `count` threads have arrived and the bytes that they announced are there; wait(parity) returns once
// the phase of that parity has ended, of which the first has parity 0.
class PhaseBarrier {
 public:
  __device__ void init(int count);
  __device__ void arrive();
  __device__ void arrive_and_expect(int bytes);
  __device__ void wait(int parity);
  __device__ void copy(void* shared, const void* global, int bytes);  // by the engine, places aligned to 16 bytes

 private:
#ifdef AVSA_EMULATE
  void settle();
  std::uint16_t count, pending;
  std::int32_t bytes : 31;  // announced that are not there
  std::uint32_t phase : 1;
#endif
  std::uint64_t state;
};

#ifndef AVSA_EMULATE
__device__ inline void PhaseBarrier::init(int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_place(this)), "r"(count) : "memory");
}
__device__ inline void PhaseBarrier::arrive() {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_place(this)) : "memory");
}
__device__ inline void PhaseBarrier::arrive_and_expect(int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_place(this)), "r"(bytes)
               : "memory");
}
__device__ inline void PhaseBarrier::wait(int parity) {
  int done = 0;
  while (!done)
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(shared_place(this)), "r"(parity)
                 : "memory");
}
__device__ inline void PhaseBarrier::copy(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_place(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(shared_place(this))
               : "memory");
}

// After barriers were made, before the copy engine knows them.
__device__ inline void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// Among `threads` threads; id from 1 on.
__device__ inline void group_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Of each thread of the warpgroup, which gives some back or asks for more.
template <int count>
__device__ void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

// The dynamic shared memory from a multiple of 1024 bytes on, of which launches ask for 1024 more.
__device__ inline unsigned char* aligned_shared() {
  auto* p = dynamic_shared<unsigned char>();
  return p + (-shared_place(p) & 1023u);
}
#else
inline void PhaseBarrier::init(int n) {
  count = pending = std::uint16_t(n);
  bytes = 0;
  phase = 0;
  state = 0;
}
inline void PhaseBarrier::settle() {
  ++emulation::current->events;
  if (pending > 0 || bytes != 0) return;
  pending = count;
  phase ^= 1u;
}
inline void PhaseBarrier::arrive() {
  --pending;
  settle();
}
inline void PhaseBarrier::arrive_and_expect(int n) {
  bytes += n;
  arrive();
}

// Every second copy is made at once, what is overwritten too early is lost; the others when somebody waits for them.
struct BulkCopies {
  struct Copy {
    const void* barrier;
    void* to;
    const void* from;
    int bytes;
  };
  std::vector<Copy> late;
  bool at_once = false;

  static BulkCopies& of_block() {
    static thread_local BulkCopies copies;
    return copies;
  }
};

inline void PhaseBarrier::copy(void* shared, const void* global, int n) {
  BulkCopies& copies = BulkCopies::of_block();
  copies.at_once = !copies.at_once;
  if (!copies.at_once) return copies.late.push_back({this, shared, global, n});
  std::memcpy(shared, global, std::size_t(n));
  bytes -= n;
  settle();
}

inline void PhaseBarrier::wait(int parity) {
  auto& late = BulkCopies::of_block().late;
  emulation::wait_until([&] {
    for (std::size_t i = 0; i < late.size();) {
      if (late[i].barrier != this) {
        ++i;
        continue;
      }
      std::memcpy(late[i].to, late[i].from, std::size_t(late[i].bytes));
      bytes -= late[i].bytes;
      late.erase(late.begin() + std::ptrdiff_t(i));
      settle();
    }
    return phase != std::uint32_t(parity);
  });
}

inline void publish_barriers() {}

inline void group_barrier(int id, int threads) {
  static thread_local long arrived[16];
  const long end = (arrived[id]++ / threads + 1) * threads;
  ++emulation::current->events;
  emulation::wait_until([&] { return arrived[id] >= end; });
}

template <int count>
void fewer_registers() {}
template <int count>
void more_registers() {}

inline unsigned char* aligned_shared() { return dynamic_shared<unsigned char>(); }
#endif

}  // namespace avsa::info_nce
