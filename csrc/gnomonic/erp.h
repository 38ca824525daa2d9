// Where a ray meets an equirectangular plane, and how far it moves there along a step of the ray. In texels.
#pragma once
#include <cmath>

#include "gnomonic/dual.h"
#include "gnomonic/gnomonic.h"

namespace avsa::gnomonic {

template <class T>
AVSA_HD T choose(bool which, const T& a, const T& b) {
  return which ? a : b;
}
template <class T>
AVSA_HD T smaller(const T& a, const T& b) {
  return a < b ? a : b;
}
template <class T>
AVSA_HD T larger(const T& a, const T& b) {
  return a > b ? a : b;
}
template <class T>
AVSA_HD T clamp(const T& x, const T& low, const T& high) {
  return smaller(larger(x, low), high);
}

// Angle of (x, y) in full turns, within [-1/2, 1/2].
template <class S>
AVSA_HD S turns(const S& y, const S& x) {
  using std::atan2;
  return atan2(y, x) * S(0.5 / kPi);
}

// The same in float, one number or many.
template <class S>
AVSA_HD S float_turns(const S& y, const S& x) {
  using std::fabs;
  const S ax = fabs(x), ay = fabs(y);
  const S t = smaller(ax, ay) / larger(larger(ax, ay), S(1e-30f)), s = t * t;
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
  p = choose(ay > ax, S(0.25f) - p, p);
  p = choose(x < S(0), S(0.5f) - p, p);
  return choose(y < S(0), -p, p);
}

template <>
AVSA_HD float turns(const float& y, const float& x) {
  return float_turns(y, x);
}

template <class S>
struct Point {
  S u, v;  // column and row, as array indices
};

template <class S>
AVSA_HD Point<S> erp_point(const Vec3<S>& ray, const Plane& plane) {
  using std::sqrt;
  const S across = sqrt(ray.x * ray.x + ray.y * ray.y);
  return {(S(0.5) - turns(ray.y, ray.x)) * S(plane.W) - S(plane.first_column),
          (S(0.5) - S(2) * turns(ray.z, across)) * S(plane.H) - S(0.5)};
}

// How far the point moves along a step of its ray.
template <class S>
AVSA_HD Point<S> erp_edge(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  using std::sqrt;
  const S square = ray.x * ray.x + ray.y * ray.y, across2 = larger(square, S(1e-20));
  const S across = sqrt(across2);
  const S turn = (ray.x * step.y - ray.y * step.x) / across2;
  const S rise = (across * step.z - ray.z * (ray.x * step.x + ray.y * step.y) / across) / (across2 + ray.z * ray.z);
  return {turn * S(-0.5 / kPi * double(plane.W)), rise * S(-1 / kPi * double(plane.H))};
}

// Where a row and a column, which may lie beyond the frame, are in it: columns wrap around, a row beyond a pole is the
// row before it, half a turn away. row within [-H, 2H).
struct Texel {
  int row, column;
};

AVSA_HD Texel erp_texel(int row, int column, int H, int W) {
  const bool beyond = row < 0 || row >= H;
  const int real = row < 0 ? -1 - row : row >= H ? 2 * H - 1 - row : row;
  int wrapped = column + (beyond ? W / 2 : 0);  // a turn or so away: no division
  while (wrapped < 0) wrapped += W;
  while (wrapped >= W) wrapped -= W;
  return {real, wrapped};
}

}  // namespace avsa::gnomonic
