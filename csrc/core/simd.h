// Numbers side by side in vector registers, for formulas that the compiler does not vectorise by itself.
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
  AVSA_HD static Lanes load(const T* from) {
    Lanes out;
    std::memcpy(&out.v, from, sizeof out.v);
    return out;
  }
  template <class U>
  AVSA_HD explicit Lanes(const Lanes<U, N>& from) : v(__builtin_convertvector(from.v, Vector)) {}
  // first, first + 1, ...
  AVSA_HD static Lanes count_from(T first) {
    Vector numbers;
    for (int i = 0; i < kCount; ++i) numbers[i] = T(i);
    return of(numbers + first);
  }

  AVSA_HD T sum() const {
    return reduced([](const auto& a, const auto& b) __attribute__((always_inline)) { return a + b; });
  }
  AVSA_HD T least() const {
    return reduced([](const auto& a, const auto& b) __attribute__((always_inline)) { return smaller(a, b); });
  }
  AVSA_HD T most() const {
    return reduced([](const auto& a, const auto& b) __attribute__((always_inline)) { return larger(a, b); });
  }
  // Bits that are set in any of them.
  AVSA_HD T any_bits() const {
    return reduced([](const auto& a, const auto& b) __attribute__((always_inline)) { return a | b; });
  }
  AVSA_HD void store(T* to) const { std::memcpy(to, &v, sizeof v); }

  AVSA_HD friend Lanes operator+(const Lanes& a, const Lanes& b) { return of(a.v + b.v); }
  AVSA_HD friend Lanes operator-(const Lanes& a, const Lanes& b) { return of(a.v - b.v); }
  AVSA_HD friend Lanes operator*(const Lanes& a, const Lanes& b) { return of(a.v * b.v); }
  AVSA_HD friend Lanes operator/(const Lanes& a, const Lanes& b) { return of(a.v / b.v); }
  AVSA_HD Lanes operator-() const { return of(-v); }
  AVSA_HD friend Lanes operator|(const Lanes& a, const Lanes& b) { return of(a.v | b.v); }
  AVSA_HD friend Lanes operator>>(const Lanes& a, int bits) { return of(a.v >> bits); }

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

  // f, which takes numbers side by side, of all of them.
  template <class F>
  AVSA_HD T reduced(const F& f) const {
    if constexpr (N == 1) {
      return v[0];
    } else {
      Lanes<T, N / 2> halves[2];
      std::memcpy(halves, &v, sizeof v);
      return f(halves[0], halves[1]).reduced(f);
    }
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
