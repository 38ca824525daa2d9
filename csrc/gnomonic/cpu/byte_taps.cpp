// By hand: compilers do not find the instructions that multiply bytes and add them up.
#include "gnomonic/cpu/byte_taps.h"

#include <array>

#include "core/clones.h"

#ifdef AVSA_HAS_CLONES
#include "gnomonic/cpu/byte_sums.h"
#include "gnomonic/cpu/vnni.h"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // the undefined operands of GCC's own intrinsics
#endif

namespace avsa::gnomonic {
namespace {

#ifdef AVSA_HAS_CLONES
// Eight lanes' bytes: 8 from each place.
AVSA_VNNI_INLINE __m512i eights(const std::uint8_t* frame, const std::int32_t* at) {
  const auto bytes = [&](int l) __attribute__((always_inline, target("arch=x86-64-v4"))) {
    return _mm_loadl_epi64((const __m128i*)(frame + at[l]));
  };
  __m512i all = _mm512_maskz_broadcastq_epi64(0xff, bytes(0));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 1, bytes(1));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 2, bytes(2));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 3, bytes(3));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 4, bytes(4));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 5, bytes(5));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 6, bytes(6));
  return _mm512_mask_broadcastq_epi64(all, 1 << 7, bytes(7));
}

// Weights as whole numbers, 256 · high + low, a byte a tap, and what 1 in them stands for.
struct WholeWeights {
  __m512i high, low;
  __m512 step;

  AVSA_VNNI_INLINE WholeWeights(const float* weights, __mmask16 lanes) {
    const __m512 w[4] = {_mm512_loadu_ps(weights), _mm512_loadu_ps(weights + 16), _mm512_loadu_ps(weights + 32),
                         _mm512_loadu_ps(weights + 48)};
    // Where a cubemap's face is continued past its edge, weights can be negative, and others above 1.
    const __m512 sum = (w[0] + w[1]) + (w[2] + w[3]);
    const __m512 size = (_mm512_abs_ps(w[0]) + _mm512_abs_ps(w[1])) + (_mm512_abs_ps(w[2]) + _mm512_abs_ps(w[3]));
    const __mmask16 some = _mm512_mask_cmp_ps_mask(lanes, size, _mm512_setzero_ps(), _CMP_GT_OQ);  // a share can be 0
    const __m512 units = _mm512_maskz_div_ps(some, _mm512_set1_ps(float(kMostWeight - 2)), size);
    high = low = _mm512_setzero_si512();
    __m512i total = high;
    for (int tap = 0; tap < 4; ++tap) {
      const __m512i whole = _mm512_maskz_cvtps_epi32(0xffff, w[tap] * units);
      const __m512i h = _mm512_maskz_srai_epi32(0xffff, _mm512_add_epi32(whole, _mm512_set1_epi32(128)), 8);
      const __m512i byte = _mm512_set1_epi32(255);
      high = _mm512_or_si512(high, _mm512_maskz_slli_epi32(0xffff, _mm512_and_si512(h, byte), 8 * tap));
      low = _mm512_or_si512(low, _mm512_maskz_slli_epi32(0xffff, _mm512_and_si512(whole, byte), 8 * tap));
      total = _mm512_add_epi32(total, whole);
    }
    step = _mm512_maskz_div_ps(some, sum, to_float(total));
  }
};

template <int C>
AVSA_VNNI bool taps_vnni(const std::uint8_t* frame, std::int64_t frame_step, int frames, const std::int32_t* top,
                         const std::int32_t* bottom, std::uint32_t lanes, const float* weights, bool onto,
                         float* values) {
  const WholeWeights w(weights, __mmask16(lanes));
  // Where eight lanes' bytes of a channel are, twice: c, c + C of the top row, then of the bottom one.
  alignas(64) static constexpr auto places = [] {
    std::array<std::array<std::uint8_t, 64>, C> all{};
    for (int c = 0; c < C; ++c)
      for (int l = 0; l < 16; ++l)
        for (int tap = 0; tap < 4; ++tap)
          all[c][4 * l + tap] = std::uint8_t(64 * (tap / 2) + 8 * (l % 8) + c + C * (tap % 2));
    return all;
  }();
  const __mmask16 kept = onto ? 0xffff : 0;
  for (int f = 0; f < frames; ++f, frame += frame_step, values += 3 * 16) {
    const __m512i above[2] = {eights(frame, top), eights(frame, top + 8)};
    const __m512i below[2] = {eights(frame, bottom), eights(frame, bottom + 8)};
    for (int c = 0; c < C; ++c) {
      const __m512i order = _mm512_loadu_si512(places[c].data());
      const __m512i bytes = _mm512_mask_blend_epi32(0xff00, _mm512_permutex2var_epi8(above[0], order, below[0]),
                                                    _mm512_permutex2var_epi8(above[1], order, below[1]));
      const __m512i high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes, w.high);
      const __m512i sum = _mm512_dpbusd_epi32(_mm512_maskz_slli_epi32(0xffff, high, 8), bytes, w.low);
      float* to = values + 16 * c;
      _mm512_storeu_ps(to, _mm512_fmadd_ps(to_float(sum), w.step, _mm512_maskz_loadu_ps(kept, to)));
    }
  }
  return true;
}
#endif

template <int C>
bool taps_none(const std::uint8_t*, std::int64_t, int, const std::int32_t*, const std::int32_t*, std::uint32_t,
               const float*, bool, float*) {
  return false;
}

template <int C>
auto best_taps() {
#ifdef AVSA_HAS_CLONES
  if (has_vnni()) return taps_vnni<C>;
#endif
  return taps_none<C>;
}

}  // namespace

template <int C>
bool byte_taps(const std::uint8_t* frame, std::int64_t frame_step, int frames, const std::int32_t* top,
               const std::int32_t* bottom, std::uint32_t lanes, const float* weights, bool onto, float* values) {
  static const auto chosen = best_taps<C>();
  return chosen(frame, frame_step, frames, top, bottom, lanes, weights, onto, values);
}

#define AVSA_CHANNELS(C)                                                                                       \
  template bool byte_taps<C>(const std::uint8_t*, std::int64_t, int, const std::int32_t*, const std::int32_t*, \
                             std::uint32_t, const float*, bool, float*);
AVSA_CHANNELS(1)
AVSA_CHANNELS(2)
AVSA_CHANNELS(3)
#undef AVSA_CHANNELS

}  // namespace avsa::gnomonic
