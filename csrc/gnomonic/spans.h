// On the host: the texels and weights of a block of pixels on an equirectangular plane, row by row of texels, so that
// each frame is then read in runs.
#pragma once
#include <algorithm>
#include <vector>

#include "core/lanes.h"
#include "gnomonic/cells.h"
#include "gnomonic/footprint.h"
#include "gnomonic/pose.h"

namespace avsa {

constexpr int kLanes = 16;                    // pixels that a loop works on at once
constexpr int kChunk = Lanes<float>::kCount;  // texels that are weighted at once

// Texels side by side: elements from the frame's first, texels, and which weight is the first's.
struct Span {
  std::int32_t begin, texels, weights;
};

// Rays of a block's pixels, in reading order; lanes past the last pixel repeat it.
struct BlockRays {
  double x[kLanes], y[kLanes], z[kLanes];

  AVSA_HD void set(const GnomonicView& view, const Rays<double>& rays, std::int64_t first) {
    const int w = int(view.w), last = int(view.h * view.w - 1);
    int i = int(first) / w, j = int(first) % w, column[kLanes], row[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      column[l] = j;
      row[l] = i;
      if (first + l >= last) continue;
      if (++j == w) j = 0, ++i;
    }
    for (int l = 0; l < kLanes; ++l) {
      const Vec3<double> ray = rays.at(rays.origin, column[l], row[l]);
      x[l] = ray.x;
      y[l] = ray.y;
      z[l] = ray.z;
    }
  }
  AVSA_HD Vec3<double> at(int l) const { return {x[l], y[l], z[l]}; }
};

template <class T>
AVSA_HD Vec3<T> cast(const Vec3<double>& a) {
  return {T(a.x), T(a.y), T(a.z)};
}

template <class T>
class Spans {
 public:
  std::vector<Span> spans;
  std::vector<T> weights;
  int first[kLanes + 1];  // of a lane's spans
  T scale[kLanes];        // of a lane's weights, so that each cell counts by its share
  T total[kLanes] = {};   // of a lane's scaled weights in all cells so far

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin(const BlockRays& block, const Rays<double>& rays) {
    T most = 1;
    const Vec3<T> step = cast<T>(rays.right);
    for (int l = 0; l < kLanes; ++l) {
      count_[l] = erp_cells(cast<T>(block.at(l)), step);
      total[l] = 0;
      most = most < count_[l] ? count_[l] : most;
    }
    return cells_aside(double(most));
  }

  // Of cell (column, row) of each pixel. pad: runs may be lengthened to whole chunks by weights of 0.
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row,
                   bool pad) {
    T u[kLanes], share[kLanes];
    const int most = shape(block, rays, plane, column, row, u, share);
    chords_.resize(std::max<std::size_t>(chords_.size(), most));
    for (int k = 0; k < most; ++k) cut(k, chords_[k]);
    spans.clear();
    used_ = 0;
    for (int l = 0; l < kLanes; ++l) {
      first[l] = int(spans.size());
      Lanes<T> sums(0.0);
      if (share[l] > 0) {
        for (int k = 0; k < rows_[l]; ++k) add_row(plane, chords_[k], l, top_[l] + k, u[l], pad, sums);
      }
      scale[l] = share[l] / area_[l];
      total[l] += scale[l] * sums.sum();
    }
    first[kLanes] = int(spans.size());
  }

 private:
  // The parts of a row's weights, of each lane.
  static constexpr int kParts = 2 * kPieces;
  struct Chords {
    T left[kParts][kLanes], right[kParts][kLanes], sharp[kParts][kLanes], mass[kParts][kLanes];

    AVSA_HD void put(int part, int l, const Chord<Lanes<T>>& chord) {
      chord.left.store(left[part] + l);
      chord.right.store(right[part] + l);
      chord.sharp.store(sharp[part] + l);
      chord.mass.store(mass[part] + l);
    }
    AVSA_HD Chord<T> at(int part, int l) const {
      return {left[part][l], right[part][l], sharp[part][l], mass[part][l]};
    }
  };

  // The footprints, of each lane: side by side, for vector registers.
  struct Footprints {
    T tip[kLanes], corner[kLanes], half_height[kLanes], lean[kLanes], width[kLanes], reach[kLanes],
        inverse_climb[kLanes];

    AVSA_HD void put(int l, const Footprint<T>& f) {
      tip[l] = f.tip;
      corner[l] = f.corner;
      half_height[l] = f.half_height;
      lean[l] = f.lean;
      width[l] = f.width;
      reach[l] = f.reach;
      inverse_climb[l] = f.inverse_climb;
    }
    AVSA_HD Footprint<Lanes<T>> from(int l) const {
      using S = Lanes<T>;
      return {S::load(tip + l),   S::load(corner + l), S::load(half_height + l),  S::load(lean + l),
              S::load(width + l), S::load(reach + l),  S::load(inverse_climb + l)};
    }
  };

