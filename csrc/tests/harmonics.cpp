// ambisonics/harmonics.h: spherical harmonics against closed forms and std::assoc_legendre, rotations against both.
#include "ambisonics/harmonics.h"

#include <cmath>
#include <random>

#include "tests/check.h"

namespace {

using namespace avsa;
using namespace avsa::ambisonics;

constexpr int kChannels = (kMaxOrder + 1) * (kMaxOrder + 1);

// Azimuth and elevation; the first are special.
Vec3<double> direction(int i) {
  const double special[][2] = {{0, 0}, {kPi / 2, 0}, {kPi, 0}, {0, kPi / 2}, {0, -kPi / 2}, {-kPi, 1.5707}, {1, 1e-9}};
  if (i < 7) return unit_vector(special[i][0], special[i][1]);
  std::mt19937 random(static_cast<unsigned>(i));
  const double azimuth = (random() / 4294967296.0 * 2 - 1) * kPi;
  return unit_vector(azimuth, std::asin(random() / 4294967296.0 * 2 - 1));
}
constexpr int kDirections = 40;

// Y by its definition: sqrt((2 - [m = 0]) (n - |m|)! / (n + |m|)!) P_n^|m|(sin elevation) times cos or sin of |m|
// azimuth.
double defined_harmonic(int n, int m, const Vec3<double>& u) {
  const int size = std::abs(m);
  long double factor = m == 0 ? 1 : 2;
  for (int k = n - size + 1; k <= n + size; ++k) factor /= k;
  const long double x = u.x, y = u.y, z = u.z;  // wide, since 1 - z^2 cancels close to a pole
  const long double legendre = std::assoc_legendre(unsigned(n), unsigned(size), z / std::sqrt(x * x + y * y + z * z));
  const long double azimuth = std::atan2(y, x);
  return double(std::sqrt(factor) * legendre * (m < 0 ? std::sin(size * azimuth) : std::cos(size * azimuth)));
}

TEST(harmonics_of_low_orders_are_their_polynomials) {
  for (int i = 0; i < kDirections; ++i) {
    const Vec3<double> u = direction(i);
    const auto [x, y, z] = u;
    const double r3 = std::sqrt(3.0), r15 = std::sqrt(15.0), r38 = std::sqrt(3 / 8.0), r58 = std::sqrt(5 / 8.0);
    const double expected[16] = {1,
                                 y,
                                 z,
                                 x,
                                 r3 * x * y,
                                 r3 * y * z,
                                 (3 * z * z - 1) / 2,
                                 r3 * x * z,
                                 r3 / 2 * (x * x - y * y),
                                 r58 * y * (3 * x * x - y * y),
                                 r15 * x * y * z,
                                 r38 * y * (5 * z * z - 1),
                                 z * (5 * z * z - 3) / 2,
                                 r38 * x * (5 * z * z - 1),
                                 r15 / 2 * z * (x * x - y * y),
                                 r58 * x * (x * x - 3 * y * y)};
    double found[16];
    spherical_harmonics(u, 3, found);
    for (int c = 0; c < 16; ++c)
      EXPECT(std::fabs(found[c] - expected[c]) < 2e-15, "direction %d, channel %d: %.17g, not %.17g", i, c, expected[c],
             found[c]);
  }
}

TEST(harmonics_of_all_orders_are_legendre_functions) {
  for (int i = 0; i < kDirections; ++i) {
    const Vec3<double> u = direction(i);
    double found[kChannels];
    float found_float[kChannels];
    spherical_harmonics(u, kMaxOrder, found);
    spherical_harmonics(u, kMaxOrder, found_float);
    for (int n = 0; n <= kMaxOrder; ++n)
      for (int m = -n; m <= n; ++m) {
        const int c = n * (n + 1) + m;
        const double expected = defined_harmonic(n, m, u);
        EXPECT(order_of(c) == n, "channel %d is of order %d", c, order_of(c));
        EXPECT(std::fabs(found[c] - expected) < 2e-14, "direction %d, n = %d, m = %d: %.17g, not %.17g", i, n, m,
               expected, found[c]);
        EXPECT(found_float[c] == float(found[c]), "direction %d, n = %d, m = %d: float32 differs", i, n, m);
      }
  }
}

// Order n of the rotation Q.
RotationMatrix rotation(int order, const Mat3<double>& q) {
  RotationMatrix first, lower, current;
  first_order_rotation(q, first);
  current = first;
  for (int n = 2; n <= order; ++n) {
    lower = current;
    for (int m = -n; m <= n; ++m)
      for (int k = -n; k <= n; ++k) current.at[m + n][k + n] = rotation_element(n, m, k, first, lower);
  }
  return current;
}

TEST(rotation_matrices_rotate_harmonics) {
  for (int r = 0; r < 12; ++r) {
    const Mat3<double> q = rotation_from_front(0.9 * r - 4, 0.7 * r - 3, 1.1 * r);
    for (int n = 1; n <= kMaxOrder; ++n) {
      const RotationMatrix d = rotation(n, q);
      for (int i = 7; i < kDirections; ++i) {
        const Vec3<double> u = direction(i), v = q * u;
        for (int m = -n; m <= n; ++m) {
          double found = 0;
          for (int k = -n; k <= n; ++k) found += d.at[m + n][k + n] * defined_harmonic(n, k, u);
          const double expected = defined_harmonic(n, m, v);
          EXPECT(std::fabs(found - expected) < 1e-13, "rotation %d, direction %d, n = %d, m = %d: %.17g, not %.17g", r,
                 i, n, m, expected, found);
        }
      }
    }
  }
}

TEST(rotations_about_z_have_cosines_and_sines) {
  const double angle = 0.6;
  for (int n = 1; n <= kMaxOrder; ++n) {
    const RotationMatrix d = rotation(n, rotation_from_front(angle, 0.0, 0.0));
    for (int m = -n; m <= n; ++m)
      for (int k = -n; k <= n; ++k) {
        const double expected = k == m ? std::cos(m * angle) : k == -m ? -std::sin(m * angle) : 0;
        EXPECT(std::fabs(d.at[m + n][k + n] - expected) < 1e-14, "n = %d, element (%d, %d): %.17g, not %.17g", n, m, k,
               expected, d.at[m + n][k + n]);
      }
  }
}

TEST(rotation_matrices_are_orthogonal) {
  for (int n = 1; n <= kMaxOrder; ++n) {
    const RotationMatrix d = rotation(n, rotation_from_front(2.0, 0.4, -1.0));
    for (int m = 0; m <= 2 * n; ++m)
      for (int l = 0; l <= 2 * n; ++l) {
        double product = 0;
        for (int k = 0; k <= 2 * n; ++k) product += d.at[m][k] * d.at[l][k];
        EXPECT(std::fabs(product - (m == l)) < 1e-14, "n = %d, rows %d and %d: %.17g", n, m, l, product);
      }
  }
}

}  // namespace
