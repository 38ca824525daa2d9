// Copies from global to shared memory that a thread does not wait for (cp.async, sm_80 on).
#pragma once
#include <cstdint>

#include "core/launch.h"

#ifdef AVSA_EMULATE
#include <cstring>
#include <deque>
#include <map>
#include <vector>
#endif

namespace avsa::info_nce {

// A place in shared memory, to which bytes may be added. On a device a register holds it, a pointer takes two.
#ifndef AVSA_EMULATE
using SharedPlace = std::uint32_t;
__device__ inline SharedPlace shared_place(const void* p) { return std::uint32_t(__cvta_generic_to_shared(p)); }
#else
using SharedPlace = const unsigned char*;
inline SharedPlace shared_place(const void* p) { return static_cast<SharedPlace>(p); }
#endif

#ifndef AVSA_EMULATE

// 16 bytes, both places aligned to them.
__device__ inline void copy_16_bytes(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_place(shared)),
               "l"(__cvta_generic_to_global(global))
               : "memory");
}

// The thread's copies so far that belong to no group become one.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all but the thread's last n groups are there.
template <int n>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}
#else
// On the host a copy is made as late as the wait for it allows: what is read too early is not there.
struct LateCopies {
  struct Copy {
    void* to;
    const void* from;
  };
  std::deque<std::vector<Copy> > groups;
  std::vector<Copy> open;

  static LateCopies& of_thread() {
    static thread_local std::map<unsigned, LateCopies> threads;
    return threads[threadIdx.x];
  }
};

inline void copy_16_bytes(void* shared, const void* global) {
  LateCopies::of_thread().open.push_back({shared, global});
}

inline void commit_copies() {
  LateCopies& copies = LateCopies::of_thread();
  copies.groups.push_back(std::move(copies.open));
  copies.open.clear();
}

template <int n>
void wait_for_copies() {
  auto& groups = LateCopies::of_thread().groups;
  for (; groups.size() > std::size_t(n); groups.pop_front())
    for (const LateCopies::Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
}
#endif

}  // namespace avsa::info_nce
