// From a crop's pixels to what they read of a frame: rays, footprints, taps. L pixels at a time: vector lanes on the
// host, one on the device. Rays are double, since a ray close to a pole needs its x and y to full relative precision.
#pragma once
#include <cmath>

#include "core/vector.h"
#include "gnomonic/gnomonic.h"

namespace avsa {

// As in avsa_fast/reference/gnomonic.py.
constexpr double kCellsAPixel = 1.5, kCellsMore = 0.75;
constexpr double kMostCells = 31;

template <class T>
AVSA_HD T clamp(T x, T low, T high) {
  return x < low ? low : x > high ? high : x;
}

AVSA_HD double real_at(const void* values, Dtype dtype, std::int64_t i) {
  return dtype == Dtype::float64 ? static_cast<const double*>(values)[i] : static_cast<const float*>(values)[i];
}

// Angle of (x, y) in full turns, within [-1/2, 1/2].
AVSA_HD double turns(double y, double x) { return std::atan2(y, x) * (0.5 / kPi); }

AVSA_HD float turns(float y, float x) {
  const float ax = std::fabs(x), ay = std::fabs(y);
  const float high = ax > ay ? ax : ay, low = ax > ay ? ay : ax;
  const float t = low / (high > 1e-30f ? high : 1e-30f), s = t * t;
  // Minimax for atan(t) / (2 pi t) in t^2 on [0, 1]: relative error 1.5e-8.
  float p = 4.535735e-4f;
  p = p * s - 2.5573997e-3f;
  p = p * s + 6.794563e-3f;
  p = p * s - 1.1943453e-2f;
  p = p * s + 1.6935572e-2f;
  p = p * s - 2.2605801e-2f;
  p = p * s + 3.1819243e-2f;
  p = p * s - 5.3051233e-2f;
  p = p * s + 1.5915494e-1f;
  p *= t;
  p = ay > ax ? 0.25f - p : p;
  p = x < 0 ? 0.5f - p : p;
  return y < 0 ? -p : p;
}

// A crop's rays: origin through the centre of pixel (0, 0), then a step a pixel.
struct Pose {
  Vec3<double> origin, right, down;
  bool valid;  // finite angles, field of view in (0, pi)

  AVSA_HD void set(const GnomonicView& view, std::int64_t crop) {
    const double azimuth = real_at(view.directions, view.pose_dtype, 2 * crop);
    const double elevation = real_at(view.directions, view.pose_dtype, 2 * crop + 1);
    const double fov = real_at(view.fov, view.pose_dtype, crop);
    const double roll = view.roll ? real_at(view.roll, view.pose_dtype, crop) : 0;
    // Infinity minus itself is NaN, which no comparison holds for.
    valid = azimuth - azimuth == 0 && elevation - elevation == 0 && roll - roll == 0 && fov > 0 && fov < kPi;
    const Mat3<double> axes = transpose(turn_front_to(azimuth, elevation, roll));  // rows: front, left, up
    const double step = std::tan(fov / 2) / (0.5 * double(view.w));
    right = scaled(axes.y, view.flip && view.flip[crop] ? step : -step);
    down = scaled(axes.z, -step);
    const double j = 0.5 - 0.5 * double(view.w), i = 0.5 - 0.5 * double(view.h);
    origin = at(axes.x, j, i);
  }

  // The ray `from`, moved by j pixels right and i down.
  AVSA_HD Vec3<double> at(const Vec3<double>& from, double j, double i) const {
    return {from.x + j * right.x + i * down.x, from.y + j * right.y + i * down.y, from.z + j * right.z + i * down.z};
  }

 private:
  AVSA_HD static Vec3<double> scaled(const Vec3<double>& a, double s) { return {s * a.x, s * a.y, s * a.z}; }
};

// Length of an edge of a pixel's footprint in pixels of the frame: how far its projection moves along a step of its
// ray.
template <class T>
AVSA_HD T footprint_edge(const Vec3<double>& ray, const Vec3<double>& step, T H, T W) {
  const T x = T(ray.x), y = T(ray.y), z = T(ray.z), dx = T(step.x), dy = T(step.y), dz = T(step.z);
  const T square = x * x + y * y, across2 = square > T(1e-20) ? square : T(1e-20), across = std::sqrt(across2);
  const T du = (x * dy - y * dx) / across2 * (W * T(0.5 / kPi));
  const T dv = (across * dz - z * (x * dx + y * dy) / across) / (across2 + z * z) * (H * T(1 / kPi));
  return std::sqrt(du * du + dv * dv);
}

// Cell k of an edge that holds `count` cells, k = 0 in its middle; those at the ends are cut off, so that the mean over
// a footprint changes continuously with its size.
template <class T>
struct Cell {
  T middle, share;  // in edges: middle within ±1/2; shares sum to 1

