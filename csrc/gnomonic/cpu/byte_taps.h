// On the host: the inner loop of bilinear interpolation over frames of bytes.
#pragma once
#include <cstdint>

namespace avsa::gnomonic {

// The sums over 2 x 2 texels of those of 16 lanes whose bit is set in `lanes`, 0 for the others: weights [4, 16],
// texels at top[l], top[l] + C, bottom[l], bottom[l] + C, elements from the frame's first, in frames that lie
// frame_step apart. Values [frames, 3, 16] become these sums, or grow by them: onto. Reads 8 bytes from the places of
// all lanes. C: channels of the plane. Returns false, and does nothing, where the processor has no instructions for it.
template <int C>
bool byte_taps(const std::uint8_t* frame, std::int64_t frame_step, int frames, const std::int32_t* top,
               const std::int32_t* bottom, std::uint32_t lanes, const float* weights, bool onto, float* values);

}  // namespace avsa::gnomonic
