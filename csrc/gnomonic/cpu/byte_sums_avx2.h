// byte_sums by AVX2: the bytes of eight texels are widened to words, channel by channel, and multiplied and added in
// pairs. Included by byte_sums.h.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace avsa::gnomonic::AVSA_ISA {

// Eight texels of C channels as words. Three channels take two vectors: red and green, then blue.
template <int C>
struct Words {
  static constexpr int kTexels = 8, kVectors = C == 3 ? 2 : 1;
  static constexpr int kBytesRead = C == 3 ? 28 : 8 * C;

  __m256i v[kVectors];

  AVSA_HD void read(const std::uint8_t* from) {
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
  // The weights of the group's texels first to first + 7, in the order of the words.
  AVSA_HD static __m256i weights(const ByteGroup& group, int first) {
    const __m128i high = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)(group.high + first)));
    const __m128i low = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)(group.low + first)));
    const __m256i w = _mm256_castsi128_si256(_mm_add_epi16(_mm_slli_epi16(high, 8), low));
    return C == 1 ? w : _mm256_permute4x64_epi64(w, C == 2 ? 0x44 : 0x50);
  }
  // The sum of each channel, from the sums of its pairs.
  AVSA_HD static __m128 channels(const __m256 (&sums)[kVectors]) {
    const __m128 lower = _mm256_castps256_ps128(sums[0]), upper = _mm256_extractf128_ps(sums[0], 1);
    if constexpr (C == 1) return _mm_hadd_ps(_mm_hadd_ps(lower, lower), lower);
    if constexpr (C == 2) return _mm_hadd_ps(_mm_hadd_ps(lower, upper), lower);
    if constexpr (C == 3)
      return _mm_hadd_ps(lower + upper, _mm256_castps256_ps128(sums[1]) + _mm256_extractf128_ps(sums[1], 1));
  }
};

// The sums of lane l in kFrames frames from `frame` on.
template <int C, int kFrames>
AVSA_HD void lane_sums(const FrameView<std::uint8_t>& view, int frame, const LaneGroups<ByteGroup>& lanes, int l,
                       __m128 (&sums)[kFrames]) {
  using W = Words<C>;
  static_assert(std::int64_t(kMaxGroups) * 4 * 255 * kMaxByteWeight < std::int64_t(1) << 31);  // 4 products per group
  const std::uint8_t* const first = view.data + frame * view.frame_step;
  __m256i parts[kFrames][W::kVectors] = {};
  for (int n = 0; n < lanes.count[l]; ++n) {
    const ByteGroup& group = lanes.groups[n][l];
    for (int texel = 0; texel < group.texels; texel += W::kTexels) {
      const __m256i weights = W::weights(group, texel);
      const std::int64_t at = group.begin + C * texel;
      const bool inside = at + W::kBytesRead <= view.size;
      const std::uint8_t* from = first + at;
      for (int f = 0; f < kFrames; ++f, from += view.frame_step) {
        W words;
        if (inside) {
          words.read(from);
        } else {  // nothing beyond a frame may be read
          std::uint8_t bytes[W::kBytesRead] = {};
          std::memcpy(bytes, from, std::size_t(view.size - at));
          words.read(bytes);
        }
        for (int i = 0; i < W::kVectors; ++i)
          parts[f][i] = _mm256_add_epi32(parts[f][i], _mm256_madd_epi16(words.v[i], weights));
      }
    }
  }
  for (int f = 0; f < kFrames; ++f) {
    __m256 floats[W::kVectors];
    for (int i = 0; i < W::kVectors; ++i) floats[i] = _mm256_cvtepi32_ps(parts[f][i]);
    sums[f] = W::channels(floats);
  }
}

template <int C, int kFrames>
AVSA_HD void frame_sums(const FrameView<std::uint8_t>& view, int frame, const LaneGroups<ByteGroup>& lanes,
                        const float* unit, float* values) {
  for (int l = 0; l < kLanes; ++l) {
    __m128 sums[kFrames];
    lane_sums<C>(view, frame, lanes, l, sums);
    for (int f = 0; f < kFrames; ++f) {
      float channels[4];
      _mm_storeu_ps(channels, sums[f]);
      for (int c = 0; c < C; ++c) values[(3 * (frame + f) + c) * kLanes + l] += unit[l] * channels[c];
    }
  }
}

// Adds unit[l] · the sums over the groups of each lane l to values [frames, 3, kLanes]. C: channels of the plane.
template <int C>
void byte_sums(const FrameView<std::uint8_t>& view, const LaneGroups<ByteGroup>& lanes, const float* unit,
               float* values) {
  constexpr int kTogether = 4;  // frames whose sums registers hold
  int f = 0;
  for (; f + kTogether <= view.frames; f += kTogether) frame_sums<C, kTogether>(view, f, lanes, unit, values);
  for (; f < view.frames; ++f) frame_sums<C, 1>(view, f, lanes, unit, values);
}

}  // namespace avsa::gnomonic::AVSA_ISA
