// How a crop's pixel changes with its pose, weighted by what comes in.
#pragma once
#include "core/dual.h"
#include "gnomonic/texels.h"

namespace avsa {

using PoseDual = Dual<kPoseParameters>;

AVSA_HD Rays<PoseDual> pose_rays(const GnomonicView& view, const PoseNumbers& pose) {
  Rays<PoseDual> rays;
  rays.set(view, PoseDual(pose.azimuth, 0), PoseDual(pose.elevation, 1), PoseDual(pose.fov, 2), PoseDual(pose.roll, 3),
           pose.flip);
  return rays;
}

// Sum over the frames and channels of a pixel of grad · pixel, and its derivatives in the pose.
template <class In, class G>
AVSA_HD PoseDual pose_gradient(const GnomonicPoseBackward& task, const Rays<PoseDual>& rays, std::int64_t crop,
                               std::int64_t pixel) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels;
  const In* clip = static_cast<const In*>(task.frames.data) + crop / view.K * task.frames.clip_step;
  const G* grad = static_cast<const G*>(task.grad) + 3 * crop * plane + pixel;
  const double scale = sizeof(In) == 1 ? 1.0 / 255 : 1.0;
  PoseDual sum;
  const auto visit = [&](const auto& run) {
    int element = run.begin;
    for (const PoseDual& weight : run.weight) {
      double value = 0;
      for (int c = 0; c < 3; ++c, ++element)
        for (std::int64_t f = 0; f < view.F; ++f)
          value += double(grad[c * plane + f * pixels]) * double(clip[f * task.frames.frame_step + element]);
      sum += weight * PoseDual(scale * value);
    }
  };
  const int w = int(view.w);
  const PoseDual total = each_texel<PoseDual>(view, task.frames, rays, int(pixel) % w, int(pixel) / w, visit);
  return sum / total;
}

}  // namespace avsa
