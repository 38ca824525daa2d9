// By hand, since compilers widen bytes to float in many more steps.
#include "gnomonic/chunk_sums.h"

#include "core/clones.h"

#ifdef AVSA_HAS_CLONES
#include <immintrin.h>
#endif

namespace avsa {
namespace {

template <int frames>
void sum_any(const std::uint8_t* first, std::int64_t frame_step, const std::int32_t* begin, const float* weights, int n,
             std::int32_t ahead, float* sums) {
  float sum[frames][kWide] = {};
  for (; n > 0; --n, ++begin, weights += kWide) {
    const std::uint8_t* from = first + *begin;
    for (int f = 0; f < frames; ++f, from += frame_step) {
      __builtin_prefetch(from + ahead);
      for (int i = 0; i < kWide; ++i) sum[f][i] += weights[i] * float(from[i]);
    }
  }
  for (int f = 0; f < frames; ++f)
    for (int i = 0; i < kWide; ++i) sums[f * kWide + i] = sum[f][i];
}

#ifdef AVSA_HAS_CLONES
template <int frames>
__attribute__((target("arch=x86-64-v4"))) void sum_v4(const std::uint8_t* first, std::int64_t frame_step,
                                                      const std::int32_t* begin, const float* weights, int n,
                                                      std::int32_t ahead, float* sums) {
  constexpr __mmask16 kAll = 0xffff;  // maskz: GCC warns of the undefined operand of the plain forms
  __m512 sum[frames] = {};
  for (; n > 0; --n, ++begin, weights += kWide) {
    const __m512 w = _mm512_loadu_ps(weights);
    const std::uint8_t* from = first + *begin;
    for (int f = 0; f < frames; ++f, from += frame_step) {
      __builtin_prefetch(from + ahead);
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      sum[f] = _mm512_fmadd_ps(w, _mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepu8_epi32(kAll, bytes)), sum[f]);
    }
  }
  for (int f = 0; f < frames; ++f) _mm512_storeu_ps(sums + f * kWide, sum[f]);
}

template <int frames>
__attribute__((target("arch=x86-64-v3"))) void sum_v3(const std::uint8_t* first, std::int64_t frame_step,
                                                      const std::int32_t* begin, const float* weights, int n,
                                                      std::int32_t ahead, float* sums) {
  __m256 low[frames] = {}, high[frames] = {};
  for (; n > 0; --n, ++begin, weights += kWide) {
    const __m256 w0 = _mm256_loadu_ps(weights), w1 = _mm256_loadu_ps(weights + 8);
    const std::uint8_t* from = first + *begin;
    for (int f = 0; f < frames; ++f, from += frame_step) {
      __builtin_prefetch(from + ahead);
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      const __m256i first_bytes = _mm256_cvtepu8_epi32(bytes), last = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
      low[f] = _mm256_fmadd_ps(w0, _mm256_cvtepi32_ps(first_bytes), low[f]);
      high[f] = _mm256_fmadd_ps(w1, _mm256_cvtepi32_ps(last), high[f]);
    }
  }
  for (int f = 0; f < frames; ++f) {
    _mm256_storeu_ps(sums + f * kWide, low[f]);
    _mm256_storeu_ps(sums + f * kWide + 8, high[f]);
  }
}
#endif

using Sums = void (*)(const std::uint8_t*, std::int64_t, const std::int32_t*, const float*, int, std::int32_t, float*);

template <int frames>
Sums best() {
#ifdef AVSA_HAS_CLONES
  if (isa() >= Isa::avx512) return sum_v4<frames>;
  if (isa() == Isa::avx2) return sum_v3<frames>;
#endif
  return sum_any<frames>;
}

}  // namespace

template <int frames>
void chunk_sums(const std::uint8_t* first, std::int64_t frame_step, const std::int32_t* begin, const float* weights,
                int n, std::int32_t ahead, float* sums) {
  static const Sums chosen = best<frames>();
  chosen(first, frame_step, begin, weights, n, ahead, sums);
}

template void chunk_sums<1>(const std::uint8_t*, std::int64_t, const std::int32_t*, const float*, int, std::int32_t,
                            float*);
template void chunk_sums<kTogether>(const std::uint8_t*, std::int64_t, const std::int32_t*, const float*, int,
                                    std::int32_t, float*);

}  // namespace avsa
