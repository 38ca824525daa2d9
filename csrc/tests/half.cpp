// core/half.h: every float16 and bfloat16 against IEEE 754's definition of its value, and rounding to nearest even.
#include "core/half.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/check.h"

namespace {

using avsa::Bfloat16;
using avsa::Float16;

template <class H>
struct Format;
template <>
struct Format<Float16> {
  static constexpr int kExponentBits = 5, kFractionBits = 10;
};
template <>
struct Format<Bfloat16> {
  static constexpr int kExponentBits = 8, kFractionBits = 7;
};

// The value of a number of format H by its sign, exponent and fraction.
template <class H>
double defined_value(unsigned bits) {
  constexpr int kFraction = Format<H>::kFractionBits, kMaxExponent = (1 << Format<H>::kExponentBits) - 1;
  const int fraction = bits & ((1 << kFraction) - 1), exponent = bits >> kFraction & kMaxExponent;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == kMaxExponent) return fraction ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  const int bias = kMaxExponent / 2;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - kFraction);
  return sign * std::ldexp((1 << kFraction) + fraction, exponent - bias - kFraction);
}

// x rounded to the nearest value of format H, ties to the even fraction.
template <class H>
double rounded(double x) {
  constexpr int kFraction = Format<H>::kFractionBits, kBias = (1 << (Format<H>::kExponentBits - 1)) - 1;
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), 1 - kBias);
  const double step = std::ldexp(1.0, exponent - kFraction);
  const double result = step * std::nearbyint(x / step);
  const double max = std::ldexp(2 - std::ldexp(1.0, -kFraction), kBias);
  return std::fabs(result) > max ? std::copysign(std::numeric_limits<double>::infinity(), x) : result;
}

template <class H>
unsigned narrowed(float x) {
  H to;
  avsa::narrow(x, to);
  return to.bits;
}

bool same(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b); }

template <class H>
void check_all_values() {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const double value = defined_value<H>(bits);
    const float wide = avsa::widen(H{std::uint16_t(bits)});
    EXPECT(same(wide, value), "0x%04x is %a, not %a", bits, value, wide);
    const unsigned back = narrowed<H>(wide);
    EXPECT(std::isnan(value) ? std::isnan(defined_value<H>(back)) : back == bits, "0x%04x returns as 0x%04x", bits,
           back);
  }
}

template <class H>
void check_rounding(float x) {
  const double expected = rounded<H>(x), found = defined_value<H>(narrowed<H>(x));
  EXPECT(same(found, expected), "%a rounds to %a, not %a", double(x), expected, found);
}

// Midpoints of neighbours, the floats next to them, and floats of all sizes.
template <class H>
void check_all_roundings() {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const double value = defined_value<H>(bits), next = defined_value<H>((bits + 1) & 0xffff);
    const float midpoint = float((value + next) / 2);
    if (!std::isfinite(midpoint)) continue;
    check_rounding<H>(midpoint);
    check_rounding<H>(std::nextafter(midpoint, -std::numeric_limits<float>::infinity()));
    check_rounding<H>(std::nextafter(midpoint, std::numeric_limits<float>::infinity()));
  }
  for (std::uint64_t bits = 0; bits <= 0xffffffff; bits += 9973)
    check_rounding<H>(std::bit_cast<float>(std::uint32_t(bits)));
}

TEST(float16_has_the_values_of_ieee_754) { check_all_values<Float16>(); }
TEST(bfloat16_has_the_values_of_ieee_754) { check_all_values<Bfloat16>(); }
TEST(float16_rounds_to_nearest_even) { check_all_roundings<Float16>(); }
TEST(bfloat16_rounds_to_nearest_even) { check_all_roundings<Bfloat16>(); }

TEST(float16_overflows_from_half_a_step_above_its_maximum) {
  EXPECT(narrowed<Float16>(65504) == 0x7bff, "0x%04x", narrowed<Float16>(65504));
  EXPECT(narrowed<Float16>(std::nextafter(65520.0f, 0.0f)) == 0x7bff, "65520 less one float");
  EXPECT(narrowed<Float16>(65520) == 0x7c00, "0x%04x", narrowed<Float16>(65520));
  EXPECT(narrowed<Float16>(-1e30f) == 0xfc00, "0x%04x", narrowed<Float16>(-1e30f));
}

TEST(bytes_are_255_times_the_value) {
  const auto byte = [](float x) {
    std::uint8_t to;
    avsa::narrow(x, to);
    return int(to);
  };
  for (int n = 0; n < 256; ++n) EXPECT(byte(float(n) / 255) == n, "%d / 255 is %d", n, byte(float(n) / 255));
  EXPECT(byte(-1) == 0 && byte(2) == 255, "%d, %d outside [0, 1]", byte(-1), byte(2));
  EXPECT(byte(std::nanf("")) == 0, "NaN is %d", byte(std::nanf("")));
}

}  // namespace
