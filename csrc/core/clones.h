// One source for every instruction set: the loader picks the clone that the processor has.
// Functions called from a clone must be inlined into it, or they run as baseline code.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVSA_NO_CLONES)
#define AVSA_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define AVSA_HAS_CLONES
#else
#define AVSA_CLONES
#endif

// Before a loop over the lanes of vector registers, whose turns do not depend on each other.
#define AVSA_LANES _Pragma("omp simd")

namespace avsa {

// The instruction set that AVSA_CLONES picks on this processor.
inline const char* cpu_isa() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVSA_NO_CLONES)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return "avx512";
  if (__builtin_cpu_supports("x86-64-v3")) return "avx2";
#endif
  return "baseline";
}

}  // namespace avsa
