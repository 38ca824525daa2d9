// Memory that the system hands out when it is first written.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace avsa {

// Pages of 2 MB for what of an array is not in memory yet: zeroing 4 kB at a time takes the system four times as long.
// Where the system has none to give, nothing changes.
inline void ask_for_huge_pages(void* array, std::int64_t bytes) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = std::uintptr_t(2) << 20;
  const std::uintptr_t start = (reinterpret_cast<std::uintptr_t>(array) + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(array) + std::uintptr_t(bytes)) / kPage * kPage;
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#endif
}

}  // namespace avsa
