// Runtime CPU dispatch. A file named *.simd.cpp is compiled once per instruction set (cmake/simd.cmake), each time with
// AVSA_ISA defined as that set's name, which is also the namespace of what it defines; a file named *.avx512_vnni.cpp
// for that set alone. Callers take the best variant that the processor runs.
#pragma once
#include <type_traits>

#ifndef AVSA_ISA  // files compiled once
#define AVSA_ISA baseline
#endif

namespace avsa {

enum class Isa : int { baseline, avx2, avx512, avx512_vnni, avx512_bf16 };  // each includes those before it
constexpr const char* kIsaNames[] = {"baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};

// The best set of this processor and build, or a lesser one named by AVSA_CPU_ISA; decided once.
Isa isa();

// The variant to call: that of the best set up to isa() that has one.
template <class F>
F* best_variant(F* baseline, F* avx2, F* avx512, std::type_identity_t<F>* avx512_vnni = nullptr,
                std::type_identity_t<F>* avx512_bf16 = nullptr) {
  F* const variants[] = {baseline, avx2, avx512, avx512_vnni, avx512_bf16};
  int best = int(isa());
  while (variants[best] == nullptr) --best;
  return variants[best];
}

}  // namespace avsa

// AVSA_DECLARE_SIMD declares, in each set's namespace, a function that a *.simd.cpp file defines, and AVSA_DISPATCH is
// the variant to call. The same with _VNNI or _BF16 if an *.avx512_vnni.cpp or *.avx512_bf16.cpp file defines one more
// variant.
#define AVSA_DECLARE_IN(isa, result, name, ...) \
  namespace isa {                               \
  result name(__VA_ARGS__);                     \
  }
#ifdef AVSA_SIMD_SETS
#define AVSA_DECLARE_SIMD(...)           \
  AVSA_DECLARE_IN(baseline, __VA_ARGS__) \
  AVSA_DECLARE_IN(avx2, __VA_ARGS__)     \
  AVSA_DECLARE_IN(avx512, __VA_ARGS__)
#define AVSA_DISPATCH(name) ::avsa::best_variant(baseline::name, avx2::name, avx512::name)
#define AVSA_DECLARE_SIMD_VNNI(...) \
  AVSA_DECLARE_SIMD(__VA_ARGS__)    \
  AVSA_DECLARE_IN(avx512_vnni, __VA_ARGS__)
#define AVSA_DISPATCH_VNNI(name) ::avsa::best_variant(baseline::name, avx2::name, avx512::name, avx512_vnni::name)
#define AVSA_DECLARE_SIMD_BF16(...) \
  AVSA_DECLARE_SIMD(__VA_ARGS__)    \
  AVSA_DECLARE_IN(avx512_bf16, __VA_ARGS__)
#define AVSA_DISPATCH_BF16(name) \
  ::avsa::best_variant(baseline::name, avx2::name, avx512::name, nullptr, avx512_bf16::name)
#else
#define AVSA_DECLARE_SIMD(...) AVSA_DECLARE_IN(baseline, __VA_ARGS__)
#define AVSA_DISPATCH(name) baseline::name
#define AVSA_DECLARE_SIMD_VNNI AVSA_DECLARE_SIMD
#define AVSA_DISPATCH_VNNI AVSA_DISPATCH
#define AVSA_DECLARE_SIMD_BF16 AVSA_DECLARE_SIMD
#define AVSA_DISPATCH_BF16 AVSA_DISPATCH
#endif

// Before a loop over the lanes of vector registers, whose iterations are independent.
#define AVSA_LANES _Pragma("omp simd")
