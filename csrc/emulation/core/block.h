// A thread block on the host, for tests: its threads are fibers on one OS thread, each running until it waits at a
// barrier; they take turns in a chosen order. What would be undefined on a device is a fault, which ends the process
// with a line.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <source_location>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace avsa::emulation {

template <class... A>
[[noreturn]] void fault(const char* format, A... values) {
  std::fputs("emulated kernel: ", stderr);
  if constexpr (sizeof...(values) == 0)
    std::fputs(format, stderr);
  else
    std::fprintf(stderr, format, values...);
  std::fputs("\n", stderr);
  std::abort();
}

// The order in which the threads of a block take turns. Results must not depend on it.
enum class Order : int { ascending, descending, random };
inline Order order = Order::ascending;

constexpr std::size_t kStackBytes = 128 << 10;
// Where dynamic shared memory begins: a multiple of 16 bytes, and of no more.
constexpr std::size_t kSharedBegin = 1024 + 16;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  dim3 thread;
  bool done = false;
  int block_phase = 0, warp_phase = 0;  // barriers passed so far
  void* sanitizer_stack = nullptr;
};

// What a thread passes to its warp, and where.
struct Lane {
  std::uint64_t value;
  std::source_location site;
};

struct Block {
  dim3 grid, block, index;
  std::vector<Fiber> fibers;
  std::vector<Lane> lanes;  // per thread
  std::unique_ptr<std::byte[]> memory;
  std::byte* dynamic_shared = nullptr;
  std::size_t dynamic_bytes = 0;
  ucontext_t scheduler;
  void* sanitizer_stack = nullptr;
  const void* scheduler_bottom = nullptr;
  std::size_t scheduler_size = 0;
  std::size_t running = 0;
  long events = 0;  // changes of what wait_until waits for
  std::function<void()> body;

  // Dynamic memory at an address that is kSharedBegin beyond a multiple of 1024, filled with NaN.
  void allocate(std::size_t bytes) {
    memory.reset(new std::byte[bytes + kSharedBegin + 1024]);
    std::fill_n(memory.get(), bytes + kSharedBegin + 1024, std::byte(0xff));
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.get());
    dynamic_shared = memory.get() + ((begin + 1023) / 1024 * 1024 - begin) + kSharedBegin;
    dynamic_bytes = bytes;
  }
};

inline thread_local Block* current = nullptr;
inline Fiber& self() { return current->fibers[current->running]; }

// A declaration of static shared memory in the running kernel. Its size is not known here, so it excludes dynamic
// shared memory, whose size is held against the limit.
struct StaticShared {
  StaticShared() {
    if (current->dynamic_bytes > 0) fault("static shared memory in a kernel that has dynamic shared memory");
  }
};

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
  static thread_local std::mt19937 generator(0);
  std::vector<std::size_t> turns(n);
  std::iota(turns.begin(), turns.end(), std::size_t(0));
  if (order == Order::descending) std::reverse(turns.begin(), turns.end());
  for (long before = -1;;) {
    bool alive = false;
    if (order == Order::random) std::shuffle(turns.begin(), turns.end(), generator);
    for (const std::size_t turn : turns) {
      b.running = turn;
      if (self().done) continue;
      alive = true;
      to_fiber();
    }
    if (!alive) return;
    const long now = progress(b);
    if (now == before) fault("a barrier that not every thread reaches");
    before = now;
  }
}

}  // namespace avsa::emulation
