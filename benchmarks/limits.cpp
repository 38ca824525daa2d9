// Loops that move the memory of an operation and compute nothing: no kernel can be faster. Compiled by limits.py.
#include <cstdint>

// Reads one byte of each of `count` cache lines in each of `frames` frames, and writes `size` floats.
extern "C" unsigned touch_lines(const std::uint8_t* data, std::int64_t frame_step, int frames,
                                const std::int64_t* lines, std::int64_t count, float* out, std::int64_t size) {
  constexpr std::int64_t kAhead = 32;
  unsigned sum = 0;
#pragma omp parallel reduction(+ : sum)
  {
#pragma omp for nowait
    for (std::int64_t i = 0; i < count; ++i)
      for (int f = 0; f < frames; ++f) {
        if (i + kAhead < count) __builtin_prefetch(data + f * frame_step + lines[i + kAhead]);
        sum += data[f * frame_step + lines[i]];
      }
#pragma omp for
    for (std::int64_t i = 0; i < size; ++i) out[i] = 1;
  }
  return sum;
}

// Reads `count` floats and writes `size` floats.
extern "C" float read_and_write(const float* data, std::int64_t count, float* out, std::int64_t size) {
  float sum = 0;
#pragma omp parallel reduction(+ : sum)
  {
#pragma omp for simd nowait
    for (std::int64_t i = 0; i < count; ++i) sum += data[i];
#pragma omp for
    for (std::int64_t i = 0; i < size; ++i) out[i] = 1;
  }
  return sum;
}
