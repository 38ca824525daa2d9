// Fourier transforms of any length by Stockham's algorithm: passes from one buffer to another, in natural order. Called
// by the host and device kernels of this folder.
#pragma once
#include <cstdint>

#include "core/vec3.h"

namespace avsa::features {

// V is double, or a SIMD vector of numbers that are transformed alike.
template <class V>
struct Complex {
  V re, im;

  AVSA_HD friend Complex operator+(const Complex& a, const Complex& b) { return {a.re + b.re, a.im + b.im}; }
  AVSA_HD friend Complex operator-(const Complex& a, const Complex& b) { return {a.re - b.re, a.im - b.im}; }
};

template <class V>
AVSA_HD Complex<V> rotate(const Complex<V>& a, const Complex<double>& root) {
  const V re(root.re), im(root.im);
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}

template <class V>
AVSA_HD Complex<V> times_minus_i(const Complex<V>& a) {
  return {a.im, -a.re};
}

// One pass of n / radix butterflies, each of which reads and writes `radix` numbers. `stride`: the product of the
// radices of earlier passes.
struct FftPass {
  int n, radix, stride;

  AVSA_HD static FftPass first(int n) { return at(n, 1); }
  AVSA_HD FftPass next() const { return at(n, stride * radix); }
  AVSA_HD bool done() const { return stride == n; }

  AVSA_HD static FftPass at(int n, int stride) {
    const int rest = n / stride;
    if (rest % 4 == 0) return {n, 4, stride};
    for (int radix = 2; radix * radix <= rest; ++radix)
      if (rest % radix == 0) return {n, radix, stride};
    return {n, rest, stride};
  }
};

// Butterfly q of group p: q < stride, p < n / radix / stride. roots [n]: exp(-2 pi i j / n); in, out [n].
template <class V>
AVSA_HD void butterfly(const FftPass& pass, const Complex<double>* roots, const Complex<V>* in, Complex<V>* out, int p,
                       int q) {
  const int radix = pass.radix, s = pass.stride, distance = pass.n / radix;
  in += q + s * p;
  out += q + s * radix * p;
  if (radix == 4) {
    const Complex<V> a = in[0], b = in[distance], c = in[2 * distance], d = in[3 * distance];
    const Complex<V> ac = a + c, a_c = a - c, bd = b + d, b_d = times_minus_i(b - d);
    out[0] = ac + bd;
    out[s] = rotate(a_c + b_d, roots[p * s]);
    out[2 * s] = rotate(ac - bd, roots[2 * p * s]);
    out[3 * s] = rotate(a_c - b_d, roots[3 * p * s]);
    return;
  }
  if (radix == 2) {
    const Complex<V> a = in[0], b = in[distance];
    out[0] = a + b;
    out[s] = rotate(a - b, roots[p * s]);
    return;
  }
  for (int k = 0; k < radix; ++k) {
    Complex<V> sum = in[0];
    for (int r = 1; r < radix; ++r) sum = sum + rotate(in[r * distance], roots[std::int64_t(r) * k % radix * distance]);
    out[k * s] = rotate(sum, roots[k * p * s]);
  }
}

// Bin j of two real sequences from the transform [n] of (a + i b) / 2.
template <class V>
AVSA_HD void split_bin(const Complex<V>* spectrum, int n, int j, Complex<V>& a, Complex<V>& b) {
  const Complex<V> x = spectrum[j], y = spectrum[j == 0 ? 0 : n - j];
  a = {x.re + y.re, x.im - y.im};
  b = {x.im + y.im, y.re - x.re};
}

}  // namespace avsa::features
