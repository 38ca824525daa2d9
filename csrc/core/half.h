// Between float and the narrower types that tensors hold, rounded to nearest even, in portable integer steps that
// vectorise.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/vec3.h"

namespace avsa {

struct Float16 {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

AVSA_HD std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

AVSA_HD float float_of(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

AVSA_HD float widen(float x) { return x; }
AVSA_HD double widen(double x) { return x; }
AVSA_HD float widen(Bfloat16 x) { return float_of(std::uint32_t(x.bits) << 16); }
AVSA_HD float widen(Float16 x) {
  const std::uint32_t size = x.bits & 0x7fffu, sign = std::uint32_t(x.bits & 0x8000u) << 16;
  const float finite = float_of(size << 13) * 0x1p112f;  // exponents are 112 apart; subnormals come out right
  return float_of(sign | (size >= 0x7c00u ? 0x7f800000u | size << 13 : bits_of(finite)));
}

AVSA_HD void narrow(double x, double& to) { to = x; }
AVSA_HD void narrow(float x, float& to) { to = x; }

// A value in [0, 1] as 0..255; NaN as 0.
AVSA_HD void narrow(float x, std::uint8_t& to) {
  const float scaled = 255 * x;
  to = std::uint8_t(int(std::nearbyint(scaled > 0 ? (scaled < 255 ? scaled : 255.0f) : 0.0f)));
}

AVSA_HD void narrow(float x, Bfloat16& to) {
  const std::uint32_t bits = bits_of(x), rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  to.bits = std::uint16_t((x != x ? bits | 0x400000u : rounded) >> 16);
}

AVSA_HD void narrow(float x, Float16& to) {
  const std::uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  // Adding 1/2 leaves a subnormal's value in the last bits of the sum, rounded by the adder.
  const std::uint32_t subnormal = bits_of(float_of(size) + 0.5f) - 0x3f000000u;
  const std::uint32_t normal = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
  const std::uint32_t finite = size < 0x38800000u ? subnormal : normal;
  const std::uint32_t beyond = size > 0x7f800000u ? 0x7e00u : 0x7c00u;  // NaN, or from 65520 on infinity
  to.bits = std::uint16_t(sign | (size >= 0x477ff000u ? beyond : finite));
}

}  // namespace avsa
