// From a crop's pose to rays, and from rays to columns and rows of an equirectangular (ERP) plane or an equi-angular
// cubemap (EAC). Included by host and device kernels; S is float, double, Lanes (core/simd.h) or Dual (dual.h).
#pragma once
#include <cmath>

#include "core/vec3.h"
#include "gnomonic/dual.h"
#include "gnomonic/gnomonic.h"

namespace avsa::gnomonic {

template <class T>
AVSA_HD T select(bool condition, const T& a, const T& b) {
  return condition ? a : b;
}
template <class T>
AVSA_HD T min(const T& a, const T& b) {
  return a < b ? a : b;
}
template <class T>
AVSA_HD T max(const T& a, const T& b) {
  return a > b ? a : b;
}
template <class T>
AVSA_HD T clamp(const T& x, const T& low, const T& high) {
  return min(max(x, low), high);
}

template <class S, class R>
AVSA_HD Vec3<S> cast(const Vec3<R>& a) {
  return {S(a.x), S(a.y), S(a.z)};
}

AVSA_HD double real_at(const void* values, Dtype dtype, std::int64_t i) {
  return dtype == Dtype::float64 ? static_cast<const double*>(values)[i] : static_cast<const float*>(values)[i];
}

// A crop's pose, read from the tensors of a view.
struct PoseParameters {
  double azimuth, elevation, fov, roll;
  bool flip, valid;  // valid: finite angles, elevation within kMaxElevation, field of view within (0, pi)

  AVSA_HD void set(const GnomonicView& view, std::int64_t crop) {
    azimuth = real_at(view.directions, view.pose_dtype, 2 * crop);
    elevation = real_at(view.directions, view.pose_dtype, 2 * crop + 1);
    fov = real_at(view.fov, view.pose_dtype, crop);
    roll = view.roll ? real_at(view.roll, view.pose_dtype, crop) : 0;
    flip = view.flip && view.flip[crop];
    // x - x is 0 for finite x and NaN otherwise.
    valid = azimuth - azimuth == 0 && std::fabs(elevation) <= kMaxElevation && roll - roll == 0 && fov > 0 && fov < kPi;
  }
};

// A crop's rays: `origin` passes through the centre of pixel (0, 0); `right` and `down` are the steps to the next
// pixel. S is double, because a ray close to a pole needs its x and y to full relative precision, or Dual.
template <class S>
struct Rays {
  Vec3<S> origin, right, down;

  AVSA_HD void set(const GnomonicView& view, const S& azimuth, const S& elevation, const S& fov, const S& roll,
                   bool flip) {
    const Mat3<S> axes = transpose(rotation_from_front(azimuth, elevation, roll));  // rows: front, left, up
    const S half = fov * S(0.5), step = sine(half) / cosine(half) * S(2.0 / double(view.w));
    right = scaled(axes.y, flip ? step : -step);
    down = scaled(axes.z, -step);
    origin = moved(axes.x, S(0.5 - 0.5 * double(view.w)), S(0.5 - 0.5 * double(view.h)));
  }

  // A ray moved by `columns` pixels to the right and `rows` down.
  AVSA_HD Vec3<S> moved(const Vec3<S>& ray, const S& columns, const S& rows) const {
    return {ray.x + columns * right.x + rows * down.x, ray.y + columns * right.y + rows * down.y,
            ray.z + columns * right.z + rows * down.z};
  }

 private:
  AVSA_HD static Vec3<S> scaled(const Vec3<S>& a, const S& s) { return {s * a.x, s * a.y, s * a.z}; }
};

struct Pose {
  Rays<double> rays;
  bool valid;

