// A natural logarithm that compilers vectorise, unlike calls of the standard library's. Called by bins.h.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/vec3.h"

namespace avsa::features {

// For a positive normal float, infinity or NaN; within 2 units in the last place.
AVSA_HD float log_normal(float x) {
#ifdef __CUDA_ARCH__
  return logf(x);
#else
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1).
  constexpr std::int32_t kRootHalf = 0x3f3504f3;
  const std::int32_t bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t e = (bits - kRootHalf) >> 23;
  const float m = std::bit_cast<float>(bits - (e << 23));
  const float s = (m - 1) / (m + 1), q = s * s;
  const float tail = q * (1 / 3.f + q * (1 / 5.f + q * (1 / 7.f + q * (1 / 9.f))));
  const float log = float(e) * 0.693147181f + (2 * s + 2 * s * tail);
  return x < std::numeric_limits<float>::infinity() ? log : x;
#endif
}

AVSA_HD double log_normal(double x) { return std::log(x); }

}  // namespace avsa::features
