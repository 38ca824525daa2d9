// By hand: compilers do not find the instructions that multiply bytes and add them up.
#include "gnomonic/cpu/byte_sums.h"

#include <algorithm>

#include "core/clones.h"

#ifdef AVSA_HAS_CLONES
#include "gnomonic/cpu/byte_sums_avx2.h"
#include "gnomonic/cpu/vnni.h"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // the undefined operands of GCC's own intrinsics
#endif

namespace avsa::gnomonic {
namespace {

constexpr int kLanes = 16;
constexpr int kPlane = 3 * kLanes;  // values of a frame
constexpr int kAhead = 100;  // bytes from a group to those of the next pixel, which the nearest cache may have lost

template <int C>
void sum_any(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t, int frames, const Group* groups,
             const int* first, const int* last, const float* step, float* values) {
  for (int l = 0; l < kLanes; ++l) {
    float sums[kMostFrames][16 * C] = {};
    for (const Group* group = groups + first[l]; group < groups + last[l]; ++group) {
      float weights[16 * C];
      for (int i = 0; i < 16; ++i)
        for (int c = 0; c < C; ++c) weights[C * i + c] = float(256 * group->high[i] + group->low[i]);
      const std::uint8_t* from = frame + group->begin;
      for (int f = 0; f < frames; ++f, from += frame_step)
        for (int i = 0; i < C * group->texels; ++i) sums[f][i] += weights[i] * float(from[i]);
    }
    for (int f = 0; f < frames; ++f)
      for (int i = 0; i < 16 * C; ++i) values[f * kPlane + i % C * kLanes + l] += step[l] * sums[f][i];
  }
}

#ifdef AVSA_HAS_CLONES
// maskz: GCC warns of the undefined operand of the plain forms.
AVSA_VNNI_INLINE __m512 low_pairs(__m512 a, __m512 b) { return _mm512_maskz_unpacklo_ps(0xffff, a, b); }
AVSA_VNNI_INLINE __m512 high_pairs(__m512 a, __m512 b) { return _mm512_maskz_unpackhi_ps(0xffff, a, b); }
AVSA_VNNI_INLINE __m512 low_halves(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xff, _mm512_castps_pd(a), _mm512_castps_pd(b)));
}
AVSA_VNNI_INLINE __m512 high_halves(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xff, _mm512_castps_pd(a), _mm512_castps_pd(b)));
}

// The sum of each quarter of four vectors, four side by side.
AVSA_VNNI_INLINE __m512 quarter_sums(const __m512* a) {
  const __m512 first = low_pairs(a[0], a[1]) + high_pairs(a[0], a[1]);
  const __m512 second = low_pairs(a[2], a[3]) + high_pairs(a[2], a[3]);
  return low_halves(first, second) + high_halves(first, second);
}

// Adds four lanes' sums, each [channels, 4 frames], to values [4 frames, 3, 16].
template <int C>
AVSA_VNNI_INLINE void add_lanes(const __m512* lanes, const float* step, float* values) {
  const __m512 a = low_pairs(lanes[0], lanes[1]), b = high_pairs(lanes[0], lanes[1]);
  const __m512 c = low_pairs(lanes[2], lanes[3]), d = high_pairs(lanes[2], lanes[3]);
  const __m512 frames[4] = {low_halves(a, c), high_halves(a, c), low_halves(b, d), high_halves(b, d)};
  const __m128 unit = _mm_loadu_ps(step);
  const auto add = [&](float* to, __m128 sums) __attribute__((always_inline, target("arch=x86-64-v4"))) {
    _mm_storeu_ps(to, _mm_fmadd_ps(unit, sums, _mm_loadu_ps(to)));
  };
  for (int f = 0; f < 4; ++f) {
    add(values + f * kPlane, _mm512_castps512_ps128(frames[f]));
    if constexpr (C > 1) add(values + f * kPlane + kLanes, _mm512_maskz_extractf32x4_ps(0xf, frames[f], 1));
    if constexpr (C > 2) add(values + f * kPlane + 2 * kLanes, _mm512_maskz_extractf32x4_ps(0xf, frames[f], 2));
  }
}

