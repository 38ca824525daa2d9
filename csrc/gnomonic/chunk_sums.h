// On the host: the inner loop of antialiasing, weighted sums of chunks of frames.
#pragma once
#include <cstdint>

namespace avsa {

constexpr int kWide = 16;     // elements of a chunk
constexpr int kTogether = 4;  // frames whose sums are held in registers

// Sums over n chunks of weights [n, kWide] times elements first[begin[n]], ..., in `frames` frames, 1 or kTogether,
// that lie frame_step apart: [frames, kWide]. ahead: elements from each to one that the memory is asked for meanwhile.
template <int frames>
void chunk_sums(const std::uint8_t* first, std::int64_t frame_step, const std::int32_t* begin, const float* weights,
                int n, std::int32_t ahead, float* sums);

}  // namespace avsa
