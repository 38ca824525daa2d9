// Sums over byte frames by AVX-512 VBMI, which gathers bytes, and VNNI, which adds four products of an unsigned and a
// signed byte to a 32-bit integer: byte_sums of byte_sums.h, and byte_taps of bilinear.h.
#pragma once
#include <immintrin.h>

#include <array>

#include "gnomonic/cpu/byte_sums.h"

namespace avsa::gnomonic::AVSA_ISA {

// The sum of each quarter of four vectors, as [quarter, vector].
AVSA_HD __m512 quarter_sums(const __m512 (&a)[4]) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  return _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
}

// Adds unit · sums of four lanes, each [channel, frame], to values [4 frames, 3, kLanes].
template <int C>
AVSA_HD void add_lanes(const __m512 (&lanes)[4], const float* unit, float* values) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(lanes[0], lanes[1]));
  const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(lanes[0], lanes[1]));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(lanes[2], lanes[3]));
  const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(lanes[2], lanes[3]));
  const __m512 frames[4] = {_mm512_castpd_ps(_mm512_unpacklo_pd(a, c)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)),
                            _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(b, d))};
  const __m128 units = _mm_loadu_ps(unit);
  const auto add = [&](float* to, __m128 sums) __attribute__((always_inline)) {
    _mm_storeu_ps(to, _mm_fmadd_ps(units, sums, _mm_loadu_ps(to)));
  };
  for (int f = 0; f < 4; ++f, values += 3 * kLanes) {
    add(values, _mm512_castps512_ps128(frames[f]));
    if constexpr (C > 1) add(values + kLanes, _mm512_extractf32x4_ps(frames[f], 1));
    if constexpr (C > 2) add(values + 2 * kLanes, _mm512_extractf32x4_ps(frames[f], 2));
  }
}

// The bytes of 16 texels of C channels, in the order [channel, texel].
template <int C>
AVSA_HD __m512i bytes_by_channel() {
  alignas(64) static constexpr auto order = [] {
    std::array<std::uint8_t, 64> order{};
    for (int c = 0; c < C; ++c)
      for (int i = 0; i < 16; ++i) order[16 * c + i] = std::uint8_t(C * i + c);
    return order;
  }();
  return _mm512_load_si512(order.data());
}

// The sums of lane l in kFrames frames from `frame` on: a channel's in each quarter of a vector.
template <int C, int kFrames>
AVSA_HD void lane_sums(const FrameView<std::uint8_t>& view, int frame, const LaneGroups<ByteGroup>& lanes, int l,
                       __m512i order, __m512* sums) {
  constexpr int kAhead = 100;  // bytes to the texels of the next pixel, which may be in a slower cache
  static_assert(kMaxGroups * 4 * 255 * 128 < 1 << 30);
  const std::uint8_t* const first = view.data + frame * view.frame_step;
  __m512i high[kFrames], low[kFrames];
  for (int f = 0; f < kFrames; ++f) high[f] = low[f] = _mm512_setzero_si512();
  const ByteGroup* const end = lanes.groups[0] + l + lanes.count[l] * kLanes;
  for (const ByteGroup* group = lanes.groups[0] + l; group < end; group += kLanes) {
    const __m512i w1 = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)group->high));
    const __m512i w0 = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)group->low));
    const std::uint8_t* from = first + group->begin;
    const auto add = [&](int f, __m512i texels) __attribute__((always_inline)) {
      const __m512i bytes = _mm512_permutexvar_epi8(order, texels);
      high[f] = _mm512_dpbusd_epi32(high[f], bytes, w1);
      low[f] = _mm512_dpbusd_epi32(low[f], bytes, w0);
    };
    if (group->begin <= view.size - 64) {
      for (int f = 0; f < kFrames; ++f, from += view.frame_step) {
        add(f, _mm512_loadu_si512(from));
        __builtin_prefetch(from + kAhead);
      }
    } else {  // nothing beyond a frame may be read
      const __mmask64 inside = (std::uint64_t(1) << C * group->texels) - 1;
      for (int f = 0; f < kFrames; ++f, from += view.frame_step) add(f, _mm512_maskz_loadu_epi8(inside, from));
    }
  }
  for (int f = 0; f < kFrames; ++f)
    sums[f] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[f]), _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(low[f]));
}

// kFrames: a multiple of 4.
template <int C, int kFrames>
AVSA_HD void frame_sums(const FrameView<std::uint8_t>& view, int frame, const LaneGroups<ByteGroup>& lanes,
                        const float* unit, float* values) {
  const __m512i order = bytes_by_channel<C>();
  for (int l = 0; l < kLanes; l += 4) {
    __m512 four_lanes[kFrames / 4][4];
    for (int i = 0; i < 4; ++i) {
      __m512 sums[kFrames / 4][4];
      lane_sums<C, kFrames>(view, frame, lanes, l + i, order, sums[0]);
      for (int f = 0; f < kFrames / 4; ++f) four_lanes[f][i] = quarter_sums(sums[f]);
    }
    for (int f = 0; f < kFrames / 4; ++f)
      add_lanes<C>(four_lanes[f], unit + l, values + (frame + 4 * f) * 3 * kLanes + l);
  }
}

