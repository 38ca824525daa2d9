// Real spherical harmonics (ACN channel order, SN3D normalisation) and their rotation matrices, for one direction.
// Called by the host and device kernels of this folder.
#pragma once
#include <cmath>

#include "core/vec3.h"

namespace avsa::ambisonics {

constexpr int kMaxOrder = 7;

// The order of an ACN channel.
AVSA_HD int order_of(int channel) {
  int n = 0;
  while ((n + 1) * (n + 1) <= channel) ++n;
  return n;
}

// The (order + 1)^2 harmonics of a unit vector. Recurrences in n, stable for every m, without a singularity at the
// poles.
template <class T>
AVSA_HD void spherical_harmonics(const Vec3<double>& u, int order, T* out) {
  // cos^m(elevation) times cos(m azimuth) and sin(m azimuth); the normalised Legendre function of n = m over cos^m.
  double cosine = 1, sine = 0, sectoral = 1;
  for (int m = 0; m <= order; ++m) {
    double previous = 0, legendre = sectoral;  // of orders n - 1 and n
    for (int n = m; n <= order; ++n) {
      if (m > 0) out[n * (n + 1) - m] = T(legendre * sine);
      out[n * (n + 1) + m] = T(legendre * cosine);
      const double next = ((2 * n + 1) * u.z * legendre - std::sqrt(double(n * n - m * m)) * previous) /
                          std::sqrt(double((n + 1) * (n + 1) - m * m));
      previous = legendre;
      legendre = next;
    }
    const double next_cosine = u.x * cosine - u.y * sine;
    sine = u.x * sine + u.y * cosine;
    cosine = next_cosine;
    if (m > 0) sectoral *= std::sqrt((2 * m + 1) / double(2 * m + 2));
  }
}

// The rotation matrix D of the harmonics of one order n: Y_n(Q u) = D Y_n(u). Element (m, k) is at [m + n][k + n].
// Recurrence of Ivanic and Ruedenberg, J. Phys. Chem. 100 (1996) 6342, with the corrections of 102 (1998) 9099.
struct RotationMatrix {
  static constexpr int kSize = 2 * kMaxOrder + 1;
  double at[kSize][kSize];
};

// Order 1, whose harmonics are y, z, x.
AVSA_HD void first_order_rotation(const Mat3<double>& q, RotationMatrix& out) {
  const Vec3<double> rows[3] = {q.y, q.z, q.x};
  for (int m = 0; m < 3; ++m) {
    out.at[m][0] = rows[m].y;
    out.at[m][1] = rows[m].z;
    out.at[m][2] = rows[m].x;
  }
}

// The paper's P(i, a) for column k: row i of order 1 times row a of order n - 1.
AVSA_HD double rotation_product(int n, int i, int a, int k, const RotationMatrix& first, const RotationMatrix& lower) {
  const double* r = first.at[i + 1];
  const double* row = lower.at[a + n - 1];
  if (k == n) return r[2] * row[2 * n - 2] - r[0] * row[0];
  if (k == -n) return r[2] * row[0] + r[0] * row[2 * n - 2];
  return r[1] * row[k + n - 1];
}

// Element (m, k) of order n > 1 from the matrices of orders 1 and n - 1: the paper's u U + v V + w W.
AVSA_HD double rotation_element(int n, int m, int k, const RotationMatrix& first, const RotationMatrix& lower) {
  const auto p = [&](int i, int a) { return rotation_product(n, i, a, k, first, lower); };
  const int size = m < 0 ? -m : m;
  const double scale = k == n || k == -n ? 2 * n * (2 * n - 1) : (n + k) * (n - k);
  double sum = 0;
  if (size < n) sum += std::sqrt((n + m) * (n - m) / scale) * p(0, m);
  if (m == 0) return sum - std::sqrt(2 * n * (n - 1) / scale) / 2 * (p(1, 1) + p(-1, -1));
  double v = 0, w = 0;
  if (m > 0) {
    v = m == 1 ? std::sqrt(2.0) * p(1, 0) : p(1, m - 1) - p(-1, 1 - m);
    if (size < n - 1) w = p(1, m + 1) + p(-1, -m - 1);
  } else {
    v = m == -1 ? std::sqrt(2.0) * p(-1, 0) : p(1, m + 1) + p(-1, -m - 1);
    if (size < n - 1) w = p(1, m - 1) - p(-1, 1 - m);
  }
  sum += std::sqrt((n + size - 1) * (n + size) / scale) / 2 * v;
  return sum - std::sqrt((n - size - 1) * (n - size) / scale) / 2 * w;
}

}  // namespace avsa::ambisonics
