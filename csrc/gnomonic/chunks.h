// On the host: the texels and weights of a block of pixels on an equirectangular plane, row by row of texels, in chunks
// that each frame is then read in.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "gnomonic/block.h"
#include "gnomonic/cells.h"
#include "gnomonic/chunk_sums.h"
#include "gnomonic/footprint.h"

namespace avsa {

// As many texels side by side as fit into kWide elements. C: channels of the plane.
template <int C>
constexpr int kChunkTexels = kWide / C;
// Texels that are weighted together: whole chunks.
template <int C>
constexpr int kGroupTexels = kWide / kChunkTexels<C> * kChunkTexels<C>;

template <class T>
class Chunks {
  using Some = Lanes<T>;

 public:
  std::vector<std::int32_t> begin;  // elements from the frame's first
  std::vector<T> weights;           // [chunks, kWide]; 0 for elements that are none of the pixel's
  int first[kLanes + 1];            // of a lane's chunks
  bool past_end[kLanes];            // whether one of them goes on past the plane's last texel
  T total[kLanes];                  // of a lane's weights in all cells so far

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin_block(const BlockRays& block, const Rays<double>& rays) {
    for (int l = 0; l < kLanes; l += Some::kCount)
      erp_cells(block.moved(rays, l, Some(0.0), Some(0.0)), cast<Some>(rays.right)).store(cells_ + l);
    std::fill_n(total, kLanes, T(0));
    const T most = *std::max_element(cells_, cells_ + kLanes);
    return cells_aside(double(most));
  }

  // Of cell (column, row) of each pixel.
  template <int C>
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    shape(block, rays, plane, column, row);
    int most = 0;
    for (int l = 0; l < kLanes; ++l) most = std::max(most, rows_[l]);
    if (chords_.size() < std::size_t(most)) chords_.resize(most);
    std::int64_t texels = 0;
    for (int k = 0; k < most; ++k) texels += cut(k, chords_[k]);
    // The frame's edge cuts a row into parts, W texels each but for the first and the last; a part's last chunk need
    // not be full.
    const std::size_t room = std::size_t(texels / kChunkTexels<C> + texels / plane.W + 2 * kLanes * most) + kWide;
    if (begin.size() < room) {
      begin.resize(2 * room);
      weights.resize(2 * room * kWide);
    }
    last_ = (plane.H - 1) * plane.row_step + C * plane.W - kWide;
    count_ = 0;
    for (int l = 0; l < kLanes; ++l) {
      first[l] = count_;
      past_end[l] = false;
      T sums[kWide] = {};
      for (int k = 0; k < rows_[l]; ++k) add_row<C>(plane, chords_[k], l, top_[l] + k, sums);
      T sum = 0;
      for (int i = 0; i < kWide; ++i) sum += sums[i];
      total[l] += sum;
    }
    first[kLanes] = count_;
  }

  // Elements from a lane's texels to those of the lane that is `lanes` further on, or so.
  AVSA_HD std::int32_t ahead(int l, int lanes) const {
    const int from = std::min(l, kLanes - 1 - lanes);
    return begin[first[from + lanes]] - begin[first[from]];
  }

 private:
  static constexpr int kParts = 2 * kPieces;
  typedef T Numbers __attribute__((vector_size(kWide * sizeof(T))));
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Index Indices __attribute__((vector_size(kWide * sizeof(T))));
  // A row of texels, of each lane: the parts of its weights, and which are not empty.
  struct Chords {
    T left[kParts][kLanes], right[kParts][kLanes], sharp[kParts][kLanes], mass[kParts][kLanes];
    int parts[kLanes], column[kLanes], texels[kLanes];
  };

  T cells_[kLanes];  // of a pixel's edges
  Footprint<Some> footprints_[kLanes / Some::kCount];
  T scale_[kLanes];                 // what the footprints' weights are multiplied by
  T u_[kLanes];                     // columns of their centres
  T height_[kLanes];                // of the centres below the first rows
  int top_[kLanes], rows_[kLanes];  // of texels that the footprints touch
  std::vector<Chords> chords_;      // of the rows
  std::int64_t last_;               // begin of the last chunk that does not go past the plane's end
  int count_;                       // of chunks

