// The exponential of vectors of numbers: the standard library's is a call a number.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/vec3.h"

// Vectors never cross a call: all of this is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace avsa::info_nce {

// Within 2 units in the last place; 0 below the normal numbers. V: a vector of float.
template <class V>
AVSA_HD V exponential(const V& x, float) {
  typedef std::int32_t Integers __attribute__((vector_size(sizeof(V))));
  const V shifted = x * 1.44269504f + 12582912.f;  // the nearest integer to x / ln 2 in the low bits
  const V n = shifted - 12582912.f;
  const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  V y = r * (1.f / 5040) + 1.f / 720;
  y = y * r + 1.f / 120;
  y = y * r + 1.f / 24;
  y = y * r + 1.f / 6;
  y = y * r + .5f;
  y = y * r + 1.f;
  y = y * r + 1.f;
  const V power = (V)(((Integers)shifted + 127) << 23);
  return x < -87.f ? V{} : y * power;
}

template <class V>
AVSA_HD V exponential(const V& x, double) {
  V y;
  for (unsigned lane = 0; lane < sizeof(V) / sizeof(double); ++lane) y[lane] = std::exp(x[lane]);
  return y;
}

}  // namespace avsa::info_nce
