// What the host and the device kernel share: what a bin adds to its bands, and a view's features of a band.
//
// Powers and intensities of all views follow from sums over a band that no view changes: the products of channels, of
// which a view's power is a quadratic form, and the intensity vector, whose norm no turn changes and which turns as it
// is. Inter-channel features are not linear: their bins are made for each view.
//
// All of it is float64 whatever the features are: a float32 transform is wrong by 1e-7 of the loudest bin in every bin,
// a mix can all but cancel, and of a quiet bin the intensity and the phase count as much as of a loud one.
#pragma once
#include <limits>

#include "features/features.h"
#include "features/fft.h"
#include "features/log.h"

namespace avsa::features {

// C channels mixed to the M of a view, then features of kind S.
template <int C_, int M_, Spatial S_>
struct ViewShape {
  static constexpr int C = C_, M = M_, kChannels = M + (S_ == Spatial::none ? 0 : 3);
  static constexpr Spatial S = S_;
  static constexpr bool kByView = S == Spatial::icf;
  static constexpr int kProducts = kByView ? M : C * (C + 1) / 2;
  static constexpr int kSums = kProducts + (S == Spatial::none ? 0 : 3);  // of a band
};

// Calls run(ViewShape) for the task's; ops makes no other.
template <class Run>
inline __attribute__((always_inline)) auto with_shape(const SpatialFeatures& t, const Run& run) {
  if (t.M == 4)
    return t.spatial == Spatial::iv ? run(ViewShape<4, 4, Spatial::iv>()) : run(ViewShape<4, 4, Spatial::none>());
  if (t.M == 1) return run(ViewShape<1, 1, Spatial::none>());
  if (t.C == 4)
    return t.spatial == Spatial::icf ? run(ViewShape<4, 2, Spatial::icf>()) : run(ViewShape<4, 2, Spatial::none>());
  return t.spatial == Spatial::icf ? run(ViewShape<2, 2, Spatial::icf>()) : run(ViewShape<2, 2, Spatial::none>());
}

// 2 log |L| - 2 log |R| with a floor under each, cosine and sine of the phase difference, 0 where a side is silent.
template <class T>
AVSA_HD void level_and_phase(double left, double right, double cosine, double sine, double (&out)[3]) {
  constexpr double kFloor = 1e-16;
  const double squared = cosine * cosine + sine * sine;
  const bool silent = squared < std::numeric_limits<double>::min();  // NaN is not silent
  const double factor = 1 / std::sqrt(silent ? 1.0 : squared);
  out[0] = log_normal(T(left < kFloor ? kFloor : left)) - log_normal(T(right < kFloor ? kFloor : right));
  out[1] = silent ? 1.0 : factor * cosine;
  out[2] = silent ? 0.0 : factor * sine;
}

// What a bin of the scene adds to its bands; of the view of `matrix` [M, C] where Shape::kByView.
template <class Shape, class T, class V>
AVSA_HD void bin_sums(const Intensity& variant, const double* matrix, const Complex<V> (&x)[Shape::C],
                      V (&out)[Shape::kSums]) {
  using std::sqrt;
  if constexpr (Shape::kByView) {
    Complex<V> side[2];
    for (int m = 0; m < 2; ++m) {
      side[m] = {V(0), V(0)};
      for (int c = 0; c < Shape::C; ++c) {
        const V gain(matrix[m * Shape::C + c]);
        side[m].re = side[m].re + gain * x[c].re;
        side[m].im = side[m].im + gain * x[c].im;
      }
      out[m] = side[m].re * side[m].re + side[m].im * side[m].im;
    }
    const V cosine = side[0].re * side[1].re + side[0].im * side[1].im;
    const V sine = side[0].im * side[1].re - side[0].re * side[1].im;
    V parts[3];
    level_and_phase<T>(out[0], out[1], cosine, sine, parts);
    for (int i = 0; i < 3; ++i) out[2 + i] = parts[i];
  } else {
    int at = 0;
    for (int a = 0; a < Shape::C; ++a)
      for (int b = a; b < Shape::C; ++b) out[at++] = x[a].re * x[b].re + x[a].im * x[b].im;
    if constexpr (Shape::S == Spatial::iv) {  // products of W, Y, Z, X: WW WY WZ WX YY YZ YX ZZ ZX XX
      V total = V(1e-12) + V(variant.w) * out[0] + V(variant.xyz) * (out[4] + out[7] + out[9]);
      if (variant.norm != 0)
        total = total + V(variant.norm) * sqrt(out[1] * out[1] + out[2] * out[2] + out[3] * out[3]);
      const V factor = V(variant.gain) / total;
      for (int i = 0; i < 3; ++i) out[10 + i] = factor * out[1 + i];
    }
  }
}

// A feature of the view of `matrix` [M, C] from a band's sums; `weight`: the sum of the band's weights.
template <class Shape, class V>
AVSA_HD V band_feature(const double* matrix, int channel, const V (&sums)[Shape::kSums], double weight) {
  constexpr int C = Shape::C;
  if (channel >= Shape::M) {
    const int i = channel - Shape::M;
    if constexpr (Shape::kByView) return sums[2 + i] * V(1 / weight);
    if constexpr (Shape::S == Spatial::iv) {  // X, Y, Z of W, Y, Z, X
      const double* row = matrix + (i == 0 ? 3 : i) * C;
      return (V(row[1]) * sums[10] + V(row[2]) * sums[11] + V(row[3]) * sums[12]) * V(1 / weight);
    }
  }
  if constexpr (Shape::kByView) return sums[channel];
  const double* row = matrix + channel * C;
  V power(0);
  int at = 0;
  for (int a = 0; a < C; ++a)
    for (int b = a; b < C; ++b) power = power + V((a == b ? 1 : 2) * row[a] * row[b]) * sums[at++];
  return power;
}

template <class T>
AVSA_HD T log_of_power(double power) {
  return log_normal(T(power < 1e-10 ? 1e-10 : power));
}

}  // namespace avsa::features
