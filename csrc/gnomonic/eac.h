// Where a ray meets an equi-angular cubemap, in the layout of FFmpeg's v360 filter and YouTube: 3 x 2 faces, left,
// front, right above down, back, up, the lower three turned so that each row of faces is one band around the sphere.
// Each row keeps 2 texels aside at its top and bottom, the frame 2 at its left and right.
#pragma once
#include <cmath>

#include "gnomonic/erp.h"

namespace avsa::gnomonic {

constexpr double kEacAside = 2;  // texels of the luma plane

// A face's own coordinates of a ray: forward, and right and down as the image shows it.
template <class S>
struct FaceRay {
  S right, down, forward;
};

// 0..5 in reading order.
template <class S>
AVSA_HD int eac_face(const Vec3<S>& ray) {
  const double x = plain(ray.x), y = plain(ray.y), z = plain(ray.z);
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

// Texels of the plane: where face columns and rows begin and how long they are, from the plane's left and top edge.
struct EacFaces {
  double width, height, aside;

  AVSA_HD explicit EacFaces(const Plane& plane) {
    aside = kEacAside * plane.texel_size;
    width = (double(plane.W) - 2 * aside) / 3;
    height = 0.5 * double(plane.H) - 2 * aside;
  }
  AVSA_HD double left(int face) const { return aside + width * (face % 3); }
  AVSA_HD double top(int face, std::int64_t H) const { return aside + (face < 3 ? 0 : 0.5 * double(H)); }
};

template <class S>
AVSA_HD Point<S> eac_point(int face, const Vec3<S>& ray, const Plane& plane) {
  const EacFaces faces(plane);
  const FaceRay<S> r = on_face(face, ray);
  return {S(faces.left(face) + 0.5 * faces.width - plane.first_column) + S(4 * faces.width) * turns(r.right, r.forward),
          S(faces.top(face, plane.H) + 0.5 * faces.height - 0.5) + S(4 * faces.height) * turns(r.down, r.forward)};
}

// How far the point moves along a step of its ray.
template <class S>
AVSA_HD Point<S> eac_edge(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  const EacFaces faces(plane);
  const int face = eac_face(ray);
  const FaceRay<S> r = on_face(face, ray), d = on_face(face, step);
  const S ahead = r.forward * r.forward;
  return {S(2 / kPi * faces.width) * (d.right * r.forward - r.right * d.forward) / (ahead + r.right * r.right),
          S(2 / kPi * faces.height) * (d.down * r.forward - r.down * d.forward) / (ahead + r.down * r.down)};
}

}  // namespace avsa::gnomonic
