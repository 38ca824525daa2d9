// Numbers side by side in vector registers, for formulas that the compiler does not vectorise by itself.
#pragma once
#include <cmath>
#include <cstring>

#include "core/vector.h"

namespace avsa {

template <class T>
struct Lanes {
  static constexpr int kCount = 8;
  typedef T Vector __attribute__((vector_size(kCount * sizeof(T))));
  struct Mask {
    decltype(Vector{} < Vector{}) v;
  };
  Vector v;

  Lanes() = default;
  AVSA_HD Lanes(double all) : v(Vector{} + T(all)) {}
  AVSA_HD static Lanes load(const T* from) {
    Lanes out;
    std::memcpy(&out.v, from, sizeof out.v);
    return out;
  }
  template <class U>
  AVSA_HD explicit Lanes(const Lanes<U>& from) : v(__builtin_convertvector(from.v, Vector)) {}
  // first, first + 1, ...
  AVSA_HD static Lanes count_from(T first) { return of(Vector{0, 1, 2, 3, 4, 5, 6, 7} + first); }

  AVSA_HD T sum() const {
    typedef T Half __attribute__((vector_size(kCount / 2 * sizeof(T))));
    const Half half = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return (half[0] + half[2]) + (half[1] + half[3]);
  }
  AVSA_HD void store(T* to) const { std::memcpy(to, &v, sizeof v); }

  AVSA_HD friend Lanes operator+(const Lanes& a, const Lanes& b) { return of(a.v + b.v); }
  AVSA_HD friend Lanes operator-(const Lanes& a, const Lanes& b) { return of(a.v - b.v); }
  AVSA_HD friend Lanes operator*(const Lanes& a, const Lanes& b) { return of(a.v * b.v); }
  AVSA_HD friend Lanes operator/(const Lanes& a, const Lanes& b) { return of(a.v / b.v); }
  AVSA_HD Lanes operator-() const { return of(-v); }

  AVSA_HD friend Mask operator<(const Lanes& a, const Lanes& b) { return {a.v < b.v}; }
  AVSA_HD friend Mask operator>(const Lanes& a, const Lanes& b) { return {a.v > b.v}; }
  AVSA_HD friend Lanes choose(const Mask& which, const Lanes& a, const Lanes& b) { return of(which.v ? a.v : b.v); }
  AVSA_HD friend Lanes smaller(const Lanes& a, const Lanes& b) { return of(a.v < b.v ? a.v : b.v); }
  AVSA_HD friend Lanes larger(const Lanes& a, const Lanes& b) { return of(a.v > b.v ? a.v : b.v); }
  AVSA_HD friend Lanes fabs(const Lanes& a) { return of(a.v < 0 ? -a.v : a.v); }
  AVSA_HD friend Lanes sqrt(const Lanes& a) {
    return each(a, [](T x) { return std::sqrt(x); });
  }
  AVSA_HD friend Lanes floor(const Lanes& a) {
    return each(a, [](T x) { return std::floor(x); });
  }
  AVSA_HD friend Lanes ceil(const Lanes& a) {
    return each(a, [](T x) { return std::ceil(x); });
  }
  AVSA_HD friend Lanes atan2(const Lanes& y, const Lanes& x) {
    Lanes out;
    for (int i = 0; i < kCount; ++i) out.v[i] = std::atan2(y.v[i], x.v[i]);
    return out;
  }

 private:
  template <class F>
  AVSA_HD static Lanes each(const Lanes& a, const F& f) {
    Lanes out;
    for (int i = 0; i < kCount; ++i) out.v[i] = f(a.v[i]);
    return out;
  }
  AVSA_HD static Lanes of(const Vector& v) {
    Lanes out;
    out.v = v;
    return out;
  }
};

}  // namespace avsa