  AVSA_HD Cell(T count, int k) {
    const T end = count / 2, first = T(k) - T(0.5) > -end ? T(k) - T(0.5) : -end,
            last = T(k) + T(0.5) < end ? T(k) + T(0.5) : end;
    const bool inside = last > first;
    middle = inside ? (first + last) / (2 * count) : T(0);
    share = inside ? (last - first) / count : T(0);
  }
};

template <class T, int L>
struct Footprints {
  double x[L], y[L], z[L];      // rays through the pixels' centres
  T columns[L], rows[L];        // cells of the footprints' edges
  int most_columns, most_rows;  // cells on either side of the middle one, in any lane

  // Of pixels first, first + 1, ... in reading order; lanes past the last pixel repeat it.
  AVSA_HD void set(const GnomonicView& view, const Pose& pose, std::int64_t first) {
    const int w = int(view.w), last = int(view.h * view.w - 1);
    int i = int(first) / w, j = int(first) % w, column[L], row[L];
    for (int l = 0; l < L; ++l) {
      column[l] = j;
      row[l] = i;
      if (first + l >= last) continue;
      if (++j == w) j = 0, ++i;
    }
    const T H = T(view.H), W = T(view.W);
    T columns_most = 0, rows_most = 0;
    for (int l = 0; l < L; ++l) {
      const Vec3<double> ray = pose.at(pose.origin, double(column[l]), double(row[l]));
      x[l] = ray.x;
      y[l] = ray.y;
      z[l] = ray.z;
      columns[l] = view.antialias ? cells(footprint_edge(ray, pose.right, H, W)) : cells(T(0));
      rows[l] = view.antialias ? cells(footprint_edge(ray, pose.down, H, W)) : cells(T(0));
      columns_most = columns[l] > columns_most ? columns[l] : columns_most;
      rows_most = rows[l] > rows_most ? rows[l] : rows_most;
    }
    most_columns = int(std::ceil(columns_most / 2 - T(0.5)));
    most_rows = int(std::ceil(rows_most / 2 - T(0.5)));
  }

 private:
  AVSA_HD static T cells(T edge) { return clamp(edge * T(kCellsAPixel) + T(kCellsMore), T(kCellsMore), T(kMostCells)); }
};

// A part of the gradient as a whole number of units; none where the unit tells that a gradient was not finite.
AVSA_HD std::int64_t to_units(double value, double unit) {
  return unit - unit == 0 ? std::int64_t(std::llrint(value / unit)) : 0;
}

// The four texels around a sample of each pixel.
template <class T, int L>
struct Taps {
  std::int32_t offset[4][L];  // of a texel's first channel in its frame, in elements
  T weight[4][L];             // over all samples of a pixel they sum to 1

  AVSA_HD void set(const GnomonicView& view, const Pose& pose, const Footprints<T, L>& prints, int column, int row) {
    const int H = int(view.H), W = int(view.W);
    for (int l = 0; l < L; ++l) {
      const Cell<T> along(prints.columns[l], column), across(prints.rows[l], row);
      const Vec3<double> ray =
          pose.at({prints.x[l], prints.y[l], prints.z[l]}, double(along.middle), double(across.middle));
      const T x = T(ray.x), y = T(ray.y), z = T(ray.z);
      const T u = (T(0.5) - turns(y, x)) * T(W) - T(0.5);  // [-1/2, W - 1/2]
      const T v = (T(0.5) - 2 * turns(z, std::sqrt(x * x + y * y))) * T(H) - T(0.5);
      const T left = std::floor(u), top = std::floor(v), fu = u - left, fv = v - top;
      const int j = int(left), i = int(top);
      // A row beyond a pole is the pole's row, half a turn away.
      const bool over = i < 0, under = i == H - 1;
      const int y0 = over ? 0 : i, y1 = under ? H - 1 : i + 1;
      const int left0 = over ? j + W / 2 : j, left1 = under ? j + W / 2 : j;
      const T share = along.share * across.share;
      offset[0][l] = 3 * (y0 * W + wrapped(left0, W));
      offset[1][l] = 3 * (y0 * W + wrapped(left0 + 1, W));
      offset[2][l] = 3 * (y1 * W + wrapped(left1, W));
      offset[3][l] = 3 * (y1 * W + wrapped(left1 + 1, W));
      weight[0][l] = share * (1 - fv) * (1 - fu);
      weight[1][l] = share * (1 - fv) * fu;
      weight[2][l] = share * fv * (1 - fu);
      weight[3][l] = share * fv * fu;
    }
  }

 private:
  AVSA_HD static int wrapped(int column, int W) { return column < 0 ? column + W : column >= W ? column - W : column; }
};

}  // namespace avsa
