// Groups of weighted texels, and the weighted sums over byte frames: the inner loop of antialiased sampling. By
// intrinsics where the instruction set has products of bytes or words, which compilers do not find. Called by
// weights.h.
#pragma once
#include "gnomonic/cpu/pixel_block.h"

namespace avsa::gnomonic::AVSA_ISA {

constexpr int kGroupElements = 16;
constexpr int kMaxGroups = 32;         // per lane, kept at a time
constexpr int kMaxByteWeight = 32639;  // 256 · 127 + 127

// Up to 16 adjacent texels and their weights, 256 · high + low, 0 past the last one.
struct ByteGroup {
  std::int8_t high[kGroupElements], low[kGroupElements];
  std::int32_t begin, texels;  // begin: elements from the frame's first
};

// Up to 16 adjacent elements and their weights, 0 past the last one.
template <class T>
struct FloatGroup {
  T weights[kGroupElements];
  std::int32_t begin;  // elements from the frame's first
};

// The groups of a block's pixels.
template <class Group>
struct LaneGroups {
  Group groups[kMaxGroups][kLanes];
  int count[kLanes];

  AVSA_HD void clear() {
    for (int l = 0; l < kLanes; ++l) count[l] = 0;
  }
  AVSA_HD Group& append(int l) { return groups[count[l]++][l]; }
};

}  // namespace avsa::gnomonic::AVSA_ISA

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#include "gnomonic/cpu/bytes_vnni.h"
#elif defined(__AVX2__)
#include "gnomonic/cpu/byte_sums_avx2.h"
#else

namespace avsa::gnomonic::AVSA_ISA {

// Adds unit[l] · the sums over the groups of each lane l to values [frames, 3, kLanes]. C: channels of the plane.
template <int C>
void byte_sums(const FrameView<std::uint8_t>& view, const LaneGroups<ByteGroup>& lanes, const float* unit,
               float* values) {
  for (int l = 0; l < kLanes; ++l) {
    float sums[kMaxFrames][kGroupElements * C] = {};
    for (int n = 0; n < lanes.count[l]; ++n) {
      const ByteGroup& group = lanes.groups[n][l];
      float weights[kGroupElements * C];
      for (int i = 0; i < kGroupElements; ++i)
        for (int c = 0; c < C; ++c) weights[C * i + c] = float(256 * group.high[i] + group.low[i]);
      const std::uint8_t* from = view.data + group.begin;
      for (int f = 0; f < view.frames; ++f, from += view.frame_step)
        for (int i = 0; i < C * group.texels; ++i) sums[f][i] += weights[i] * float(from[i]);
    }
    for (int f = 0; f < view.frames; ++f)
      for (int i = 0; i < kGroupElements * C; ++i) values[(3 * f + i % C) * kLanes + l] += unit[l] * sums[f][i];
  }
}

}  // namespace avsa::gnomonic::AVSA_ISA

#endif
