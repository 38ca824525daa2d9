// The gradients of the host: with respect to frames by the transposed weights, with respect to poses by dual numbers.
// Called through gnomonic.cpp.
#include <algorithm>
#include <cmath>

#include "gnomonic/cpu/bilinear.h"
#include "gnomonic/cpu/weights.h"
#include "gnomonic/pose_gradient.h"

namespace avsa::gnomonic::AVSA_ISA {
namespace {

// A part of the gradient as a whole number of units; 0 if the unit shows that a gradient was not finite.
std::int64_t to_units(double value, double unit) {
  return unit - unit == 0 ? std::int64_t(std::llrint(value / unit)) : 0;
}

// Adds the gradients of the first `count` pixels of a block to the sums of the texels in their groups.
// grad: [3, ...], channels `plane` elements apart; scale: [kLanes], of the weights; sums: [H, W, 3].
template <class T>
void scatter(const LaneGroups<FloatGroup<T>>& groups, int count, const T* grad, std::int64_t plane, const T* scale,
             double unit, std::int64_t* sums) {
  for (int l = 0; l < count; ++l) {
    T scaled[3];
    for (int c = 0; c < 3; ++c) scaled[c] = scale[l] * grad[c * plane + l];
    for (int n = 0; n < groups.count[l]; ++n) {
      const FloatGroup<T>& group = groups.groups[n][l];
      for (int i = 0; i < kGroupElements; ++i)
        if (group.weights[i] != 0) sums[group.begin + i] += to_units(group.weights[i] * scaled[i % 3], unit);
    }
  }
}

// Adds the gradient of a pixel, one per channel, to the sums of its taps.
template <class T>
void scatter(const Taps<T>& taps, const T (&grad)[3], double unit, std::int64_t* sums) {
  for (int tap = 0; tap < 4; ++tap)
    for (int c = 0; c < 3; ++c) sums[taps.texel[tap] + c] += to_units(taps.weight[tap] * grad[c], unit);
}

// Adds the gradient of one frame of a crop to sums [H, W, 3].
template <class T>
void scatter_crop(const GnomonicBackward& task, const Plane& plane, std::int64_t crop, std::int64_t frame,
                  Weights<T>& weights, std::int64_t* sums) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, size = view.F * pixels;
  const T* grad = static_cast<const T*>(task.grad) + 3 * crop * size + frame * pixels;
  const double unit = task.unit[crop / view.K * view.F + frame];
  const FrameView<T> no_frames(plane, 0, 0, 0);
  Pose pose;
  pose.set(view, crop);
  for (std::int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
    const PixelBlock block(view, pose.rays, pixel);
    const int count = int(std::min<std::int64_t>(pixels - pixel, kLanes));
    if (view.source == Source::erp && view.antialias) {
      T scale[kLanes];
      for (const bool second_pass : {false, true}) {  // the first pass finds the sums of the weights
        weights.template compute<3>(plane, block, pose.rays, no_frames, [&]() __attribute__((always_inline)) {
          if (second_pass) scatter(weights.groups, count, grad + pixel, size, scale, unit, sums);
        });
        for (int l = 0; l < kLanes; ++l) scale[l] = 1 / weights.total[l];
      }
      continue;
    }
    each_cell_centre<T, T>(view, plane, block, pose.rays, [&](const T* columns, const T* rows, const T* weight) {
      for (int l = 0; l < count; ++l) {
        Taps<T> taps;
        taps.set(view.source, plane, cast<T>(pose.rays.moved(block.ray(l), columns[l], rows[l])));
        T scaled[3];
        for (int c = 0; c < 3; ++c) scaled[c] = weight[l] * grad[c * size + pixel + l];
        scatter(taps, scaled, unit, sums);
      }
    });
  }
}

// Each frame is one thread's, so that no two threads add to the same sum.
template <class T>
void run(const GnomonicBackward& task) {
  const GnomonicView& view = task.view;
  const Plane plane = task.plane();
#pragma omp parallel
  {
    Weights<T> weights;
#pragma omp for collapse(2) schedule(dynamic)
    for (std::int64_t clip = 0; clip < view.B; ++clip)
      for (std::int64_t frame = 0; frame < view.F; ++frame)
        for (std::int64_t crop = clip * view.K; crop < (clip + 1) * view.K; ++crop)
          scatter_crop(task, plane, crop, frame, weights, task.sums + (clip * view.F + frame) * task.H * task.W * 3);
  }
}

template <class In, class G>
void run(const GnomonicPoseBackward& task) {
  const GnomonicView& view = task.view;
  const std::int64_t tiles = view.tiles(), pixels = view.h * view.w;
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (std::int64_t crop = 0; crop < view.B * view.K; ++crop)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      PoseParameters pose;
      pose.set(view, crop);
      const auto rays = pose_rays<kPoseParameters>(view, pose, 0);
      Dual<kPoseParameters> sum;
      for (std::int64_t pixel = tile * kTile; pixel < std::min(pixels, (tile + 1) * kTile); ++pixel)
        sum += pose_gradient<In, G>(task, rays, crop, pixel);
      std::copy_n(sum.d, kPoseParameters, task.sums + (crop * tiles + tile) * kPoseParameters);
    }
}

}  // namespace

void backward(const GnomonicBackward& task) { task.dtype == Dtype::float64 ? run<double>(task) : run<float>(task); }

void pose_backward(const GnomonicPoseBackward& task) {
  if (task.frames_dtype == Dtype::float64) return run<double, double>(task);
  if (task.frames_dtype == Dtype::float32) return run<float, float>(task);
  run<std::uint8_t, float>(task);
}

}  // namespace avsa::gnomonic::AVSA_ISA
