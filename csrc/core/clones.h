// Lambdas compiled for several instruction sets. Temporary: operations move to *.simd.cpp.
#pragma once
#include "core/dispatch.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(AVSA_SIMD_SETS)
#define AVSA_HAS_CLONES
#define AVSA_TARGET(options) __attribute__((target(options)))
#else
#define AVSA_TARGET(options)
#endif
#define AVSA_INLINED __attribute__((always_inline))

namespace avsa {

template <class F>
AVSA_TARGET("arch=x86-64-v3")
auto on_avx2(F f) {
  return f();
}
template <class F>
AVSA_TARGET("arch=x86-64-v4")
auto on_avx512(F f) {
  return f();
}
template <class F>
inline auto for_isa(F f) {
#ifdef AVSA_HAS_CLONES
  if (isa() >= Isa::avx512) return on_avx512(f);
  if (isa() == Isa::avx2) return on_avx2(f);
#endif
  return f();
}

}  // namespace avsa
