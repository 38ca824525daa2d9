// Loads and stores of several numbers by one instruction. csrc/emulation/core/vectors.h takes its place in the tests.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#define AVSA_UNROLL_BY_4 _Pragma("unroll 4")

namespace avsa {

// The built-in type that moves as many bytes as V; V's address is aligned to them.
template <class V>
using Word = std::conditional_t<
    sizeof(V) == 16, float4,
    std::conditional_t<
        sizeof(V) == 8, float2,
        std::conditional_t<sizeof(V) == 4, float, std::conditional_t<sizeof(V) == 2, unsigned short, unsigned char>>>>;

template <class V>
__device__ V load_vector(const V* from) {
  static_assert(sizeof(Word<V>) == sizeof(V));
  const Word<V> word = __ldg(reinterpret_cast<const Word<V>*>(from));
  V value;
  memcpy(&value, &word, sizeof value);
  return value;
}

// Of results, which need not displace other data from the L2 cache.
template <class V>
__device__ void store_streaming(V* to, const V& value) {
  static_assert(sizeof(Word<V>) == sizeof(V));
  Word<V> word;
  memcpy(&word, &value, sizeof word);
  __stcs(reinterpret_cast<Word<V>*>(to), word);
}

}  // namespace avsa
