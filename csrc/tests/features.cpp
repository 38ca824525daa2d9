// features/fft.h against the discrete Fourier transform's definition, log_normal of features/bins.h against the
// standard logarithm.
#include <cmath>
#include <complex>
#include <limits>
#include <random>
#include <vector>

#include "core/simd.h"
#include "features/bins.h"
#include "features/fft.h"
#include "tests/check.h"

namespace {

using namespace avsa;
using namespace avsa::features;
using Exact = std::complex<long double>;

std::vector<Exact> roots(int n) {
  std::vector<Exact> out;
  const long double step = -2 * std::acos(-1.0L) / n;
  for (int j = 0; j < n; ++j) out.emplace_back(std::cos(step * j), std::sin(step * j));
  return out;
}

std::vector<Exact> defined_transform(const std::vector<Exact>& x) {
  const int n = int(x.size());
  const std::vector<Exact> root = roots(n);
  std::vector<Exact> out(x.size());
  for (int k = 0; k < n; ++k)
    for (int j = 0; j < n; ++j) out[k] += x[j] * root[std::int64_t(j) * k % n];
  return out;
}

template <class V>
std::vector<Complex<V>> transform(std::vector<Complex<V>> in) {
  const int n = int(in.size());
  std::vector<Complex<double>> root;
  for (const Exact& r : roots(n)) root.push_back({double(r.real()), double(r.imag())});
  std::vector<Complex<V>> out(in.size());
  for (FftPass pass = FftPass::first(n); !pass.done(); pass = pass.next()) {
    for (int p = 0; p < n / pass.radix / pass.stride; ++p)
      for (int q = 0; q < pass.stride; ++q) butterfly(pass, root.data(), in.data(), out.data(), p, q);
    std::swap(in, out);
  }
  return in;
}

std::vector<Exact> noise(int n, unsigned seed) {
  std::mt19937 random(seed);
  const auto number = [&] { return random() / 4294967296.0 - 0.5; };
  std::vector<Exact> out;
  for (int j = 0; j < n; ++j) {
    const double re = number(), im = number();
    out.emplace_back(re, im);
  }
  return out;
}

constexpr int kLengths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 30, 32, 49, 60, 97, 128, 240, 256, 400, 512};

void check_bin(int n, int k, double re, double im, const Exact& expected) {
  const double tolerance = 1e-15 * std::sqrt(n) * (10 + n / 10);  // odd radices are sums of `radix` products
  EXPECT(std::abs(Exact(re, im) - expected) < tolerance, "length %d, bin %d: %.17g + %.17g i, not %.17g + %.17g i", n,
         k, double(expected.real()), double(expected.imag()), re, im);
}

TEST(fft_is_the_discrete_fourier_transform) {
  for (const int n : kLengths) {
    const std::vector<Exact> x = noise(n, 1), expected = defined_transform(x);
    std::vector<Complex<double>> in;
    for (const Exact& value : x) in.push_back({double(value.real()), double(value.imag())});
    const auto found = transform(in);
    for (int k = 0; k < n; ++k) check_bin(n, k, found[k].re, found[k].im, expected[k]);
  }
}

TEST(fft_transforms_each_lane) {
  using V = Lanes<double>;
  for (const int n : {4, 15, 60, 64}) {
    std::vector<Complex<V>> in(n);
    std::vector<std::vector<Exact>> expected;
    for (int l = 0; l < V::kCount; ++l) {
      const std::vector<Exact> x = noise(n, unsigned(l));
      for (int j = 0; j < n; ++j) {
        in[j].re.v[l] = double(x[j].real());
        in[j].im.v[l] = double(x[j].imag());
      }
      expected.push_back(defined_transform(x));
    }
    const auto found = transform(in);
    for (int l = 0; l < V::kCount; ++l)
      for (int k = 0; k < n; ++k) check_bin(n, k, found[k].re.v[l], found[k].im.v[l], expected[l][k]);
  }
}

TEST(fft_of_two_real_sequences_splits_into_both) {
  for (const int n : kLengths) {
    const std::vector<Exact> x = noise(n, 2);
    std::vector<Exact> first, second;
    std::vector<Complex<double>> in;
    for (const Exact& value : x) {
      first.emplace_back(value.real());
      second.emplace_back(value.imag());
      in.push_back({double(value.real()) / 2, double(value.imag()) / 2});
    }
    const auto spectrum = transform(in);
    const auto first_expected = defined_transform(first), second_expected = defined_transform(second);
    for (int k = 0; k <= n / 2; ++k) {
      Complex<double> a, b;
      split_bin(spectrum.data(), n, k, a, b);
      check_bin(n, k, a.re, a.im, first_expected[k]);
      check_bin(n, k, b.re, b.im, second_expected[k]);
    }
  }
}

TEST(logarithm_is_within_two_units_in_the_last_place) {
  constexpr int kCount = 4096;
  for (int exponent = -126; exponent < 128; ++exponent) {
    float x[kCount], found[kCount];
    for (int i = 0; i < kCount; ++i) x[i] = std::ldexp(1 + float(i) / kCount, exponent);
    for (int i = 0; i < kCount; ++i) found[i] = log_normal(x[i]);
    for (int i = 0; i < kCount; ++i) {
      const double expected = std::log(double(x[i]));
      const double unit = std::fabs(std::nextafter(float(expected), 1e30f) - float(expected));
      EXPECT(std::fabs(found[i] - expected) <= 2 * unit, "log(%a) is %.9g, not %.9g", double(x[i]), expected,
             double(found[i]));
    }
  }
  EXPECT(log_normal(1.0f) == 0, "log(1) is %g", double(log_normal(1.0f)));
}

TEST(logarithm_keeps_infinity_and_nan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT(log_normal(infinity) == infinity, "%g", double(log_normal(infinity)));
  EXPECT(std::isnan(log_normal(std::nanf(""))), "%g", double(log_normal(std::nanf(""))));
}

}  // namespace
