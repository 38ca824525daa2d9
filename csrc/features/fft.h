// Fourier transforms of any length by Stockham's algorithm, for host and device: passes between two buffers, in order.
#pragma once
#include <cstdint>

#include "core/vec3.h"

namespace avsa::features {

// V is double, or numbers side by side that are transformed alike.
template <class V>
struct Complex {
  V re, im;

  AVSA_HD friend Complex operator+(const Complex& a, const Complex& b) { return {a.re + b.re, a.im + b.im}; }
  AVSA_HD friend Complex operator-(const Complex& a, const Complex& b) { return {a.re - b.re, a.im - b.im}; }
};

template <class V>
AVSA_HD Complex<V> times(const Complex<V>& a, const Complex<double>& root) {
  const V re(root.re), im(root.im);
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}

template <class V>
AVSA_HD Complex<V> over_i(const Complex<V>& a) {
  return {a.im, -a.re};
}

// One pass: each of n / R butterflies takes R numbers and gives R, `stride` being the product of the radices before.
struct FftPass {
  int n, radix, stride;

  // The pass after this one; the first is FftPass::first(n), and there is none where stride == n.
  AVSA_HD FftPass next() const { return at(n, stride * radix); }
  AVSA_HD static FftPass first(int n) { return at(n, 1); }
  AVSA_HD bool done() const { return stride == n; }

  AVSA_HD static FftPass at(int n, int stride) {
    const int rest = n / stride;
    if (rest % 4 == 0) return {n, 4, stride};
    for (int radix = 2; radix * radix <= rest; ++radix)
      if (rest % radix == 0) return {n, radix, stride};
    return {n, rest, stride};
  }
};

// Butterfly q of group p, q < stride, p < n / radix / stride. roots: exp(-2 pi i j / n).
template <class V>
AVSA_HD void butterfly(const FftPass& pass, const Complex<double>* roots, const Complex<V>* in, Complex<V>* out, int p,
                       int q) {
  const int R = pass.radix, s = pass.stride, apart = pass.n / R;
  in += q + s * p;
  out += q + s * R * p;
  if (R == 4) {
    const Complex<V> a = in[0], b = in[apart], c = in[2 * apart], d = in[3 * apart];
    const Complex<V> ac = a + c, a_c = a - c, bd = b + d, b_d = over_i(b - d);
    out[0] = ac + bd;
    out[s] = times(a_c + b_d, roots[p * s]);
    out[2 * s] = times(ac - bd, roots[2 * p * s]);
    out[3 * s] = times(a_c - b_d, roots[3 * p * s]);
    return;
  }
  if (R == 2) {
    const Complex<V> a = in[0], b = in[apart];
    out[0] = a + b;
    out[s] = times(a - b, roots[p * s]);
    return;
  }
  for (int k = 0; k < R; ++k) {
    Complex<V> sum = in[0];
    for (int r = 1; r < R; ++r) sum = sum + times(in[r * apart], roots[std::int64_t(r) * k % R * apart]);
    out[k * s] = times(sum, roots[k * p * s]);
  }
}

// Bin j of two real sequences of n that were transformed as one, a + i b, each halved.
template <class V>
AVSA_HD void split_bin(const Complex<V>* z, int n, int j, Complex<V>& a, Complex<V>& b) {
  const Complex<V> x = z[j], y = z[j == 0 ? 0 : n - j];
  a = {x.re + y.re, x.im - y.im};
  b = {x.im + y.im, y.re - x.re};
}

}  // namespace avsa::features
