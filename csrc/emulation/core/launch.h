// Counterpart of csrc/core/launch.h on the host, for tests: the CUDA that our kernels use. The threads of a block are
// fibers on one OS thread, each running until it waits at a barrier. Blocks run one after another on that OS thread, so
// that __shared__ is thread-local storage and atomics are plain.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static thread_local

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace avsa::emulation {

constexpr std::size_t kStackBytes = 128 << 10;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  dim3 thread;
  bool done = false;
  int block_phase = 0, warp_phase = 0;  // barriers passed so far
  void* sanitizer_stack = nullptr;
};

struct Block {
  dim3 grid, block, index;
  std::vector<Fiber> fibers;
  std::vector<std::uint64_t> lanes;  // per thread: what it passes to its warp
  std::vector<std::byte> dynamic_shared;
  ucontext_t scheduler;
  void* sanitizer_stack = nullptr;
  const void* scheduler_bottom = nullptr;
  std::size_t scheduler_size = 0;
  std::size_t running = 0;
  long events = 0;  // changes of what wait_until waits for
  std::function<void()> body;
};

inline thread_local Block* current = nullptr;
inline Fiber& self() { return current->fibers[current->running]; }

// AddressSanitizer has to know about every change of stack.
inline void start_switch([[maybe_unused]] void** save, [[maybe_unused]] const void* stack,
                         [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(save, stack, bytes);
#endif
}
inline void finish_switch([[maybe_unused]] void* saved, [[maybe_unused]] const void** stack,
                          [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(saved, stack, bytes);
#endif
}

inline void to_scheduler(bool last) {
  Fiber& fiber = self();
  start_switch(last ? nullptr : &fiber.sanitizer_stack, current->scheduler_bottom, current->scheduler_size);
  swapcontext(&fiber.context, &current->scheduler);
  finish_switch(fiber.sanitizer_stack, nullptr, nullptr);
}

inline void to_fiber() {
  Fiber& fiber = self();
  start_switch(&current->sanitizer_stack, fiber.stack.get(), kStackBytes);
  swapcontext(&current->scheduler, &fiber.context);
  finish_switch(current->sanitizer_stack, nullptr, nullptr);
}

inline void run_fiber() {
  finish_switch(nullptr, &current->scheduler_bottom, &current->scheduler_size);
  current->body();
  self().done = true;
  to_scheduler(true);
}

// Waits until every thread in [first, last) that has not returned is at this barrier.
inline void barrier(int Fiber::* phase, std::size_t first, std::size_t last) {
  const int mine = ++(self().*phase);
  for (;;) {
    bool all = true;
    for (std::size_t i = first; i < last; ++i) all &= current->fibers[i].done || current->fibers[i].*phase >= mine;
    if (all) return;
    to_scheduler(false);
  }
}

// Waits until ready(), which other threads make true, counting events.
template <class F>
void wait_until(const F& ready) {
  while (!ready()) to_scheduler(false);
}

inline std::size_t warp_first() { return current->running / 32 * 32; }
inline std::size_t warp_last() { return std::min(warp_first() + 32, current->fibers.size()); }
inline unsigned lane() { return unsigned(current->running % 32); }
inline void block_barrier() { barrier(&Fiber::block_phase, 0, current->fibers.size()); }
inline void warp_barrier() { barrier(&Fiber::warp_phase, warp_first(), warp_last()); }

// The value that lane `from` of the warp passes; the caller's own if there is no such lane.
template <class T>
T exchange(T value, std::size_t from) {
  static_assert(sizeof(T) <= 8);
  std::memcpy(&current->lanes[current->running], &value, sizeof(T));
  warp_barrier();
  T got = value;
  if (from < 32 && warp_first() + from < warp_last()) {
    std::memcpy(&got, &current->lanes[warp_first() + from], sizeof(T));
  }
  warp_barrier();
  return got;
}

inline unsigned ballot(bool vote) {
  unsigned mask = 0;
  current->lanes[current->running] = vote;
  warp_barrier();
  for (std::size_t i = warp_first(); i < warp_last(); ++i) {
    mask |= unsigned(!current->fibers[i].done && current->lanes[i]) << (i - warp_first());
  }
  warp_barrier();
  return mask;
}

// Changes whenever a thread gets further; if it does not, all are waiting forever.
inline long progress(const Block& b) {
  long sum = b.events;
  for (const Fiber& f : b.fibers) sum += f.done + f.block_phase + f.warp_phase;
  return sum;
}

inline void run_block(Block& b) {
  current = &b;
  const std::size_t n = b.fibers.size();
  for (std::size_t i = 0; i < n; ++i) {
    Fiber& f = b.fibers[i];
    f.thread = dim3(unsigned(i % b.block.x), unsigned(i / b.block.x % b.block.y), unsigned(i / b.block.x / b.block.y));
    f.done = false;
    f.block_phase = f.warp_phase = 0;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.get();
    f.context.uc_stack.ss_size = kStackBytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, run_fiber, 0);
  }
  for (long before = -1;;) {
    bool alive = false;
    for (b.running = 0; b.running < n; ++b.running) {
      if (self().done) continue;
      alive = true;
      to_fiber();
    }
    if (!alive) return;
    const long now = progress(b);
    if (now == before) {
      std::fprintf(stderr, "emulated kernel: a barrier that not every thread reaches\n");
      std::abort();
    }
    before = now;
  }
}

}  // namespace avsa::emulation

#define threadIdx (::avsa::emulation::self().thread)
#define blockIdx (::avsa::emulation::current->index)
#define blockDim (::avsa::emulation::current->block)
#define gridDim (::avsa::emulation::current->grid)
inline void __syncthreads() { avsa::emulation::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { avsa::emulation::warp_barrier(); }
inline unsigned __ballot_sync(unsigned, bool vote) { return avsa::emulation::ballot(vote); }
inline bool __any_sync(unsigned, bool vote) { return avsa::emulation::ballot(vote) != 0; }
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return avsa::emulation::exchange(value, std::size_t(from));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return avsa::emulation::exchange(value, avsa::emulation::lane() ^ unsigned(mask));
}
template <class T>
T __shfl_down_sync(unsigned, T value, int distance) {
  return avsa::emulation::exchange(value, avsa::emulation::lane() + unsigned(distance));
}
template <class T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address += value;
  return before;
}
template <class T>
T __ldg(const T* address) {
  return *address;
}

namespace avsa {

template <class... P, class... A>
int launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared, void* /*stream*/, A... args) {
  emulation::Block b;
  b.grid = grid;
  b.block = block;
  b.fibers = std::vector<emulation::Fiber>(std::size_t(block.x) * block.y * block.z);
  b.lanes.assign(b.fibers.size(), 0);
  b.dynamic_shared.resize(shared);
  b.body = [&] { kernel(static_cast<P>(args)...); };
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        b.index = dim3(x, y, z);
        emulation::run_block(b);
      }
  return 0;
}

// The dynamic shared memory of the running kernel.
template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::current->dynamic_shared.data());
}

}  // namespace avsa
