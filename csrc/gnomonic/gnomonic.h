// Perspective (gnomonic) crops of equirectangular frames, and the gradient of one in the frames.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/vector.h"

namespace avsa {

constexpr std::int64_t kTile = 128;  // pixels of a crop that are worked on together, in reading order

// What the crops look at. Poses and jitter are all float32 or all float64.
struct GnomonicView {
  Dtype pose_dtype;
  const void* directions;  // [B, K, 2] azimuth, elevation
  const void* fov;         // [B, K] horizontal
  const void* roll;        // [B, K], or null: 0
  const bool* flip;        // [B, K], or null: false
  bool antialias;
  std::int64_t B, F, H, W, K, h, w;  // 3·H·W < 2^31, h·w < 2^31

  AVSA_HD std::int64_t tiles() const { return (h * w + kTile - 1) / kTile; }
};

struct Gnomonic {
  GnomonicView view;
  Dtype frames_dtype;                  // uint8, float32 or float64
  const void* frames;                  // [B, F, H, W, 3], each frame contiguous
  std::int64_t clip_step, frame_step;  // elements from clip to clip and from frame to frame
  const void* jitter;                  // [B, K, 4], or null: none
  double* partial_greys;               // [B, K, tiles, F] to work in, with jitter
  double mean[3], std[3];
  Dtype out_dtype;  // float64 for float64 frames only
  void* out;        // [B, K, 3, F, h, w]
};

struct GnomonicBackward {
  GnomonicView view;
  Dtype dtype;         // float32 or float64
  const void* grad;    // [B, K, 3, F, h, w]
  const double* unit;  // [1] what 1 in sums stands for
  // Integers: their sum does not depend on its order, so the gradient has the same bits from run to run.
  std::int64_t* sums;  // [B, F, H, W, 3], zeros to add to
};

void gnomonic_cpu(const Gnomonic& task);
void gnomonic_backward_cpu(const GnomonicBackward& task);
int gnomonic_cuda(const Gnomonic& task, void* stream);  // returns a cudaError_t, as the next
int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream);

}  // namespace avsa
