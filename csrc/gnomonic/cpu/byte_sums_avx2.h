// byte_sums by AVX2: eight texels at a time become words, a channel's side by side, and are multiplied in pairs.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "gnomonic/cpu/byte_sums.h"

namespace avsa::gnomonic {

#define AVSA_AVX2 __attribute__((target("arch=x86-64-v3")))
#define AVSA_AVX2_INLINE inline __attribute__((always_inline, target("arch=x86-64-v3")))

// C: channels of a texel. Three take two vectors of words: red and green, then blue.
template <int C>
struct Words {
  static constexpr int kTexels = 8, kVectors = C == 3 ? 2 : 1;
  static constexpr int kRead = C == 3 ? 28 : 8 * C;  // bytes that are read from the first texel on

  __m256i v[kVectors];

  AVSA_AVX2_INLINE void read(const std::uint8_t* from) {
    if constexpr (C == 1) {
      v[0] = _mm256_castsi128_si256(_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)from)));
    } else if constexpr (C == 2) {
      const __m128i planes = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
      v[0] = _mm256_cvtepu8_epi16(_mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)from), planes));
    } else {
      const __m256i bytes = _mm256_loadu2_m128i((const __m128i*)(from + 12), (const __m128i*)from);
      const __m128i red_green = _mm_setr_epi8(0, -1, 3, -1, 6, -1, 9, -1, 1, -1, 4, -1, 7, -1, 10, -1);
      const __m128i blue = _mm_setr_epi8(2, -1, 5, -1, 8, -1, 11, -1, -1, -1, -1, -1, -1, -1, -1, -1);
      v[0] = _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(red_green));
      v[1] = _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(blue));
    }
  }
  // Weights of eight texels, where words of the same texels stand.
  AVSA_AVX2_INLINE static __m256i weights(const Group& group, int first) {
    const __m128i high = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)(group.high + first)));
    const __m128i low = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)(group.low + first)));
    const __m256i w = _mm256_castsi128_si256(_mm_add_epi16(_mm_slli_epi16(high, 8), low));
    return C == 1 ? w : _mm256_permute4x64_epi64(w, C == 2 ? 0x44 : 0x50);
  }
  // Of each channel, from the sums of its pairs.
  AVSA_AVX2_INLINE static __m128 channels(const __m256 (&sums)[kVectors]) {
    const __m128 lower = _mm256_castps256_ps128(sums[0]), upper = _mm256_extractf128_ps(sums[0], 1);
    if constexpr (C == 1) return _mm_hadd_ps(_mm_hadd_ps(lower, lower), lower);
    if constexpr (C == 2) return _mm_hadd_ps(_mm_hadd_ps(lower, upper), lower);
    if constexpr (C == 3)
      return _mm_hadd_ps(lower + upper, _mm256_castps256_ps128(sums[1]) + _mm256_extractf128_ps(sums[1], 1));
  }
};

// A lane's sums in `count` frames.
template <int C, int count>
AVSA_AVX2_INLINE void sum_lane_avx2(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size,
                                    const Group* group, const Group* last, __m128 (&sums)[count]) {
  using W = Words<C>;
  constexpr int kMostGroups = 64;  // whose sums fit into 31 bits
  __m256 totals[count][W::kVectors] = {};
  while (group < last) {
    __m256i parts[count][W::kVectors] = {};
    for (const Group* end = std::min(last, group + kMostGroups); group < end; ++group)
      for (int texel = 0; texel < group->texels; texel += W::kTexels) {
        const __m256i weights = W::weights(*group, texel);
        const std::int64_t at = group->begin + C * texel;
        const bool inside = at + W::kRead <= size;
        const std::uint8_t* from = frame + at;
        for (int f = 0; f < count; ++f, from += frame_step) {
          W words;
          if (inside) {
            words.read(from);
          } else {  // nothing beyond a frame may be read
            std::uint8_t bytes[W::kRead] = {};
            std::memcpy(bytes, from, std::size_t(size - at));
            words.read(bytes);
          }
          for (int n = 0; n < W::kVectors; ++n)
            parts[f][n] = _mm256_add_epi32(parts[f][n], _mm256_madd_epi16(words.v[n], weights));
        }
      }
    for (int f = 0; f < count; ++f)
      for (int n = 0; n < W::kVectors; ++n) totals[f][n] += _mm256_cvtepi32_ps(parts[f][n]);
  }
  for (int f = 0; f < count; ++f) sums[f] = W::channels(totals[f]);
}

template <int C, int count>
AVSA_AVX2_INLINE void sum_frames_avx2(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size,
                                      const Group* groups, const int* first, const int* last, const float* step,
                                      float* values) {
  for (int l = 0; l < 16; ++l) {
    __m128 sums[count];
    sum_lane_avx2<C>(frame, frame_step, size, groups + first[l], groups + last[l], sums);
    for (int f = 0; f < count; ++f) {
      float channels[4];
      _mm_storeu_ps(channels, sums[f]);
      for (int c = 0; c < C; ++c) values[(3 * f + c) * 16 + l] += step[l] * channels[c];
    }
  }
}

template <int C>
AVSA_AVX2 void sum_avx2(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size, int frames,
                        const Group* groups, const int* first, const int* last, const float* step, float* values) {
  constexpr int kTogether = 4;  // frames whose sums registers hold
  int f = 0;
  for (; f + kTogether <= frames; f += kTogether)
    sum_frames_avx2<C, kTogether>(frame + f * frame_step, frame_step, size, groups, first, last, step, values + f * 48);
  for (; f < frames; ++f)
    sum_frames_avx2<C, 1>(frame + f * frame_step, frame_step, size, groups, first, last, step, values + f * 48);
}

}  // namespace avsa::gnomonic
