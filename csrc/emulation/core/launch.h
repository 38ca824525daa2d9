// Counterpart of csrc/core/launch.h on the host, for tests: the CUDA that our kernels use, on the fibers of block.h.
// Blocks run one after another on one OS thread, so that __shared__ is thread-local storage and atomics are plain.
#pragma once
#include <cmath>
#include <cstring>

#include "core/block.h"
#include "core/device_model.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define AVSA_JOINED(a, b) a##b
#define AVSA_NUMBERED(name, number) AVSA_JOINED(name, number)
#define __shared__                                                                              \
  [[maybe_unused]] const ::avsa::emulation::StaticShared AVSA_NUMBERED(shared_, __COUNTER__){}; \
  static thread_local

namespace avsa::emulation {

inline std::size_t warp_first() { return current->running / 32 * 32; }
inline std::size_t warp_last() { return std::min(warp_first() + 32, current->fibers.size()); }
inline unsigned lane() { return unsigned(current->running % 32); }
inline void block_barrier() { barrier(&Fiber::block_phase, 0, current->fibers.size()); }
inline void warp_barrier() { barrier(&Fiber::warp_phase, warp_first(), warp_last()); }

// Passes a value to the warp. A mask names the lanes that take part: here always all, which have to exist, to run, and
// to come by the same line.
inline void publish(unsigned mask, std::uint64_t value, const std::source_location& site) {
  if (mask != ~0u) fault("line %u: a mask that leaves out lanes", unsigned(site.line()));
  current->lanes[current->running] = {value, site};
  warp_barrier();
  if (warp_last() - warp_first() != 32) fault("line %u: a mask names lanes that do not exist", unsigned(site.line()));
  for (std::size_t i = warp_first(); i < warp_last(); ++i) {
    if (current->fibers[i].done) fault("line %u: a mask names a lane that has returned", unsigned(site.line()));
    const std::source_location& other = current->lanes[i].site;
    if (other.line() != site.line() || other.column() != site.column() ||
        std::strcmp(other.file_name(), site.file_name()) != 0) {
      fault("line %u: another lane of the warp is at line %u", unsigned(site.line()), unsigned(other.line()));
    }
  }
}

// The value that lane `from` of the warp passes; the caller's own if there is no such lane.
template <class T>
T exchange(unsigned mask, T value, std::size_t from, const std::source_location& site) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  publish(mask, bits, site);
  T got = value;
  if (from < 32) std::memcpy(&got, &current->lanes[warp_first() + from].value, sizeof(T));
  warp_barrier();
  return got;
}

inline unsigned ballot(unsigned mask, bool vote, const std::source_location& site) {
  unsigned votes = 0;
  publish(mask, vote, site);
  for (std::size_t i = warp_first(); i < warp_last(); ++i)
    votes |= unsigned(current->lanes[i].value) << (i - warp_first());
  warp_barrier();
  return votes;
}

}  // namespace avsa::emulation

#define threadIdx (::avsa::emulation::self().thread)
#define blockIdx (::avsa::emulation::current->index)
#define blockDim (::avsa::emulation::current->block)
#define gridDim (::avsa::emulation::current->grid)
inline void __syncthreads() { avsa::emulation::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { avsa::emulation::warp_barrier(); }
inline unsigned __ballot_sync(unsigned mask, bool vote, std::source_location site = std::source_location::current()) {
  return avsa::emulation::ballot(mask, vote, site);
}
inline bool __any_sync(unsigned mask, bool vote, std::source_location site = std::source_location::current()) {
  return avsa::emulation::ballot(mask, vote, site) != 0;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, std::source_location site = std::source_location::current()) {
  return avsa::emulation::exchange(mask, value, std::size_t(from), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, std::source_location site = std::source_location::current()) {
  return avsa::emulation::exchange(mask, value, avsa::emulation::lane() ^ unsigned(lanes), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int distance, std::source_location site = std::source_location::current()) {
  return avsa::emulation::exchange(mask, value, avsa::emulation::lane() + unsigned(distance), site);
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

inline std::size_t max_shared_bytes() { return emulation::architecture().shared; }

// Returns a cudaError_t for what a device refuses: cudaErrorInvalidConfiguration, cudaErrorInvalidValue.
template <class... P, class... A>
int launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared, void* /*stream*/, A... args) {
  constexpr int kInvalidValue = 1, kInvalidConfiguration = 9;
  constexpr unsigned kMaxThreads = 1024, kMaxSide = 65535, kMaxBlocks = 0x7fffffff;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return 0;
  if (grid.x > kMaxBlocks || grid.y > kMaxSide || grid.z > kMaxSide) return kInvalidConfiguration;
  if (block.z > 64 || std::size_t(block.x) * block.y * block.z > kMaxThreads) return kInvalidConfiguration;
  if (shared > max_shared_bytes()) return kInvalidValue;
  emulation::Block b;
  b.grid = grid;
  b.block = block;
  b.fibers = std::vector<emulation::Fiber>(std::size_t(block.x) * block.y * block.z);
  b.lanes.resize(b.fibers.size());
  b.body = [&] { kernel(static_cast<P>(args)...); };
  ++emulation::launches();
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        b.index = dim3(x, y, z);
        b.allocate(shared);
        emulation::run_block(b);
      }
  return 0;
}

// The dynamic shared memory of the running kernel.
template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::current->dynamic_shared);
}

}  // namespace avsa
