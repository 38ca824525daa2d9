// The unit of work of the host kernels: a block of 16 pixels of a crop, one per SIMD lane, in up to 8 frames. Included
// by *.simd.cpp files only.
#pragma once
#include "core/dispatch.h"
#include "core/simd.h"
#include "gnomonic/footprint.h"

namespace avsa::gnomonic {

constexpr int kLanes = 16;     // pixels of a block
constexpr int kMaxFrames = 8;  // frames that share the weights of a block

template <int N>
constexpr bool kIsSingle<Lanes<float, N>> = true;

namespace AVSA_ISA {

// The number of values in a SIMD vector.
template <class T>
constexpr int kWidth = kRegisterBytes / int(sizeof(T));

// The value of 1 in a frame.
template <class In, class T>
constexpr T kScale = sizeof(In) == 1 ? T(1.0 / 255) : T(1);

// A plane of some consecutive frames of a clip.
template <class In>
struct FrameView {
  const In* data;           // of the first frame
  std::int64_t frame_step;  // elements from one frame to the next
  std::int64_t size;        // elements from a frame's first to its end
  int frames;               // at most kMaxFrames

  // `frames` frames from `first` on.
  AVSA_HD FrameView(const Plane& plane, std::int64_t clip, std::int64_t first, int frames)
      : data(static_cast<const In*>(plane.data) + clip * plane.clip_step + first * plane.frame_step),
        frame_step(plane.frame_step),
        size((plane.H - 1) * plane.row_step + plane.channels * plane.W),
        frames(frames) {}
};

// The rays of a block's pixels, in reading order; lanes past the crop's last pixel repeat it.
struct PixelBlock {
  double x[kLanes], y[kLanes], z[kLanes];

  AVSA_HD PixelBlock(const GnomonicView& view, const Rays<double>& rays, std::int64_t first_pixel) {
    const int w = int(view.w), last = int(view.h * view.w - 1);
    int row = int(first_pixel) / w, column = int(first_pixel) % w;
    if (column + kLanes <= w) {
      const Vec3<double> begin = rays.moved(rays.origin, column, row);
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l)
        set(l, {begin.x + l * rays.right.x, begin.y + l * rays.right.y, begin.z + l * rays.right.z});
      return;
    }
    for (int l = 0; l < kLanes; ++l) {
      set(l, rays.moved(rays.origin, column, row));
      if (first_pixel + l >= last) continue;
      if (++column == w) column = 0, ++row;
    }
  }
  AVSA_HD Vec3<double> ray(int l) const { return {x[l], y[l], z[l]}; }

  // The rays of N pixels from lane l on, moved by `columns` pixels to the right and `rows` down.
  template <class T, int N>
  AVSA_HD Vec3<Lanes<T, N>> moved(const Rays<double>& rays, int l, const Lanes<T, N>& columns,
                                  const Lanes<T, N>& rows) const {
    T right[N], down[N], to_x[N], to_y[N], to_z[N];
    columns.store(right);
    rows.store(down);
    AVSA_LANES
    for (int n = 0; n < N; ++n) {
      to_x[n] = T(x[l + n] + right[n] * rays.right.x + down[n] * rays.down.x);
      to_y[n] = T(y[l + n] + right[n] * rays.right.y + down[n] * rays.down.y);
      to_z[n] = T(z[l + n] + right[n] * rays.right.z + down[n] * rays.down.z);
    }
    return {Lanes<T, N>::load(to_x), Lanes<T, N>::load(to_y), Lanes<T, N>::load(to_z)};
  }

 private:
  AVSA_HD void set(int l, const Vec3<double>& ray) {
    x[l] = ray.x;
    y[l] = ray.y;
    z[l] = ray.z;
  }
};

}  // namespace AVSA_ISA
}  // namespace avsa::gnomonic
