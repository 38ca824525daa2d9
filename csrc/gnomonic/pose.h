// A crop's rays. Double, since a ray close to a pole needs its x and y to full relative precision; or numbers that
// carry derivatives in the pose.
#pragma once
#include "core/vec3.h"
#include "gnomonic/gnomonic.h"

namespace avsa::gnomonic {

AVSA_HD double real_at(const void* values, Dtype dtype, std::int64_t i) {
  return dtype == Dtype::float64 ? static_cast<const double*>(values)[i] : static_cast<const float*>(values)[i];
}

template <class S, class R>
AVSA_HD Vec3<S> cast(const Vec3<R>& a) {
  return {S(a.x), S(a.y), S(a.z)};
}

// What a crop's pose is given by.
struct PoseNumbers {
  double azimuth, elevation, fov, roll;
  bool flip, valid;  // valid: finite angles, field of view in (0, pi)

  AVSA_HD void set(const GnomonicView& view, std::int64_t crop) {
    azimuth = real_at(view.directions, view.pose_dtype, 2 * crop);
    elevation = real_at(view.directions, view.pose_dtype, 2 * crop + 1);
    fov = real_at(view.fov, view.pose_dtype, crop);
    roll = view.roll ? real_at(view.roll, view.pose_dtype, crop) : 0;
    flip = view.flip && view.flip[crop];
    // Infinity minus itself is NaN, which no comparison holds for.
    valid = azimuth - azimuth == 0 && elevation - elevation == 0 && roll - roll == 0 && fov > 0 && fov < kPi;
  }
};

// Rays: origin through the centre of pixel (0, 0), then a step a pixel.
template <class S>
struct Rays {
  Vec3<S> origin, right, down;

  AVSA_HD void set(const GnomonicView& view, const S& azimuth, const S& elevation, const S& fov, const S& roll,
                   bool flip) {
    const Mat3<S> axes = transpose(turn_front_to(azimuth, elevation, roll));  // rows: front, left, up
    const S half = fov * S(0.5), step = sine(half) / cosine(half) * S(2.0 / double(view.w));
    right = scaled(axes.y, flip ? step : -step);
    down = scaled(axes.z, -step);
    origin = at(axes.x, S(0.5 - 0.5 * double(view.w)), S(0.5 - 0.5 * double(view.h)));
  }

  // The ray `from`, moved by j pixels right and i down.
  AVSA_HD Vec3<S> at(const Vec3<S>& from, const S& j, const S& i) const {
    return {from.x + j * right.x + i * down.x, from.y + j * right.y + i * down.y, from.z + j * right.z + i * down.z};
  }

 private:
  AVSA_HD static Vec3<S> scaled(const Vec3<S>& a, const S& s) { return {s * a.x, s * a.y, s * a.z}; }
};

struct Pose {
  Rays<double> rays;
  bool valid;

  AVSA_HD void set(const GnomonicView& view, std::int64_t crop) {
    PoseNumbers p;
    p.set(view, crop);
    valid = p.valid;
    rays.set(view, p.azimuth, p.elevation, p.fov, p.roll, p.flip);
  }
};

}  // namespace avsa::gnomonic