// Adds unit[l] · the sums over the groups of each lane l to values [frames, 3, kLanes]. C: channels of the plane.
template <int C>
void byte_sums(const FrameView<std::uint8_t>& view, const LaneGroups<ByteGroup>& lanes, const float* unit,
               float* values) {
  int f = 0;
  for (; f + 8 <= view.frames; f += 8) frame_sums<C, 8>(view, f, lanes, unit, values);
  for (; f + 4 <= view.frames; f += 4) frame_sums<C, 4>(view, f, lanes, unit, values);
  for (; f < view.frames; ++f)
    for (int l = 0; l < kLanes; ++l) {
      __m512 sums[4] = {};
      lane_sums<C, 1>(view, f, lanes, l, bytes_by_channel<C>(), sums);
      float quarters[16];
      _mm512_storeu_ps(quarters, quarter_sums(sums));
      for (int c = 0; c < C; ++c) values[(3 * f + c) * kLanes + l] += unit[l] * quarters[4 * c];
    }
}

// 8 bytes from each of the places `at` of eight lanes.
AVSA_HD __m512i eight_bytes(const std::uint8_t* frame, const std::int32_t* at) {
  const auto bytes = [&](int l)
                         __attribute__((always_inline)) { return _mm_loadl_epi64((const __m128i*)(frame + at[l])); };
  __m512i all = _mm512_broadcastq_epi64(bytes(0));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 1, bytes(1));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 2, bytes(2));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 3, bytes(3));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 4, bytes(4));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 5, bytes(5));
  all = _mm512_mask_broadcastq_epi64(all, 1 << 6, bytes(6));
  return _mm512_mask_broadcastq_epi64(all, 1 << 7, bytes(7));
}

// Weights of four taps as integers, 256 · high + low, a byte per tap, and the value of 1 in them.
struct IntegerTapWeights {
  __m512i high, low;
  __m512 unit;

  // weights: [4, kLanes], of which those of lanes not in `lanes` become 0.
  AVSA_HD IntegerTapWeights(const float* weights, __mmask16 lanes) {
    __m512 w[4];
    for (int tap = 0; tap < 4; ++tap) w[tap] = _mm512_loadu_ps(weights + tap * kLanes);
    // Where the face of a cubemap is extrapolated, weights can be negative, and others above 1.
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(w[0], w[1]), _mm512_add_ps(w[2], w[3]));
    const __m512 size = _mm512_add_ps(_mm512_add_ps(_mm512_abs_ps(w[0]), _mm512_abs_ps(w[1])),
                                      _mm512_add_ps(_mm512_abs_ps(w[2]), _mm512_abs_ps(w[3])));
    const __mmask16 nonzero = _mm512_mask_cmp_ps_mask(lanes, size, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 inverse_unit = _mm512_maskz_div_ps(nonzero, _mm512_set1_ps(float(kMaxByteWeight - 2)), size);
    const __m512i last_byte = _mm512_set1_epi32(255);
    high = low = _mm512_setzero_si512();
    __m512i total = high;
    for (int tap = 0; tap < 4; ++tap) {
      const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(w[tap], inverse_unit));
      const __m512i h = _mm512_srai_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)), 8);
      high = _mm512_or_si512(high, _mm512_slli_epi32(_mm512_and_si512(h, last_byte), 8 * tap));
      low = _mm512_or_si512(low, _mm512_slli_epi32(_mm512_and_si512(rounded, last_byte), 8 * tap));
      total = _mm512_add_epi32(total, rounded);
    }
    unit = _mm512_maskz_div_ps(nonzero, sum, _mm512_cvtepi32_ps(total));
  }
};

// Interpolates the lanes in the bit set `lanes`; others get 0. Texels are at top[l], top[l] + C, bottom[l] and
// bottom[l] + C, elements from a frame's first; 8 bytes are read from top[l] and bottom[l] of all 16 lanes. weights:
// [4, kLanes]. values, [frames, 3, kLanes], become the sums, or grow by them if `accumulate`.
template <int C>
AVSA_HD void byte_taps(const FrameView<std::uint8_t>& view, const std::int32_t* top, const std::int32_t* bottom,
                       std::uint32_t lanes, const float* weights, bool accumulate, float* values) {
  const IntegerTapWeights w(weights, __mmask16(lanes));
  // For each channel: where its four bytes of each lane are in a vector of the top row, followed by one of the bottom
  // row. Both hold eight lanes: the places are the same for lanes 0..7 and 8..15.
  alignas(64) static constexpr auto places = [] {
    std::array<std::array<std::uint8_t, 64>, C> all{};
    for (int c = 0; c < C; ++c)
      for (int l = 0; l < 16; ++l)
        for (int tap = 0; tap < 4; ++tap)
          all[c][4 * l + tap] = std::uint8_t(64 * (tap / 2) + 8 * (l % 8) + c + C * (tap % 2));
    return all;
  }();
  const __mmask16 kept = accumulate ? 0xffff : 0;
  const std::uint8_t* frame = view.data;
  for (int f = 0; f < view.frames; ++f, frame += view.frame_step, values += 3 * kLanes) {
    const __m512i above[2] = {eight_bytes(frame, top), eight_bytes(frame, top + 8)};
    const __m512i below[2] = {eight_bytes(frame, bottom), eight_bytes(frame, bottom + 8)};
    for (int c = 0; c < C; ++c) {
      const __m512i order = _mm512_load_si512(places[c].data());
      const __m512i bytes = _mm512_mask_blend_epi32(0xff00, _mm512_permutex2var_epi8(above[0], order, below[0]),
                                                    _mm512_permutex2var_epi8(above[1], order, below[1]));
      const __m512i high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes, w.high);
      const __m512i sum = _mm512_dpbusd_epi32(_mm512_slli_epi32(high, 8), bytes, w.low);
      float* to = values + c * kLanes;
      _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), w.unit, _mm512_maskz_loadu_ps(kept, to)));
    }
  }
}

}  // namespace avsa::gnomonic::AVSA_ISA