  AVSA_HD void set(const GnomonicView& view, std::int64_t crop) {
    PoseParameters p;
    p.set(view, crop);
    valid = p.valid;
    rays.set(view, p.azimuth, p.elevation, p.fov, p.roll, p.flip);
  }
};

// Whether S holds single-precision numbers: float, or Lanes<float> (cpu/pixel_block.h).
template <class S>
constexpr bool kIsSingle = false;
template <>
inline constexpr bool kIsSingle<float> = true;

// atan2(y, x) in revolutions, within [-1/2, 1/2].
template <class S>
AVSA_HD S revolutions(const S& y, const S& x) {
  using std::atan2, std::fabs;
  if constexpr (kIsSingle<S>) {
    const S ax = fabs(x), ay = fabs(y);
    const S t = min(ax, ay) / max(max(ax, ay), S(1e-30f)), s = t * t;
    // Minimax for atan(t) / (2 pi t) in t^2 on [0, 1]: relative error 1.5e-8.
    S p(4.535735e-4f);
    p = p * s - S(2.5573997e-3f);
    p = p * s + S(6.794563e-3f);
    p = p * s - S(1.1943453e-2f);
    p = p * s + S(1.6935572e-2f);
    p = p * s - S(2.2605801e-2f);
    p = p * s + S(3.1819243e-2f);
    p = p * s - S(5.3051233e-2f);
    p = p * s + S(1.5915494e-1f);
    p = p * t;
    p = select(ay > ax, S(0.25f) - p, p);
    p = select(x < S(0), S(0.5f) - p, p);
    return select(y < S(0), -p, p);
  } else {
    return atan2(y, x) * S(0.5 / kPi);
  }
}

// A position on a plane, or an offset: column and row, as array indices.
template <class S>
struct Point {
  S u, v;
};

// Where a ray meets an ERP plane.
template <class S>
AVSA_HD Point<S> erp_point(const Vec3<S>& ray, const Plane& plane) {
  using std::sqrt;
  const S horizontal = sqrt(ray.x * ray.x + ray.y * ray.y);
  return {(S(0.5) - revolutions(ray.y, ray.x)) * S(plane.W) - S(plane.first_column),
          (S(0.5) - S(2) * revolutions(ray.z, horizontal)) * S(plane.H) - S(0.5)};
}

// Derivative of erp_point along a step of the ray.
template <class S>
AVSA_HD Point<S> erp_edge(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  using std::sqrt;
  const S square = ray.x * ray.x + ray.y * ray.y, horizontal2 = max(square, S(1e-20));
  const S horizontal = sqrt(horizontal2);
  const S azimuth = (ray.x * step.y - ray.y * step.x) / horizontal2;
  const S elevation =
      (horizontal * step.z - ray.z * (ray.x * step.x + ray.y * step.y) / horizontal) / (horizontal2 + ray.z * ray.z);
  return {azimuth * S(-0.5 / kPi * double(plane.W)), elevation * S(-1 / kPi * double(plane.H))};
}

// Horizontal component of a ray half a texel from a pole of an ERP plane, relative to the vertical one. A little less:
// at the centre of the first row, a derivative would have two values.
AVSA_HD double pole_distance(const Plane& plane) {
  const double angle = (1 - 1e-6) * 0.5 * kPi / double(plane.H);
  return sine(angle) / cosine(angle);
}

// Whether a ray passes a pole within half a texel.
template <class S>
AVSA_HD bool is_near_pole(const Vec3<S>& ray, const Plane& plane) {
  const double x = value_of(ray.x), y = value_of(ray.y), z = value_of(ray.z);
  return std::sqrt(x * x + y * y) < pole_distance(plane) * std::fabs(z);
}

// The place where the derivatives of a ray that is_near_pole are taken: half a texel from the pole at the ray's
// azimuth. The interpolated plane depends on azimuth even at the pole, where its derivatives would be infinite.
template <class S>
AVSA_HD Vec3<S> off_pole(const Vec3<S>& ray, const Plane& plane) {
  const double x = value_of(ray.x), y = value_of(ray.y), z = value_of(ray.z);
  const double horizontal = std::sqrt(x * x + y * y), moved = pole_distance(plane) * std::fabs(z);
  if (!(horizontal > 0)) return {ray.x + S(moved), ray.y, ray.z};
  const double farther = moved / horizontal - 1;
  return {ray.x + S(farther * x), ray.y + S(farther * y), ray.z};
}

struct Texel {
  int row, column;
};

// The texel of an ERP plane at a position that may lie outside it: columns wrap around; a row beyond a pole is its
// mirror image, half a revolution away. row within [-H, 2H).
AVSA_HD Texel erp_texel(int row, int column, int H, int W) {
  const bool beyond = row < 0 || row >= H;
  const int mirrored = row < 0 ? -1 - row : row >= H ? 2 * H - 1 - row : row;
  int wrapped = column + (beyond ? W / 2 : 0);  // a few revolutions at most: cheaper than a division
  while (wrapped < 0) wrapped += W;
  while (wrapped >= W) wrapped -= W;
  return {mirrored, wrapped};
}

// EAC layout of FFmpeg's v360 filter and YouTube: 3 x 2 faces, left, front, right above down, back, up, the lower three
// rotated so that each row of faces is one continuous band around the sphere. Each band has padding above and below it,
// the frame at its left and right.
constexpr double kEacPadding = 2;  // texels of the luma plane

// A ray in the coordinates of a face: right and down as the image shows them.
template <class S>
struct FaceRay {
  S right, down, forward;
};

// The face that a ray meets: 0..5 in reading order.
template <class S>
AVSA_HD int eac_face(const Vec3<S>& ray) {
  const double x = value_of(ray.x), y = value_of(ray.y), z = value_of(ray.z);
  const double ax = std::fabs(x), ay = std::fabs(y), az = std::fabs(z);
  if (ax >= ay && ax >= az) return x > 0 ? 1 : 4;
  if (ay >= az) return y > 0 ? 0 : 2;
  return z > 0 ? 5 : 3;
}

template <class S>
AVSA_HD FaceRay<S> on_face(int face, const Vec3<S>& ray) {
  switch (face) {
    case 0:
      return {ray.x, -ray.z, ray.y};
    case 1:
      return {-ray.y, -ray.z, ray.x};
    case 2:
      return {-ray.x, -ray.z, -ray.y};
    case 3:
      return {-ray.x, ray.y, -ray.z};
    case 4:
      return {ray.z, ray.y, -ray.x};
    default:
      return {ray.x, ray.y, ray.z};
  }
}

// Size and position of the faces, in texels from the plane's left and top edge.
struct EacFaces {
  double width, height, padding;

