// The choice of an instruction set at run time.
#include "core/dispatch.h"

#include <cstdlib>
#include <cstring>

namespace avsa {
namespace {

Isa best_isa() {
#ifdef AVSA_SIMD_SETS
  __builtin_cpu_init();
  // Levels 3 and 4 of x86-64 by features that every compiler knows; processors that have these have the others too.
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  const bool vnni = v4 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
  if (vnni && __builtin_cpu_supports("avx512bf16")) return Isa::avx512_bf16;
  if (vnni) return Isa::avx512_vnni;
  if (v4) return Isa::avx512;
  if (v3) return Isa::avx2;
#endif
  return Isa::baseline;
}

}  // namespace

Isa isa() {
  static const Isa chosen = [] {
    const int best = int(best_isa());
    if (const char* requested = std::getenv("AVSA_CPU_ISA"))
      for (int n = 0; n < best; ++n)
        if (std::strcmp(requested, kIsaNames[n]) == 0) return Isa(n);
    return Isa(best);
  }();
  return chosen;
}

}  // namespace avsa
