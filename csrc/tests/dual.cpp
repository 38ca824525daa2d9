// gnomonic/dual.h: derivatives against their formulas.
#include "gnomonic/dual.h"

#include <cmath>

#include "tests/check.h"

namespace {

using D = avsa::gnomonic::Dual<2>;

void check(const char* name, const D& found, double value, double by_x, double by_y) {
  const double expected[] = {value, by_x, by_y}, values[] = {found.v, found.d[0], found.d[1]};
  for (int i = 0; i < 3; ++i)
    EXPECT(std::fabs(values[i] - expected[i]) <= 1e-14 * (1 + std::fabs(expected[i])), "%s: %s is %.17g, not %.17g",
           name,
           i == 0   ? "value"
           : i == 1 ? "derivative by x"
                    : "derivative by y",
           expected[i], values[i]);
}

TEST(dual_numbers_have_the_derivatives_of_the_formulas) {
  const double points[][2] = {{0.7, -1.3}, {-2.1, 0.4}, {1.5, 2.5}, {-0.3, -0.9}};
  for (const auto& [x, y] : points) {
    const D a(x, 0), b(y, 1);
    const double square = x * x + y * y, radius = std::sqrt(square);
    check("constant", D(x), x, 0, 0);
    check("x", a, x, 1, 0);
    check("-x", -a, -x, -1, 0);
    check("x + y", a + b, x + y, 1, 1);
    check("x - y", a - b, x - y, 1, -1);
    check("x y", a * b, x * y, y, x);
    check("x / y", a / b, x / y, 1 / y, -x / (y * y));
    check("3 / x", D(3) / a, 3 / x, -3 / (x * x), 0);
    check("sqrt(x^2 + y^2)", sqrt(a * a + b * b), radius, x / radius, y / radius);
    check("|x|", fabs(a), std::fabs(x), x < 0 ? -1 : 1, 0);
    check("sin(x)", sin(a), std::sin(x), std::cos(x), 0);
    check("cos(y)", cos(b), std::cos(y), 0, -std::sin(y));
    check("atan2(y, x)", atan2(b, a), std::atan2(y, x), -y / square, x / square);
    check("sin(x y) cos(x)", sin(a * b) * cos(a), std::sin(x * y) * std::cos(x),
          y * std::cos(x * y) * std::cos(x) - std::sin(x * y) * std::sin(x), x * std::cos(x * y) * std::cos(x));
    D sum(1);
    sum += a * a;
    check("1 + x^2", sum, 1 + x * x, 2 * x, 0);
    EXPECT((a < b) == (x < y) && (a > b) == (x > y), "comparison of %g and %g", x, y);
  }
}

TEST(dual_numbers_are_finite_at_singular_points) {
  check("sqrt(0)", sqrt(D(0, 0)), 0, 0, 0);
  check("atan2(0, 0)", atan2(D(0, 0), D(0, 1)), 0, 0, 0);
}

TEST(unit_vectors_differentiate_along_the_sphere) {
  const double azimuth = 0.8, elevation = -0.5;
  const auto u = avsa::unit_vector(D(azimuth, 0), D(elevation, 1));
  const double ca = std::cos(azimuth), sa = std::sin(azimuth), ce = std::cos(elevation), se = std::sin(elevation);
  check("x", u.x, ce * ca, -ce * sa, -se * ca);
  check("y", u.y, ce * sa, ce * ca, -se * sa);
  check("z", u.z, se, 0, ce);
}

}  // namespace
