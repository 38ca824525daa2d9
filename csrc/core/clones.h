// One source for every instruction set, the best that the processor has chosen at run time.
// Functions called from for_isa's must be inlined into it, or they run as baseline code.
#pragma once
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVSA_NO_CLONES)
#define AVSA_HAS_CLONES
#define AVSA_TARGET(options) __attribute__((target(options)))
#else
#define AVSA_TARGET(options)
#endif

// After a lambda's parameters.
#define AVSA_INLINED __attribute__((always_inline))

// Before a loop over the lanes of vector registers, whose turns do not depend on each other.
#define AVSA_LANES _Pragma("omp simd")

namespace avsa {

enum class Isa : int { baseline, avx2, avx512, avx512_bf16 };  // each with those before it
constexpr const char* kIsaNames[] = {"baseline", "avx2", "avx512", "avx512_bf16"};

// What kernels run on, decided once: the processor's best, or less where AVSA_CPU_ISA names it.
inline Isa isa() {
  static const Isa chosen = [] {
    int best = 0;
#ifdef AVSA_HAS_CLONES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v3")) best = int(Isa::avx2);
    if (__builtin_cpu_supports("x86-64-v4")) best = int(Isa::avx512);
    if (best == int(Isa::avx512) && __builtin_cpu_supports("avx512bf16")) best = int(Isa::avx512_bf16);
#endif
    if (const char* asked = std::getenv("AVSA_CPU_ISA"))
      for (int n = 0; n < best; ++n)
        if (std::strcmp(asked, kIsaNames[n]) == 0) best = n;
    return Isa(best);
  }();
  return chosen;
}

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

// f(), which is AVSA_INLINED, compiled for the instruction set at hand.
template <class F>
inline auto for_isa(F f) {
#ifdef AVSA_HAS_CLONES
  if (isa() >= Isa::avx512) return on_avx512(f);
  if (isa() == Isa::avx2) return on_avx2(f);
#endif
  return f();
}

}  // namespace avsa
