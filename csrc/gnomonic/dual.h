// Numbers that carry their derivatives: a formula written for them is differentiated as it is computed.
#pragma once
#include <cmath>

#include "core/vec3.h"

namespace avsa::gnomonic {

// A value and its derivatives in N parameters.
template <int N>
struct Dual {
  double v = 0, d[N] = {};

  Dual() = default;
  AVSA_HD Dual(double value) : v(value) {}
  // The parameter itself, where it is one of the N.
  AVSA_HD Dual(double value, int parameter) : v(value) {
    for (int n = 0; n < N; ++n) d[n] = n == parameter;
  }

  AVSA_HD explicit operator double() const { return v; }
  AVSA_HD explicit operator int() const { return int(v); }

  // f(this), of derivative `slope` there.
  AVSA_HD Dual chain(double value, double slope) const {
    Dual out(value);
    for (int n = 0; n < N; ++n) out.d[n] = slope * d[n];
    return out;
  }
  AVSA_HD Dual operator-() const { return chain(-v, -1); }

  AVSA_HD friend Dual operator+(const Dual& a, const Dual& b) { return join(a, 1, b, 1, a.v + b.v); }
  AVSA_HD friend Dual operator-(const Dual& a, const Dual& b) { return join(a, 1, b, -1, a.v - b.v); }
  AVSA_HD friend Dual operator*(const Dual& a, const Dual& b) { return join(a, b.v, b, a.v, a.v * b.v); }
  AVSA_HD friend Dual operator/(const Dual& a, const Dual& b) {
    const double value = a.v / b.v, inverse = 1 / b.v;
    return join(a, inverse, b, -value * inverse, value);
  }
  AVSA_HD Dual& operator+=(const Dual& b) { return *this = *this + b; }

  AVSA_HD friend bool operator<(const Dual& a, const Dual& b) { return a.v < b.v; }
  AVSA_HD friend bool operator>(const Dual& a, const Dual& b) { return a.v > b.v; }

  AVSA_HD friend Dual sqrt(const Dual& a) { return a.chain(std::sqrt(a.v), a.v > 0 ? 0.5 / std::sqrt(a.v) : 0); }
  AVSA_HD friend Dual fabs(const Dual& a) { return a.chain(std::fabs(a.v), a.v < 0 ? -1 : 1); }
  AVSA_HD friend Dual sin(const Dual& a) { return a.chain(sine(a.v), cosine(a.v)); }
  AVSA_HD friend Dual cos(const Dual& a) { return a.chain(cosine(a.v), -sine(a.v)); }
  AVSA_HD friend Dual atan2(const Dual& y, const Dual& x) {
    const double square = x.v * x.v + y.v * y.v, inverse = square > 0 ? 1 / square : 0;
    return join(y, x.v * inverse, x, -y.v * inverse, std::atan2(y.v, x.v));
  }

 private:
  AVSA_HD static Dual join(const Dual& a, double by_a, const Dual& b, double by_b, double value) {
    Dual out(value);
    for (int n = 0; n < N; ++n) out.d[n] = by_a * a.d[n] + by_b * b.d[n];
    return out;
  }
};

// Of a plain number or a Dual: the number alone.
AVSA_HD float plain(float x) { return x; }
AVSA_HD double plain(double x) { return x; }
template <int N>
AVSA_HD double plain(const Dual<N>& x) {
  return x.v;
}

}  // namespace avsa::gnomonic
