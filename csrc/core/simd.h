// Lanes<T, N>: a SIMD vector of N values, by the vector extensions of GCC and Clang. For formulas that compilers do not
// vectorise by themselves; a template written for it also takes float or double.
#pragma once
#include <cmath>
#include <cstring>

#include "core/vec3.h"

namespace avsa {

// Bytes of the vector registers of the instruction set that the including file is compiled for. GCC splits wider
// vectors into code that is several times slower.
#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

template <class T, int N = 8>
struct Lanes {
  static constexpr int kCount = N;
  typedef T Vector __attribute__((vector_size(kCount * sizeof(T))));
  struct Mask {
    decltype(Vector{} < Vector{}) v;
  };
  Vector v;

  Lanes() = default;
  AVSA_HD Lanes(double value) : v(T(value) - Vector{}) {}  // in all lanes; x - 0 is x, also for -0: no instruction
  template <class U>
  AVSA_HD explicit Lanes(const Lanes<U, N>& from) : v(__builtin_convertvector(from.v, Vector)) {}
  AVSA_HD static Lanes load(const T* from) {
    Lanes out;
    std::memcpy(&out.v, from, sizeof out.v);
    return out;
  }
  AVSA_HD void store(T* to) const { std::memcpy(to, &v, sizeof v); }
  // first, first + 1, ...
  AVSA_HD static Lanes count_from(T first) {
    Vector numbers;
    for (int i = 0; i < kCount; ++i) numbers[i] = T(i);
    return of(numbers + first);
  }

  AVSA_HD T sum() const {
    return reduce([](const auto& a, const auto& b) __attribute__((always_inline)) { return a + b; });
  }
  AVSA_HD T minimum() const {
    return reduce([](const auto& a, const auto& b) __attribute__((always_inline)) { return min(a, b); });
  }
  AVSA_HD T maximum() const {
    return reduce([](const auto& a, const auto& b) __attribute__((always_inline)) { return max(a, b); });
  }
  // Bits that are set in any lane.
  AVSA_HD T any_bits() const {
    return reduce([](const auto& a, const auto& b) __attribute__((always_inline)) { return a | b; });
  }

  AVSA_HD friend Lanes operator+(const Lanes& a, const Lanes& b) { return of(a.v + b.v); }
  AVSA_HD friend Lanes operator-(const Lanes& a, const Lanes& b) { return of(a.v - b.v); }
  AVSA_HD friend Lanes operator*(const Lanes& a, const Lanes& b) { return of(a.v * b.v); }
  AVSA_HD friend Lanes operator/(const Lanes& a, const Lanes& b) { return of(a.v / b.v); }
  AVSA_HD Lanes operator-() const { return of(-v); }
  AVSA_HD friend Lanes operator|(const Lanes& a, const Lanes& b) { return of(a.v | b.v); }
  AVSA_HD friend Lanes operator>>(const Lanes& a, int bits) { return of(a.v >> bits); }

  AVSA_HD friend Mask operator<(const Lanes& a, const Lanes& b) { return {a.v < b.v}; }
  AVSA_HD friend Mask operator>(const Lanes& a, const Lanes& b) { return {a.v > b.v}; }
  AVSA_HD friend Lanes select(const Mask& mask, const Lanes& a, const Lanes& b) { return of(mask.v ? a.v : b.v); }
  AVSA_HD friend Lanes min(const Lanes& a, const Lanes& b) { return of(a.v < b.v ? a.v : b.v); }
  AVSA_HD friend Lanes max(const Lanes& a, const Lanes& b) { return of(a.v > b.v ? a.v : b.v); }
  AVSA_HD friend Lanes fabs(const Lanes& a) { return of(a.v < Vector{} ? -a.v : a.v); }
  AVSA_HD friend Lanes sqrt(Lanes a) {
    for (int i = 0; i < kCount; ++i) a.v[i] = std::sqrt(a.v[i]);
    return a;
  }
  AVSA_HD friend Lanes floor(Lanes a) {
    for (int i = 0; i < kCount; ++i) a.v[i] = std::floor(a.v[i]);
    return a;
  }
  AVSA_HD friend Lanes ceil(Lanes a) {
    for (int i = 0; i < kCount; ++i) a.v[i] = std::ceil(a.v[i]);
    return a;
  }
  AVSA_HD friend Lanes atan2(Lanes y, const Lanes& x) {
    for (int i = 0; i < kCount; ++i) y.v[i] = std::atan2(y.v[i], x.v[i]);
    return y;
  }

  // Combines all lanes pairwise by f, which takes two Lanes of any count.
  template <class F>
  AVSA_HD T reduce(const F& f) const {
    if constexpr (N == 1) {
      return v[0];
    } else {
      Lanes<T, N / 2> halves[2];
      std::memcpy(halves, &v, sizeof v);
      return f(halves[0], halves[1]).reduce(f);
    }
  }

 private:
  AVSA_HD static Lanes of(const Vector& v) {
    Lanes out;
    out.v = v;
    return out;
  }
};

}  // namespace avsa
