// Dual numbers for forward-mode differentiation. The pose's gradient (pose_gradient.h) is computed by running the
// formulas of the forward pass on them.
#pragma once
#include <cmath>

#include "core/vec3.h"

namespace avsa::gnomonic {

// A value and its derivatives with respect to N parameters.
template <int N>
struct Dual {
  double v = 0, d[N] = {};

  Dual() = default;
  AVSA_HD Dual(double value) : v(value) {}
  // The parameter of that index; a constant if there is no such index.
  AVSA_HD Dual(double value, int parameter) : v(value) {
    for (int n = 0; n < N; ++n) d[n] = n == parameter;
  }

  AVSA_HD explicit operator double() const { return v; }
  AVSA_HD explicit operator int() const { return int(v); }

  // f(this), from f's value and derivative here.
  AVSA_HD Dual chain(double value, double derivative) const {
    Dual out(value);
    for (int n = 0; n < N; ++n) out.d[n] = derivative * d[n];
    return out;
  }
  AVSA_HD Dual operator-() const { return chain(-v, -1); }

  AVSA_HD friend Dual operator+(const Dual& a, const Dual& b) { return combine(a, 1, b, 1, a.v + b.v); }
  AVSA_HD friend Dual operator-(const Dual& a, const Dual& b) { return combine(a, 1, b, -1, a.v - b.v); }
  AVSA_HD friend Dual operator*(const Dual& a, const Dual& b) { return combine(a, b.v, b, a.v, a.v * b.v); }
  AVSA_HD friend Dual operator/(const Dual& a, const Dual& b) {
    const double value = a.v / b.v, inverse = 1 / b.v;
    return combine(a, inverse, b, -value * inverse, value);
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
    return combine(y, x.v * inverse, x, -y.v * inverse, std::atan2(y.v, x.v));
  }

 private:
  // f(a, b), from f's value and its partial derivatives da and db.
  AVSA_HD static Dual combine(const Dual& a, double da, const Dual& b, double db, double value) {
    Dual out(value);
    for (int n = 0; n < N; ++n) out.d[n] = da * a.d[n] + db * b.d[n];
    return out;
  }
};

template <class S>
constexpr bool kIsDual = false;
template <int N>
constexpr bool kIsDual<Dual<N>> = true;

// The value without derivatives.
AVSA_HD float value_of(float x) { return x; }
AVSA_HD double value_of(double x) { return x; }
template <int N>
AVSA_HD double value_of(const Dual<N>& x) {
  return x.v;
}

}  // namespace avsa::gnomonic
