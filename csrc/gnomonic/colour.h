// What happens to sampled colours: YUV to RGB, jitter by torchvision's definitions, then mean and std. Used by the
// forward kernels of host and device.
#pragma once
#include "gnomonic/geometry.h"

namespace avsa::gnomonic {

template <class T>
struct Colour {
  T red, green, blue;

  AVSA_HD T grey() const { return T(0.2989) * red + T(0.587) * green + T(0.114) * blue; }

  // Clamped to [0, 1].
  AVSA_HD Colour clamped() const { return {clamp(red, T(0), T(1)), clamp(green, T(0), T(1)), clamp(blue, T(0), T(1))}; }

  // factor · this + (1 - factor) · other, clamped.
  AVSA_HD Colour blend(T factor, T other) const {
    const T rest = (1 - factor) * other;
    return Colour{factor * red + rest, factor * green + rest, factor * blue + rest}.clamped();
  }

  // The hue shifted by a fraction of the colour circle.
  AVSA_HD Colour shift_hue(T fraction) const {
    const T high = red > green ? (red > blue ? red : blue) : (green > blue ? green : blue);
    const T low = red < green ? (red < blue ? red : blue) : (green < blue ? green : blue);
    const T chroma = high - low, inverse = T(1) / (chroma > 0 ? chroma : T(1));
    const T from_red = (green - blue) * inverse, from_green = 2 + (blue - red) * inverse,
            from_blue = 4 + (red - green) * inverse;
    const T sector = (high == red ? from_red : high == green ? from_green : from_blue) + 6 * fraction;
    return {channel(5 + sector, high, chroma), channel(3 + sector, high, chroma), channel(1 + sector, high, chroma)};
  }

 private:
  AVSA_HD static T channel(T k, T high, T chroma) {
    k -= 6 * std::floor(k / 6);
    const T rest = 4 - k;
    return clamp(high - chroma * clamp(k < rest ? k : rest, T(0), T(1)), T(0), T(1));
  }
};

// RGB within [0, 1] from Y, Cb, Cr.
template <class T>
AVSA_HD Colour<T> from_yuv(const YuvMatrix& m, const Colour<T>& yuv) {
  const T luma = T(m.gain) * (yuv.red - T(m.black)), cb = yuv.green - T(128.0 / 255), cr = yuv.blue - T(128.0 / 255);
  return Colour<T>{luma + T(m.red_cr) * cr, luma + T(m.green_cb) * cb + T(m.green_cr) * cr, luma + T(m.blue_cb) * cb}
      .clamped();
}

// The jitter of a crop.
template <class T>
struct Jitter {
  T brightness = 1, contrast = 1, saturation = 1, hue = 0;
  bool valid = true;  // factors finite and not negative, hue within ±1/2

  AVSA_HD void set(const Gnomonic& task, std::int64_t crop) {
    if (!task.jitter) return;
    brightness = T(real_at(task.jitter, task.view.pose_dtype, 4 * crop));
    contrast = T(real_at(task.jitter, task.view.pose_dtype, 4 * crop + 1));
    saturation = T(real_at(task.jitter, task.view.pose_dtype, 4 * crop + 2));
    hue = T(real_at(task.jitter, task.view.pose_dtype, 4 * crop + 3));
    valid = is_factor(brightness) && is_factor(contrast) && is_factor(saturation) && hue >= T(-0.5) && hue <= T(0.5);
  }

  AVSA_HD Colour<T> adjust_brightness(const Colour<T>& c) const { return c.blend(brightness, 0); }

  // mean_grey: of the crop's frame after adjust_brightness.
  AVSA_HD Colour<T> apply(const Colour<T>& c, T mean_grey) const {
    const Colour<T> contrasted = adjust_brightness(c).blend(contrast, mean_grey);
    return contrasted.blend(saturation, contrasted.grey()).shift_hue(hue);
  }

 private:
  AVSA_HD static bool is_factor(T x) { return x >= 0 && x - x == 0; }
};

// (x - mean) / std, per channel.
template <class T>
struct Normaliser {
  T gain[3], bias[3];

  AVSA_HD explicit Normaliser(const Gnomonic& task) {
    for (int c = 0; c < 3; ++c) {
      gain[c] = T(1 / task.std[c]);
      bias[c] = T(-task.mean[c] / task.std[c]);
    }
  }
  AVSA_HD Colour<T> apply(const Colour<T>& c) const {
    return {gain[0] * c.red + bias[0], gain[1] * c.green + bias[1], gain[2] * c.blue + bias[2]};
  }
};

// Mean grey of a frame of a crop, from the sums of its tiles.
AVSA_HD double mean_grey(const Gnomonic& task, std::int64_t crop, std::int64_t frame) {
  const std::int64_t tiles = task.view.tiles(), F = task.view.F;
  double sum = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) sum += task.partial_greys[(crop * tiles + tile) * F + frame];
  return sum / double(task.view.h * task.view.w);
}

}  // namespace avsa::gnomonic
