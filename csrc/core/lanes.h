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
  Vector v;

  Lanes() = default;
  AVSA_HD Lanes(double all) : v(Vector{} + T(all)) {}
  AVSA_HD static Lanes load(const T* from) {
    Lanes out;
    std::memcpy(&out.v, from, sizeof out.v);
    return out;
  }
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

  AVSA_HD friend Lanes smaller(const Lanes& a, const Lanes& b) { return of(a.v < b.v ? a.v : b.v); }
  AVSA_HD friend Lanes larger(const Lanes& a, const Lanes& b) { return of(a.v > b.v ? a.v : b.v); }
  AVSA_HD friend Lanes fabs(const Lanes& a) { return of(a.v < 0 ? -a.v : a.v); }
  AVSA_HD friend Lanes sqrt(const Lanes& a) {
    Lanes out;
    for (int i = 0; i < kCount; ++i) out.v[i] = std::sqrt(a.v[i]);
    return out;
  }

 private:
  AVSA_HD static Lanes of(const Vector& v) {
    Lanes out;
    out.v = v;
    return out;
  }
};

}  // namespace avsa
