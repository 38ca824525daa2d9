// Counterpart of csrc/core/vectors.h on the host, for tests: misaligned addresses are an error.
#pragma once
#include <cstdint>

#include "core/launch.h"

#define AVSA_UNROLL_BY_4

namespace avsa {

inline void check_alignment(const void* address, std::size_t bytes, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) emulation::fault("%s of a misaligned address", what);
}

template <class V>
V load_vector(const V* from) {
  check_alignment(from, sizeof(V), "a vector load");
  return *from;
}

template <class V>
void store_streaming(V* to, const V& value) {
  check_alignment(to, sizeof(V), "a vector store");
  *to = value;
}

}  // namespace avsa
