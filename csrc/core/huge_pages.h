// Huge pages for large outputs. Called by host kernels.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace avsa {

// Advises the system to use pages of 2 MB for parts of an array that are not in memory yet: zeroing pages of 4 kB takes
// four times as long.
inline void ask_for_huge_pages(void* array, std::int64_t bytes) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = std::uintptr_t(2) << 20;
  const std::uintptr_t start = (reinterpret_cast<std::uintptr_t>(array) + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(array) + std::uintptr_t(bytes)) / kPage * kPage;
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#endif
}

}  // namespace avsa