  AVSA_HD void shape(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    const Vec3<Some> right = cast<Some>(rays.right), down = cast<Some>(rays.down);
    for (int l = 0; l < kLanes; l += Some::kCount) {
      const Some cells = Some::load(cells_ + l);
      const Cell<Some> along(cells, column), across(cells, row);
      const Vec3<Some> ray = block.moved(rays, l, along.middle, across.middle);
      const Point<Some> p = erp_point(ray, plane);
      const Point<Some> a = erp_edge(ray, right, plane), b = erp_edge(ray, down, plane);
      Footprint<Some>& f = footprints_[l / Some::kCount];
      f.set({a.u * along.share, a.v * along.share}, {b.u * across.share, b.v * across.share}, plane);
      const Some share = along.share * across.share;
      const Some top = ceil(p.v - f.half_height - Some(1)), bottom = floor(p.v + f.half_height + Some(1));
      (share / f.area()).store(scale_ + l);
      p.u.store(u_ + l);
      (p.v - top).store(height_ + l);
      for (int i = 0; i < Some::kCount; ++i) {
        top_[l + i] = int(top.v[i]);
        rows_[l + i] = share.v[i] > 0 ? int(bottom.v[i]) - int(top.v[i]) + 1 : 0;
      }
    }
  }

  // Returns the number of texels.
  AVSA_HD int cut(int k, Chords& chords) const {
    const Some far(1e9);
    int texels = 0;
    for (int l = 0; l < kLanes; l += Some::kCount) {
      const Some row = Some(double(k)) - Some::load(height_ + l), scale = Some::load(scale_ + l);
      Some from = far, to = -far, parts(0.0);
      for (int side = 0; side < 2; ++side) {
        Chord<Some> pieces[kPieces];
        footprints_[l / Some::kCount].chords(row, side ? 1 : -1, pieces);
        for (int piece = 0; piece < kPieces; ++piece) {
          const Chord<Some>& chord = pieces[piece];
          const int part = side * kPieces + piece;
          chord.widen(from, to);
          parts = parts + choose(chord.mass > Some(0.0), Some(double(1 << part)), Some(0.0));
          chord.left.store(chords.left[part] + l);
          chord.right.store(chords.right[part] + l);
          chord.sharp.store(chords.sharp[part] + l);
          (scale * chord.mass).store(chords.mass[part] + l);
        }
      }
      const Some u = Some::load(u_ + l), column = floor(u + from) + Some(1), stop = ceil(u + to);
      for (int i = 0; i < Some::kCount; ++i) {
        chords.parts[l + i] = k < rows_[l + i] ? int(parts.v[i]) : 0;
        chords.column[l + i] = chords.parts[l + i] ? int(column.v[i]) : 0;
        chords.texels[l + i] = chords.parts[l + i] ? std::max(int(stop.v[i] - column.v[i]), 0) : 0;
        texels += chords.texels[l + i];
      }
    }
    return texels;
  }

  // Appends the chunks of a lane's row, and adds their weights to sums.
  template <int C>
  AVSA_HD void add_row(const Plane& plane, const Chords& chords, int l, int row, T (&sums)[kWide]) {
    const int H = int(plane.H), W = int(plane.W);
    for (int column = chords.column[l], rest = chords.texels[l]; rest > 0;) {
      const Texel texel = erp_texel(row, column, H, W);
      const int texels = std::min(rest, W - texel.column);
      const int from = texel.row * int(plane.row_step) + C * texel.column;
      for (int group = 0; group < texels; group += kGroupTexels<C>) {
        add_group<C>(chords, l, from + C * group, T(column + group) - u_[l], texels - group, sums);
      }
      column += texels;
      rest -= texels;
    }
  }

  // Those of texels from column x on, from the footprint's centre.
  template <int C>
  AVSA_HD void add_group(const Chords& chords, int l, int from, T x, int texels, T (&sums)[kWide]) {
    const int valid = std::min(texels, kGroupTexels<C>);
    T w[kWide] = {};
    for (unsigned parts = unsigned(chords.parts[l]); parts != 0; parts &= parts - 1) {
      const int part = __builtin_ctz(parts);
      const Chord<T> chord{chords.left[part][l], chords.right[part][l], chords.sharp[part][l], chords.mass[part][l]};
      AVSA_LANES
      for (int i = 0; i < kWide; ++i) w[i] += chord.weight(x + T(i));
    }
    AVSA_LANES
    for (int i = 0; i < kWide; ++i) {
      w[i] = i < valid ? w[i] : T(0);
      sums[i] += w[i];
    }
    Numbers all;
    std::memcpy(&all, w, sizeof all);
#pragma GCC unroll 3
    for (int chunk = 0; chunk < kGroupTexels<C> / kChunkTexels<C>; ++chunk) {
      if (chunk * kChunkTexels<C> >= valid) break;
      begin[count_] = from + chunk * C * kChunkTexels<C>;
      past_end[l] = past_end[l] || begin[count_] > last_;
      // Each texel's weight for its channels; the element that is left over, if any, gets the last one: 0.
      Indices of;
      for (int i = 0; i < kWide; ++i) of[i] = i < C * kChunkTexels<C> ? chunk * kChunkTexels<C> + i / C : kWide - 1;
      const Numbers spread = __builtin_shuffle(all, of);
      std::memcpy(weights.data() + std::size_t(count_++) * kWide, &spread, sizeof spread);
    }
  }
};

}  // namespace avsa
