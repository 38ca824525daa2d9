// On the host: the inner loops over frames of bytes, weighted sums by whole numbers.
#pragma once
#include <cstdint>

namespace avsa::gnomonic {

constexpr int kMostFrames = 8;      // in a call
constexpr int kMostWeight = 32639;  // 256 · 127 + 127

// Texels side by side and their weights 256 · high + low, 0 past the last.
struct Group {
  std::int8_t high[16], low[16];
  std::int32_t begin, texels;  // elements from the frame's first; 1 to 16
};

// Adds step[l] · the sums over groups first[l] to last[l] of 16 lanes, in frames that lie frame_step apart, to
// values [frames, 3, 16], frames at most kMostFrames. C: channels of the plane. size: elements from a frame's first to
// its end.
template <int C>
void byte_sums(const std::uint8_t* frame, std::int64_t frame_step, std::int64_t size, int frames, const Group* groups,
               const int* first, const int* last, const float* step, float* values);

}  // namespace avsa::gnomonic
