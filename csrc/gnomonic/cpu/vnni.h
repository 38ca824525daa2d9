// The instructions of AVX-512 that multiply bytes and add them up.
#pragma once
#include <immintrin.h>

#include "core/clones.h"

namespace avsa::gnomonic {

#define AVSA_VNNI __attribute__((target("arch=x86-64-v4,avx512vbmi,avx512vnni")))
#define AVSA_VNNI_INLINE inline __attribute__((always_inline, target("arch=x86-64-v4,avx512vbmi,avx512vnni")))

inline bool has_vnni() {
  return isa() >= Isa::avx512 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}

AVSA_VNNI_INLINE __m512 to_float(__m512i a) { return _mm512_maskz_cvtepi32_ps(0xffff, a); }

}  // namespace avsa::gnomonic