  AVSA_HD explicit EacFaces(const Plane& plane) {
    padding = kEacPadding * plane.texel_size;
    width = (double(plane.W) - 2 * padding) / 3;
    height = 0.5 * double(plane.H) - 2 * padding;
  }
  AVSA_HD double left(int face) const { return padding + width * (face % 3); }
  AVSA_HD double top(int face, std::int64_t H) const { return padding + (face < 3 ? 0 : 0.5 * double(H)); }
};

// Where a ray meets an EAC plane, on the plane that continues `face`.
template <class S>
AVSA_HD Point<S> eac_point(int face, const Vec3<S>& ray, const Plane& plane) {
  const EacFaces faces(plane);
  const FaceRay<S> r = on_face(face, ray);
  return {
      S(faces.left(face) + 0.5 * faces.width - plane.first_column) +
          S(4 * faces.width) * revolutions(r.right, r.forward),
      S(faces.top(face, plane.H) + 0.5 * faces.height - 0.5) + S(4 * faces.height) * revolutions(r.down, r.forward)};
}

// Derivative of eac_point along a step of the ray.
template <class S>
AVSA_HD Point<S> eac_edge(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  const EacFaces faces(plane);
  const int face = eac_face(ray);
  const FaceRay<S> r = on_face(face, ray), d = on_face(face, step);
  const S forward2 = r.forward * r.forward;
  return {S(2 / kPi * faces.width) * (d.right * r.forward - r.right * d.forward) / (forward2 + r.right * r.right),
          S(2 / kPi * faces.height) * (d.down * r.forward - r.down * d.forward) / (forward2 + r.down * r.down)};
}

}  // namespace avsa::gnomonic
