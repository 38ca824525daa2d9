#include <cmath>

#include "gnomonic/cpu/sampling.h"
#include "gnomonic/pose_gradient.h"

namespace avsa::gnomonic {
namespace {

// A part of the gradient as a whole number of units; none where the unit tells that a gradient was not finite.
std::int64_t to_units(double value, double unit) {
  return unit - unit == 0 ? std::int64_t(std::llrint(value / unit)) : 0;
}

// Adds the gradients of a lane's pixel, one a channel, to the sums of the texels that it read.
template <class T>
void scatter(const Chunks<T>& chunks, int l, const T (&grad)[3], double unit, std::int64_t* sums) {
  for (int n = chunks.first[l]; n < chunks.last[l]; ++n) {
    const T* weights = chunks.weights.data() + std::size_t(n) * kWide;
    for (int i = 0; i < 3 * kChunkTexels<3>; ++i)
      if (weights[i] != 0) sums[chunks.begin[n] + i] += to_units(weights[i] * grad[i % 3], unit);
  }
}

template <class T>
void scatter(const Taps<T>& taps, const T (&grad)[3], double unit, std::int64_t* sums) {
  for (int tap = 0; tap < 4; ++tap)
    for (int c = 0; c < 3; ++c) sums[taps.texel[tap] + c] += to_units(taps.weight[tap] * grad[c], unit);
}

// One frame, crop by crop.
template <class T>
void scatter_crop(const GnomonicBackward& task, const Plane& plane, std::int64_t crop, std::int64_t frame,
                  std::int64_t* sums, Chunks<T>& chunks) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, size = view.F * pixels;
  const T* grad = static_cast<const T*>(task.grad) + 3 * crop * size + frame * pixels;
  Pose pose;
  pose.set(view, crop);
  for (std::int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
    BlockRays block;
    block.set(view, pose.rays, pixel);
    const int count = int(std::min<std::int64_t>(pixels - pixel, kLanes));
    const auto nothing = [](const T*, const T*, const T*) {};
    const T* none = nullptr;                                                       // of frames nothing is read
    each_part<3>(view, plane, block, pose.rays, none, 0, chunks, [] {}, nothing);  // for chunks.total
    T total[kLanes];
    std::copy_n(chunks.total, kLanes, total);
    const auto of = [&](int l, T scale, T(&out)[3]) {
      for (int c = 0; c < 3; ++c) out[c] = scale * grad[c * size + pixel + l];
    };
    each_part<3>(
        view, plane, block, pose.rays, none, 0, chunks,
        [&] {
          for (int l = 0; l < count; ++l) {
            T lane[3];
            of(l, 1 / total[l], lane);
            scatter(chunks, l, lane, *task.unit, sums);
          }
        },
        [&](const T* right, const T* down, const T* share) {
          for (int l = 0; l < count; ++l) {
            Taps<T> taps;
            taps.set(view.source, plane, cast<T>(pose.rays.at(block.at(l), right[l], down[l])));
            T lane[3];
            of(l, share[l], lane);
            scatter(taps, lane, *task.unit, sums);
          }
        });
  }
}

// One thread a frame, so that no two threads add to the same sum.
template <class T>
void run(const GnomonicBackward& task) {
  const GnomonicView& view = task.view;
  const Plane plane{nullptr, task.H, task.W, 3, 0, 0, 3 * task.W, 0.5, 1.0};
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (std::int64_t clip = 0; clip < view.B; ++clip)
    for (std::int64_t frame = 0; frame < view.F; ++frame) {
      Chunks<T> chunks;
      for (std::int64_t crop = clip * view.K; crop < (clip + 1) * view.K; ++crop)
        scatter_crop(task, plane, crop, frame, task.sums + (clip * view.F + frame) * task.H * task.W * 3, chunks);
    }
}

template <class In, class G>
void run(const GnomonicPoseBackward& task) {
  const GnomonicView& view = task.view;
  const std::int64_t tiles = view.tiles(), pixels = view.h * view.w;
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (std::int64_t crop = 0; crop < view.B * view.K; ++crop)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      PoseNumbers pose;
      pose.set(view, crop);
      const auto rays = pose_rays<kPoseParameters>(view, pose, 0);
      Dual<kPoseParameters> sum;
      for (std::int64_t pixel = tile * kTile; pixel < std::min(pixels, (tile + 1) * kTile); ++pixel)
        sum += pose_gradient<In, G>(task, rays, crop, pixel);
      std::copy_n(sum.d, kPoseParameters, task.sums + (crop * tiles + tile) * kPoseParameters);
    }
}

}  // namespace

void gnomonic_backward_cpu(const GnomonicBackward& task) {
  task.dtype == Dtype::float64 ? run<double>(task) : run<float>(task);
}

void gnomonic_pose_backward_cpu(const GnomonicPoseBackward& task) {
  if (task.frames_dtype == Dtype::float64) return run<double, double>(task);
  if (task.frames_dtype == Dtype::float32) return run<float, float>(task);
  run<std::uint8_t, float>(task);
}

}  // namespace avsa::gnomonic
