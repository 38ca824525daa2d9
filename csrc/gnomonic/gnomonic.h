// Perspective (gnomonic) crops of 360° frames, and their gradients with respect to the frames and the poses: the tasks
// that bindings.cpp passes to the kernels in cpu/ and cuda/. Pointers are to contiguous arrays unless noted.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/vec3.h"

namespace avsa::gnomonic {

constexpr std::int64_t kTile = 128;  // pixels of a crop that are processed together, in reading order
constexpr int kPoseParameters = 4;   // azimuth, elevation, field of view, roll

// The layout of a frame: equirectangular (ERP) or an equi-angular cubemap (EAC). The values of avsa_fast/ops.
enum class Source : int { erp = 0, eac = 1 };

// The crops' poses and size. Poses and jitter are all float32 or all float64.
struct GnomonicView {
  Dtype pose_dtype;
  const void* directions;  // [B, K, 2] azimuth, elevation
  const void* fov;         // [B, K], horizontal
  const void* roll;        // [B, K], or null for 0
  const bool* flip;        // [B, K], or null for false
  bool antialias;
  Source source;
  std::int64_t B, F, K, h, w;  // clips, frames, crops per clip, height and width of a crop; h·w < 2^31

  AVSA_HD std::int64_t tiles() const { return (h * w + kTile - 1) / kTile; }
};

// Interleaved channels of frames: RGB, luma, both chroma channels, or one of them.
struct Plane {
  const void* data;                              // [B, F, H, W, channels]; a row is contiguous
  std::int64_t H, W, channels;                   // H·row_step < 2^31
  std::int64_t clip_step, frame_step, row_step;  // elements from one to the next
  double first_column;  // columns from the left edge to the first texel's centre: 1/2, or 1/4 for left-sited chroma
  double texel_size;    // resolution relative to the luma plane: 1, or 1/2 for chroma
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
  const void* jitter;     // [B, K, 4] brightness, contrast, saturation, hue; or null
  double* partial_greys;  // [B, K, tiles, F], scratch memory for jitter
  // [B, K, 3, F, h, w] float64 for float64 frames, else float32: scratch memory for jitter on the host; may be out.
  void* sampled;
  double mean[3], std[3];
  Dtype out_dtype;  // float64 for float64 frames only
  void* out;        // [B, K, 3, F, h, w]
};

struct GnomonicBackward {
  GnomonicView view;
  Dtype dtype;         // float32 or float64
  const void* grad;    // [B, K, 3, F, h, w]
  std::int64_t H, W;   // of a frame
  const double* unit;  // [B, F], the value of 1 in the sums of a frame
  // Integers, because their sum does not depend on its order: the gradient has the same bits from run to run.
  std::int64_t* sums;  // [B, F, H, W, 3], initially 0

  // The layout of a frame of sums, without data.
  Plane plane() const { return {nullptr, H, W, 3, 0, 0, 3 * W, 0.5, 1.0}; }
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
// These return a cudaError_t.
int gnomonic_cuda(const Gnomonic& task, void* stream);
int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream);
int gnomonic_pose_backward_cuda(const GnomonicPoseBackward& task, void* stream);

}  // namespace avsa::gnomonic
