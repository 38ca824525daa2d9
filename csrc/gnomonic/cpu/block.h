// On the host: pixels that are worked on side by side, one a lane of the vector registers.
#pragma once
#include "core/clones.h"
#include "core/simd.h"
#include "gnomonic/erp.h"
#include "gnomonic/pose.h"

namespace avsa::gnomonic {

constexpr int kLanes = 16;

template <int N>
AVSA_HD Lanes<float, N> turns(const Lanes<float, N>& y, const Lanes<float, N>& x) {
  return float_turns(y, x);
}

// Rays of a block's pixels, in reading order; lanes past the last pixel repeat it.
struct BlockRays {
  double x[kLanes], y[kLanes], z[kLanes];

  AVSA_HD void set(const GnomonicView& view, const Rays<double>& rays, std::int64_t first) {
    const int w = int(view.w), last = int(view.h * view.w - 1);
    int i = int(first) / w, j = int(first) % w;
    if (j + kLanes <= w) {
      const Vec3<double> begin = rays.at(rays.origin, j, i);
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l)
        put(l, {begin.x + l * rays.right.x, begin.y + l * rays.right.y, begin.z + l * rays.right.z});
      return;
    }
    for (int l = 0; l < kLanes; ++l) {
      put(l, rays.at(rays.origin, j, i));
      if (first + l >= last) continue;
      if (++j == w) j = 0, ++i;
    }
  }
  AVSA_HD Vec3<double> at(int l) const { return {x[l], y[l], z[l]}; }

  // Those of N pixels from l on, moved by j pixels right and i down.
  template <class T, int N>
  AVSA_HD Vec3<Lanes<T, N>> moved(const Rays<double>& rays, int l, const Lanes<T, N>& j, const Lanes<T, N>& i) const {
    T right[N], down[N], to_x[N], to_y[N], to_z[N];
    j.store(right);
    i.store(down);
    AVSA_LANES
    for (int n = 0; n < N; ++n) {
      to_x[n] = T(x[l + n] + right[n] * rays.right.x + down[n] * rays.down.x);
      to_y[n] = T(y[l + n] + right[n] * rays.right.y + down[n] * rays.down.y);
      to_z[n] = T(z[l + n] + right[n] * rays.right.z + down[n] * rays.down.z);
    }
    return {Lanes<T, N>::load(to_x), Lanes<T, N>::load(to_y), Lanes<T, N>::load(to_z)};
  }

 private:
  AVSA_HD void put(int l, const Vec3<double>& ray) {
    x[l] = ray.x;
    y[l] = ray.y;
    z[l] = ray.z;
  }
};

}  // namespace avsa::gnomonic
