// Real spherical harmonics (ACN order, SN3D norm) and the matrices that turn them, for host and device.
#pragma once
#include <cmath>

#include "core/vec3.h"

namespace avsa::ambisonics {

constexpr int kMaxOrder = 7;
constexpr int kMaxChannels = (kMaxOrder + 1) * (kMaxOrder + 1);

// The order of an ACN channel.
AVSA_HD int order_of(int channel) {
  int n = 0;
  while ((n + 1) * (n + 1) <= channel) ++n;
  return n;
}

// The (order + 1)^2 harmonics of a unit vector, by recurrences in n that are stable for every m; no pole is singular.
template <class T>
AVSA_HD void spherical_harmonics(const Vec3<double>& u, int order, T* out) {
  double cosine = 1, sine = 0, sectoral = 1;  // cos^m(elevation) cos(m azimuth), ... sin(m azimuth); norm of n = m
  for (int m = 0; m <= order; ++m) {
    double previous = 0, legendre = sectoral;  // of orders n - 1 and n, over cos^m(elevation)
    for (int n = m; n <= order; ++n) {
      if (m > 0) out[n * (n + 1) - m] = T(legendre * sine);
      out[n * (n + 1) + m] = T(legendre * cosine);
      const double next = ((2 * n + 1) * u.z * legendre - std::sqrt(double(n * n - m * m)) * previous) /
                          std::sqrt(double((n + 1) * (n + 1) - m * m));
      previous = legendre;
      legendre = next;
    }
    const double turned = u.x * cosine - u.y * sine;
    sine = u.x * sine + u.y * cosine;
    cosine = turned;
    if (m > 0) sectoral *= std::sqrt((2 * m + 1) / double(2 * m + 2));
  }
}

// The matrix of order n that turns harmonics: Y_n(Q u) = D Y_n(u). Element (m, k) is at [m + n][k + n].
struct Turn {
  static constexpr int kSize = 2 * kMaxOrder + 1;
  double at[kSize][kSize];
};

// Of order 1, whose harmonics are y, z, x.
AVSA_HD void first_turn(const Mat3<double>& q, Turn& out) {
  const Vec3<double> rows[3] = {q.y, q.z, q.x};
  for (int m = 0; m < 3; ++m) {
    out.at[m][0] = rows[m].y;
    out.at[m][1] = rows[m].z;
    out.at[m][2] = rows[m].x;
  }
}

// P of Ivanic and Ruedenberg: a product of row i of order 1 and row a of order n - 1.
AVSA_HD double turn_product(int n, int i, int a, int k, const Turn& first, const Turn& lower) {
  const double* one = first.at[i + 1];
  const double* row = lower.at[a + n - 1];
  if (k == n) return one[2] * row[2 * n - 2] - one[0] * row[0];
  if (k == -n) return one[2] * row[0] + one[0] * row[2 * n - 2];
  return one[1] * row[k + n - 1];
}

// Element (m, k) of order n > 1 from orders 1 and n - 1 (Ivanic and Ruedenberg 1996, with the additions of 1998).
AVSA_HD double turn_element(int n, int m, int k, const Turn& first, const Turn& lower) {
  const auto product = [&](int i, int a) { return turn_product(n, i, a, k, first, lower); };
  const int size = m < 0 ? -m : m;
  const double scale = k == n || k == -n ? 2 * n * (2 * n - 1) : (n + k) * (n - k);
  double sum = 0;
  if (size < n) sum += std::sqrt((n + m) * (n - m) / scale) * product(0, m);
  if (m == 0) return sum - std::sqrt(2 * n * (n - 1) / scale) / 2 * (product(1, 1) + product(-1, -1));
  double v = 0, w = 0;
  if (m > 0) {
    v = m == 1 ? std::sqrt(2.0) * product(1, 0) : product(1, m - 1) - product(-1, 1 - m);
    if (size < n - 1) w = product(1, m + 1) + product(-1, -m - 1);
  } else {
    v = m == -1 ? std::sqrt(2.0) * product(-1, 0) : product(1, m + 1) + product(-1, -m - 1);
    if (size < n - 1) w = product(1, m - 1) - product(-1, 1 - m);
  }
  sum += std::sqrt((n + size - 1) * (n + size) / scale) / 2 * v;
  return sum - std::sqrt((n - size - 1) * (n - size) / scale) / 2 * w;
}

}  // namespace avsa::ambisonics