  T count_[kLanes];
  Footprints footprints_;
  T area_[kLanes];                  // of the footprints
  T height_[kLanes];                // of the centre below the first row
  int top_[kLanes], rows_[kLanes];  // of texels that the footprint touches
  std::vector<Chords> chords_;      // of the rows
  std::size_t used_ = 0;            // of weights

  // Footprints of a cell, their columns and shares. Returns the most rows of any.
  AVSA_HD int shape(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row,
                    T (&u)[kLanes], T (&share)[kLanes]) {
    int most = 0;
    const Vec3<T> right = cast<T>(rays.right), down = cast<T>(rays.down);
    for (int l = 0; l < kLanes; ++l) {
      const Cell<T> along(count_[l], column), across(count_[l], row);
      const Vec3<T> ray = cast<T>(rays.at(block.at(l), along.middle, across.middle));
      const Point<T> p = erp_point(ray, plane), a = erp_edge(ray, right, plane), b = erp_edge(ray, down, plane);
      Footprint<T> footprint;
      footprint.set({a.u * along.share, a.v * along.share}, {b.u * across.share, b.v * across.share}, plane);
      footprints_.put(l, footprint);
      area_[l] = footprint.area();
      share[l] = along.share * across.share;
      u[l] = p.u;
      top_[l] = int(std::ceil(p.v - footprint.half_height - 1));
      rows_[l] = int(std::floor(p.v + footprint.half_height + 1)) - top_[l] + 1;
      height_[l] = p.v - T(top_[l]);
      most = std::max(most, rows_[l]);
    }
    return most;
  }

  AVSA_HD void cut(int k, Chords& chords) const {
    for (int l = 0; l < kLanes; l += Lanes<T>::kCount) {
      const Footprint<Lanes<T>> footprints = footprints_.from(l);
      const Lanes<T> row = Lanes<T>(k) - Lanes<T>::load(height_ + l);
      for (int side = 0; side < 2; ++side) {
        Chord<Lanes<T>> pieces[kPieces];
        footprints.chords(row, side ? 1 : -1, pieces);
        for (int piece = 0; piece < kPieces; ++piece) chords.put(side * kPieces + piece, l, pieces[piece]);
      }
    }
  }

  // Appends the spans of a lane's row, and adds their weights to sums.
  AVSA_HD void add_row(const Plane& plane, const Chords& chords, int l, int row, T u, bool pad, Lanes<T>& sums) {
    Chord<T> parts[kParts];
    int count = 0;
    T begin = T(plane.W), end = -T(plane.W);
    for (int part = 0; part < kParts; ++part) {
      if (!(chords.mass[part][l] > 0)) continue;
      parts[count] = chords.at(part, l);
      parts[count++].widen(begin, end);
    }
    if (count == 0) return;
    int column = int(std::floor(u + begin)) + 1;
    const int stop = int(std::ceil(u + end)), H = int(plane.H), W = int(plane.W), channels = int(plane.channels);
    while (column < stop) {
      const Texel texel = erp_texel(row, column, H, W);
      int texels = std::min(stop - column, W - texel.column), from = texel.column;
      const int padded = (texels + kChunk - 1) / kChunk * kChunk;
      const int next = column + texels;
      if (pad && padded <= W) {
        const int moved = std::min(from, W - padded);
        column -= from - moved;
        from = moved;
        texels = padded;
      }
      spans.push_back({texel.row * std::int32_t(plane.row_step) + channels * from, texels, std::int32_t(used_)});
      weigh(parts, count, T(column) - u, texels, next - column, sums);
      column = next;
    }
  }

  // Appends the weights of texels x, x + 1, ..., and adds them to sums; those from `valid` on are 0.
  AVSA_HD void weigh(const Chord<T>* parts, int count, T x, int texels, int valid, Lanes<T>& sums) {
    const std::size_t room = used_ + std::size_t(texels + kChunk);
    if (weights.size() < room) weights.resize(2 * room);
    T* out = weights.data() + used_;
    for (int chunk = 0; chunk < texels; chunk += kChunk) {
      const Lanes<T> at = Lanes<T>::count_from(x + T(chunk));
      Lanes<T> w(0.0);
      for (const Chord<T>* c = parts; c < parts + count; ++c)
        w = w + Chord<Lanes<T>>{c->left, c->right, c->sharp, c->mass}.weight(at);
      w.store(out + chunk);
      if (valid < chunk + kChunk) {
        std::fill(out + std::max(chunk, valid), out + chunk + kChunk, T(0));
        w = Lanes<T>::load(out + chunk);
      }
      sums = sums + w;
    }
    used_ += std::size_t(texels);
  }
};

}  // namespace avsa
