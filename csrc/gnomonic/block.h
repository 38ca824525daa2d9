// On the host: pixels that are worked on side by side, one a lane of the vector registers.
#pragma once
#include "core/clones.h"
#include "core/lanes.h"
#include "gnomonic/erp.h"
#include "gnomonic/pose.h"

namespace avsa {

constexpr int kLanes = 16;

template <>
AVSA_HD Lanes<float> turns(const Lanes<float>& y, const Lanes<float>& x) {
  return float_turns(y, x);
}

// Rays of a block's pixels, in reading order; lanes past the last pixel repeat it.
struct BlockRays {
  double x[kLanes], y[kLanes], z[kLanes];

  AVSA_HD void set(const GnomonicView& view, const Rays<double>& rays, std::int64_t first) {
    const int w = int(view.w), last = int(view.h * view.w - 1);
    int i = int(first) / w, j = int(first) % w, column[kLanes], row[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      column[l] = j;
      row[l] = i;
      if (first + l >= last) continue;
      if (++j == w) j = 0, ++i;
    }
    AVSA_LANES
    for (int l = 0; l < kLanes; ++l) {
      const Vec3<double> ray = rays.at(rays.origin, column[l], row[l]);
      x[l] = ray.x;
      y[l] = ray.y;
      z[l] = ray.z;
    }
  }
  AVSA_HD Vec3<double> at(int l) const { return {x[l], y[l], z[l]}; }

  // Those of Lanes::kCount pixels from l on, moved by j pixels right and i down.
  template <class T>
  AVSA_HD Vec3<Lanes<T>> moved(const Rays<double>& rays, int l, const Lanes<T>& j, const Lanes<T>& i) const {
    using D = Lanes<double>;
    const D right(j), down(i);
    return {Lanes<T>(D::load(x + l) + right * D(rays.right.x) + down * D(rays.down.x)),
            Lanes<T>(D::load(y + l) + right * D(rays.right.y) + down * D(rays.down.y)),
            Lanes<T>(D::load(z + l) + right * D(rays.right.z) + down * D(rays.down.z))};
  }
};

}  // namespace avsa