// last_whole: the last place where 64 bytes can be read.
// The sums of at most kMostGroups groups in `count` frames: a channel's in each quarter of a vector.
template <int C, int count>
AVSA_VNNI_INLINE void sum_groups(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t last_whole,
                                 const Group* group, const Group* end, __m512i order, __m512 (&sums)[count]) {
  __m512i high[count], low[count];
  for (int f = 0; f < count; ++f) high[f] = low[f] = _mm512_setzero_si512();
  for (; group < end; ++group) {
    const __m512i w1 = _mm512_maskz_broadcast_i32x4(0xffff, _mm_loadu_si128((const __m128i*)group->high));
    const __m512i w0 = _mm512_maskz_broadcast_i32x4(0xffff, _mm_loadu_si128((const __m128i*)group->low));
    const std::uint8_t* from = frame + group->begin;
    const auto add = [&](int f, __m512i texels)
                         __attribute__((always_inline, target("arch=x86-64-v4,avx512vbmi,avx512vnni"))) {
                           const __m512i bytes = _mm512_maskz_permutexvar_epi8(~__mmask64(0), order, texels);
                           high[f] = _mm512_dpbusd_epi32(high[f], bytes, w1);
                           low[f] = _mm512_dpbusd_epi32(low[f], bytes, w0);
                         };
    if (group->begin <= last_whole) {
      for (int f = 0; f < count; ++f, from += frame_step) {
        add(f, _mm512_loadu_si512(from));
        __builtin_prefetch(from + kAhead);
      }
    } else {  // nothing beyond a frame may be read
      const __mmask64 inside = (std::uint64_t(1) << C * group->texels) - 1;
      for (int f = 0; f < count; ++f, from += frame_step) add(f, _mm512_maskz_loadu_epi8(inside, from));
    }
  }
  for (int f = 0; f < count; ++f)
    sums[f] = _mm512_fmadd_ps(to_float(high[f]), _mm512_set1_ps(256.0f), to_float(low[f]));
}

// A lane's sums.
template <int C, int count>
AVSA_VNNI_INLINE void sum_lane(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t last_whole,
                               const Group* group, int n, __m512i order, __m512 (&sums)[count]) {
  constexpr int kMostGroups = 16000;  // whose sums fit into 31 bits
  sum_groups<C, count>(frame, frame_step, last_whole, group, group + std::min(n, kMostGroups), order, sums);
  for (int done = kMostGroups; done < n; done += kMostGroups) {
    __m512 more[count];
    sum_groups<C, count>(frame, frame_step, last_whole, group + done, group + std::min(n, done + kMostGroups), order,
                         more);
    for (int f = 0; f < count; ++f) sums[f] += more[f];
  }
}

template <int C>
AVSA_VNNI_INLINE __m512i texels_by_channel() {
  alignas(64) std::uint8_t order[64] = {};
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < 16; ++i) order[16 * c + i] = std::uint8_t(C * i + c);
  return _mm512_load_si512(order);
}

template <int C, int count>
AVSA_VNNI_INLINE void sum_frames(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size,
                                 const Group* groups, const int* first, const int* last, const float* step,
                                 float* values) {
  const __m512i order = texels_by_channel<C>();
  for (int l = 0; l < kLanes; l += 4) {
    __m512 lanes[count / 4][4];
    for (int i = 0; i < 4; ++i) {
      __m512 sums[count];
      sum_lane<C>(frame, frame_step, size - 64, groups + first[l + i], last[l + i] - first[l + i], order, sums);
      for (int f = 0; f < count; f += 4) lanes[f / 4][i] = quarter_sums(sums + f);
    }
    for (int f = 0; f < count; f += 4) add_lanes<C>(lanes[f / 4], step + l, values + f * kPlane + l);
  }
}

template <int C>
AVSA_VNNI void sum_vnni(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size, int frames,
                        const Group* groups, const int* first, const int* last, const float* step, float* values) {
  int f = 0;
  for (; f + 8 <= frames; f += 8)
    sum_frames<C, 8>(frame + f * frame_step, frame_step, size, groups, first, last, step, values + f * kPlane);
  for (; f + 4 <= frames; f += 4)
    sum_frames<C, 4>(frame + f * frame_step, frame_step, size, groups, first, last, step, values + f * kPlane);
  for (; f < frames; ++f)
    for (int l = 0; l < kLanes; ++l) {
      __m512 sums[4] = {};
      __m512(&sum)[1] = reinterpret_cast<__m512(&)[1]>(sums);
      sum_lane<C>(frame + f * frame_step, frame_step, size - 64, groups + first[l], last[l] - first[l],
                  texels_by_channel<C>(), sum);
      float quarters[16];
      _mm512_storeu_ps(quarters, quarter_sums(sums));
      for (int c = 0; c < C; ++c) values[f * kPlane + c * kLanes + l] += step[l] * quarters[4 * c];
    }
}
#endif

using Sums = void (*)(const std::uint8_t*, std::int64_t, std::int64_t, int, const Group*, const int*, const int*,
                      const float*, float*);

template <int C>
Sums best_sums() {
#ifdef AVSA_HAS_CLONES
  if (has_vnni()) return sum_vnni<C>;
  if (isa() >= Isa::avx2) return sum_avx2<C>;
#endif
  return sum_any<C>;
}

}  // namespace

template <int C>
void byte_sums(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size, int frames, const Group* groups,
               const int* first, const int* last, const float* step, float* values) {
  static const Sums chosen = best_sums<C>();
  chosen(frame, frame_step, size, frames, groups, first, last, step, values);
}

#define AVSA_CHANNELS(C)                                                                                     \
  template void byte_sums<C>(const std::uint8_t*, std::int64_t, std::int64_t, int, const Group*, const int*, \
                             const int*, const float*, float*);
AVSA_CHANNELS(1)
AVSA_CHANNELS(2)
AVSA_CHANNELS(3)
#undef AVSA_CHANNELS

}  // namespace avsa::gnomonic
