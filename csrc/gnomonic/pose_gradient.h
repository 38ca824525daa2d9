// The gradient of a pixel with respect to its crop's pose, by dual numbers. Shared by cpu/backward.simd.cpp and
// cuda/backward.cu.
#pragma once
#include "gnomonic/dual.h"
#include "gnomonic/texels.h"

namespace avsa::gnomonic {

// Rays with derivatives with respect to N of azimuth, elevation, field of view and roll, from parameter `first` on.
template <int N>
AVSA_HD Rays<Dual<N>> pose_rays(const GnomonicView& view, const PoseParameters& pose, int first) {
  Rays<Dual<N>> rays;
  rays.set(view, Dual<N>(pose.azimuth, 0 - first), Dual<N>(pose.elevation, 1 - first), Dual<N>(pose.fov, 2 - first),
           Dual<N>(pose.roll, 3 - first), pose.flip);
  return rays;
}

// Sum over a pixel's frames and channels of grad · pixel, with its derivatives with respect to the pose.
template <class In, class G, int N>
AVSA_HD Dual<N> pose_gradient(const GnomonicPoseBackward& task, const Rays<Dual<N>>& rays, std::int64_t crop,
                              std::int64_t pixel) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels;
  const In* clip = static_cast<const In*>(task.frames.data) + crop / view.K * task.frames.clip_step;
  const G* grad = static_cast<const G*>(task.grad) + 3 * crop * plane + pixel;
  const double scale = sizeof(In) == 1 ? 1.0 / 255 : 1.0;
  Dual<N> sum;
  const auto visit = [&](const auto& run) {
    int element = run.begin;
    for (const Dual<N>& weight : run.weight) {
      double value = 0;
      AVSA_KEEP_LOOP
      for (std::int64_t f = 0; f < view.F; ++f)
        for (int c = 0; c < 3; ++c)
          value += double(grad[c * plane + f * pixels]) * double(clip[f * task.frames.frame_step + element + c]);
      element += 3;
      sum += weight * Dual<N>(scale * value);
    }
  };
  const int w = int(view.w);
  const Dual<N> total = each_texel<Dual<N>>(view, task.frames, rays, int(pixel) % w, int(pixel) / w, visit);
  return sum / total;
}

}  // namespace avsa::gnomonic
