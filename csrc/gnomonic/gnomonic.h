// Perspective (gnomonic) crops of 360° frames, and their gradients in the frames and in the poses.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/vec3.h"

namespace avsa::gnomonic {

constexpr std::int64_t kTile = 128;  // pixels of a crop that are worked on together, in reading order
constexpr int kPoseParameters = 4;   // azimuth, elevation, field of view, roll

// The numbers of avsa_fast/ops/gnomonic.py.
enum class Source : int { erp = 0, eac = 1 };

// What the crops look at. Poses and jitter are all float32 or all float64.
struct GnomonicView {
  Dtype pose_dtype;
  const void* directions;  // [B, K, 2] azimuth, elevation
  const void* fov;         // [B, K] horizontal
  const void* roll;        // [B, K], or null: 0
  const bool* flip;        // [B, K], or null: false
  bool antialias;
  Source source;
  std::int64_t B, F, K, h, w;  // h·w < 2^31

  AVSA_HD std::int64_t tiles() const { return (h * w + kTile - 1) / kTile; }
};

// Channels of a frame that lie side by side: RGB, or luma, or both chromas, or one.
struct Plane {
  const void* data;                              // [B, F, H, W, channels]; a row is contiguous
  std::int64_t H, W, channels;                   // H·row_step < 2^31
  std::int64_t clip_step, frame_step, row_step;  // elements from one to the next
  // Columns from the left edge to the first texel's centre: 1/2, or 1/4 for chroma sited left.
  double first_column;
  double texel_size;  // resolution beside that of the luma plane: 1, or 1/2 for chroma
};

// From Y'CbCr within [0, 1] to RGB: luma = gain (y - black); red = luma + red_cr (cr - 128/255), and so on.
struct YuvMatrix {
  double gain, black, red_cr, green_cb, green_cr, blue_cb;
};

struct Gnomonic {
  GnomonicView view;
  Dtype frames_dtype;  // uint8, float32 or float64
  int planes;          // 1: RGB; 2: Y and CbCr; 3: Y, Cb and Cr
  Plane plane[3];
  YuvMatrix yuv;          // with more than one plane
  const void* jitter;     // [B, K, 4], or null: none
  double* partial_greys;  // [B, K, tiles, F] to work in, with jitter
  double mean[3], std[3];
  Dtype out_dtype;  // float64 for float64 frames only
  void* out;        // [B, K, 3, F, h, w]
};

struct GnomonicBackward {
  GnomonicView view;
  Dtype dtype;         // float32 or float64
  const void* grad;    // [B, K, 3, F, h, w]
  std::int64_t H, W;   // of a frame
  const double* unit;  // [1] what 1 in sums stands for
  // Integers: their sum does not depend on its order, so the gradient has the same bits from run to run.
  std::int64_t* sums;  // [B, F, H, W, 3], zeros to add to
};

struct GnomonicPoseBackward {
  GnomonicView view;
  const void* grad;    // [B, K, 3, F, h, w] float64 for float64 frames, else float32
  Dtype frames_dtype;  // uint8, float32 or float64
  Plane frames;        // RGB
  double* sums;        // [B, K, tiles, kPoseParameters]
};

void gnomonic_cpu(const Gnomonic& task);
void gnomonic_backward_cpu(const GnomonicBackward& task);
void gnomonic_pose_backward_cpu(const GnomonicPoseBackward& task);
int gnomonic_cuda(const Gnomonic& task, void* stream);  // returns a cudaError_t, as the next two
int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream);
int gnomonic_pose_backward_cuda(const GnomonicPoseBackward& task, void* stream);

}  // namespace avsa::gnomonic
