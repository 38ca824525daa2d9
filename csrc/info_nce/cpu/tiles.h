// Tiles of query rows against key rows on the host: cosines, exponentials and sums, a strip of query rows at a time.
#pragma once
#include <cstddef>

#include "info_nce/cpu/exponential.h"
#include "info_nce/cpu/products.h"

namespace avsa::info_nce {

constexpr int kTile = 256;           // most rows of a tile's side
constexpr int kStrip = 64;           // query rows whose cosines are held
constexpr int kStride = kTile + 32;  // of a row of cosines: no power of two, which would fill few sets of the cache

// Places within a block.
struct Tile {
  std::int64_t query, key;  // first rows
  int queries, keys;
};

// Memory of a thread.
template <class A>
struct Scratch {
  using T = typename A::T;
  using Scalar = typename A::Scalar;
  T* cosines;                                                  // [kStrip, kStride]
  Scalar *weights, *turned;                                    // [kStrip, kStride], [kStrip / G, kStride, G]
  Scalar *query_along, *query_across, *key_across, *key_tall;  // packed rows

  Scratch(std::byte* memory, std::int64_t rows, std::int64_t D) {
    const std::int64_t packed = Packed<A>(rows, D).size();
    const auto take = [&](auto*& pointer, std::int64_t count) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(memory);
      memory += round_up(count * std::int64_t(sizeof *pointer), 64);
    };
    take(cosines, kStrip * kStride);
    for (Scalar** weight : {&weights, &turned}) take(*weight, kStrip * kStride);
    for (Scalar** rows_of : {&query_along, &query_across, &key_across, &key_tall}) take(*rows_of, packed);
    // One number an element: some layouts are the same.
    if constexpr (A::kGroup == 1) query_across = query_along;
    if constexpr (std::is_same_v<T, Scalar>) weights = turned = cosines;
  }
  static std::int64_t bytes(std::int64_t rows, std::int64_t D) {
    const std::int64_t scalars = 2 * kStrip * kStride + 4 * Packed<A>(rows, D).size();
    return kStrip * kStride * std::int64_t(sizeof(T)) + scalars * std::int64_t(sizeof(Scalar)) + 7 * 64;
  }
};

// -infinity where the strip's query rows from `start` on and the tile's keys do not compete.
template <class A>
AVSA_HD void mask(const InfoNceBlock& block, const Tile& tile, int start, int rows, typename A::T* cosines) {
  using T = typename A::T;
  const std::int64_t query = block.query.first + tile.query + start, key = block.key.first + tile.key;
  const int width = int(round_up(tile.keys, A::kWidth));
  for (int i = 0; i < rows; ++i) std::fill_n(cosines + i * kStride + tile.keys, width - tile.keys, -kInfinity<T>);
  if (block.K == 1) {  // a row competes with all but itself
    for (std::int64_t row = std::max(query, key); row < std::min(query + rows, key + tile.keys); ++row)
      cosines[(row - query) * kStride + row - key] = -kInfinity<T>;
    return;
  }
  int clip[kTile], crop[kTile];
  for (int j = 0; j < tile.keys; ++j) {
    const Label label(key + j, block.K);
    clip[j] = label.clip;
    crop[j] = label.crop;
  }
  for (int i = 0; i < rows; ++i) {
    const Label own(query + i, block.K);
    T* row = cosines + i * kStride;
    for (int j = 0; j < tile.keys; ++j)
      row[j] = (clip[j] == own.clip) != (crop[j] == own.crop) ? row[j] : -kInfinity<T>;
  }
}

// Cosines of a strip of query rows with the tile's keys; those that do not compete, and keys beyond the last, masked.
template <class A>
AVSA_HD void strip_cosines(const InfoNceBlock& block, const Tile& tile, int start, int rows,
                           const Scratch<A>& scratch) {
  using V = typename A::Vector;
  using Element = typename A::Element;
  const Packed<A> query(tile.queries, block.D), key(tile.keys, block.D);
  for (int j = 0; j < key.rows; j += A::kWidth) {
    for (int i = 0; i < rows; i += A::kRows) {
      V sum[A::kRows][A::kVectors] = {};
      for (std::int64_t d = 0; d < key.depth; d += A::kWidth)
        multiply<A, A::kWidth / A::kGroup, 1>(
            reinterpret_cast<const Element*>(scratch.query_along + query.along(start + i, d)),
            reinterpret_cast<const Element*>(scratch.key_tall + key.tall(j, d)),
            std::min<std::int64_t>(A::kWidth, key.depth - d) / A::kGroup, sum);
      for (int r = 0; r < A::kRows; ++r)
        for (int v = 0; v < A::kVectors; ++v)
          *reinterpret_cast<V*>(scratch.cosines + (i + r) * kStride + j + v * A::kLanes) = sum[r][v];
    }
  }
  mask<A>(block, tile, start, rows, scratch.cosines);
}

template <class A>
AVSA_HD double sum_of(const typename A::Vector& v) {
  double sum = 0;
  for (int lane = 0; lane < A::kLanes; ++lane) sum += v[lane];
  return sum;
}

// Adds to a row's (top, sum) numbers whose exponentials below `top` have the sum `sum`.
AVSA_HD void merge(double* row, double top, double sum) {
  const double highest = std::max(row[0], top);
  row[1] = row[1] * std::exp(row[0] - highest) + sum * std::exp(top - highest);
  row[0] = highest;
}

template <class A>
AVSA_HD void pack_tile(const InfoNceBlock& block, const Tile& tile, bool backward, const Scratch<A>& scratch) {
  using T = typename A::T;
  const T* query = static_cast<const T*>(block.query.data) + tile.query * block.D;
  const T* key = static_cast<const T*>(block.key.data) + tile.key * block.D;
  pack<A>(query, block.query.statistics + tile.query * kStatistics, tile.queries, block.D, scratch.query_along,
          backward && A::kGroup > 1 ? scratch.query_across : nullptr, nullptr);
  pack<A>(key, block.key.statistics + tile.key * kStatistics, tile.keys, block.D, nullptr,
          backward ? scratch.key_across : nullptr, scratch.key_tall);
}

// One exponential for both sides.
template <class A>
AVSA_HD void scan_shared(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const T scale = T(*task.block.scale);
  T columns[kTile] = {};
  for (int start = 0; start < tile.queries; start += kStrip) {
    const int rows = std::min(kStrip, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    for (int i = 0; i < rows; ++i) {
      V sum = {};
      for (int j = 0; j < tile.keys; j += A::kLanes) {
        const V e = exponential(*reinterpret_cast<V*>(scratch.cosines + i * kStride + j) * scale - scale, T());
        sum += e;
        *reinterpret_cast<V*>(columns + j) += e;
      }
      task.query_sums[2 * (tile.query + start + i) + 1] += sum_of<A>(sum);
    }
  }
  if (!task.block.symmetric) return;
  for (int j = 0; j < tile.keys; ++j) task.key_sums[2 * (tile.key + j) + 1] += columns[j];
}

// Exponentials below a running maximum, for each side its own.
template <class A>
AVSA_HD void scan_running(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const T scale = T(*task.block.scale);
  T tops[kTile], columns[kTile] = {};
  std::fill_n(tops, kTile, kLowest<T>);
  for (int start = 0; start < tile.queries; start += kStrip) {
    const int rows = std::min(kStrip, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    for (int i = 0; i < rows; ++i) {
      T* row = scratch.cosines + i * kStride;
      V highest = V{} + kLowest<T>, sum = {};
      for (int j = 0; j < tile.keys; j += A::kLanes) {
        V& x = *reinterpret_cast<V*>(row + j);
        x *= scale;
        highest = x > highest ? x : highest;
      }
      T top = kLowest<T>;
      for (int lane = 0; lane < A::kLanes; ++lane) top = std::max(top, T(highest[lane]));
      for (int j = 0; j < tile.keys; j += A::kLanes) sum += exponential(*reinterpret_cast<V*>(row + j) - top, T());
      merge(task.query_sums + 2 * (tile.query + start + i), top, sum_of<A>(sum));
    }
    if (!task.block.symmetric) continue;
    for (int j = 0; j < tile.keys; j += A::kLanes) {
      V &top = *reinterpret_cast<V*>(tops + j), &column = *reinterpret_cast<V*>(columns + j);
      V highest = top;
      for (int i = 0; i < rows; ++i) {
        const V x = *reinterpret_cast<V*>(scratch.cosines + i * kStride + j);
        highest = x > highest ? x : highest;
      }
      column *= exponential(top - highest, T());
      for (int i = 0; i < rows; ++i)
        column += exponential(*reinterpret_cast<V*>(scratch.cosines + i * kStride + j) - highest, T());
      top = highest;
    }
  }
  if (!task.block.symmetric) return;
  for (int j = 0; j < tile.keys; ++j) merge(task.key_sums + 2 * (tile.key + j), tops[j], columns[j]);
}

template <class A>
AVSA_HD void scan_tile(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {
  pack_tile(task.block, tile, false, scratch);
  if (shares_exponential(*task.block.scale))
    scan_shared(task, tile, scratch);
  else
    scan_running(task, tile, scratch);
}

// Cosines of a strip become weights; `rows` of them, then zeros up to whole registers of rows.
template <class A>
AVSA_HD void weigh(const InfoNceGather& task, const Tile& tile, int start, int rows, const typename A::T* below,
                   const typename A::T* factor, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const double scale = *task.block.scale;
  const bool shared = shares_exponential(scale), symmetric = task.block.symmetric;
  const int width = int(round_up(tile.keys, A::kWidth));
  for (int i = 0; i < rows; ++i) {
    T* row = scratch.cosines + i * kStride;
    const Weight<T> own(task.block.query, tile.query + start + i, scale);
    for (int j = 0; j < width; j += A::kLanes) {
      V& x = *reinterpret_cast<V*>(row + j);
      const V scaled = x * T(scale), other = *reinterpret_cast<const V*>(factor + j);
      x = exponential(scaled - own.below, T()) * (shared ? other + own.factor : V{} + own.factor);
      if (!shared && symmetric) x += exponential(scaled - *reinterpret_cast<const V*>(below + j), T()) * other;
    }
  }
  const int whole = int(round_up(rows, A::kRows));
  for (int i = rows; i < whole; ++i) std::fill_n(scratch.cosines + i * kStride, width, T(0));
  if constexpr (A::kGroup == 2) {
    for (int i = 0; i < whole; i += 2)
      A::narrow_rows(scratch.cosines + i * kStride, scratch.cosines + (i + 1) * kStride, width,
                     scratch.weights + i * kStride, scratch.weights + (i + 1) * kStride, scratch.turned + i * kStride);
  } else if constexpr (A::kRounds) {
    for (int i = 0; i < whole; ++i)
      for (int j = 0; j < width; ++j) scratch.cosines[i * kStride + j] = A::pack(scratch.cosines[i * kStride + j]);
  }
}

template <class A>
AVSA_HD void gather_tile(const InfoNceGather& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  using Element = typename A::Element;
  const std::int64_t D = task.block.D;
  const Packed<A> query(tile.queries, D), key(tile.keys, D);
  T* query_grad = static_cast<T*>(task.query_grad) + tile.query * D;
  T* key_grad = static_cast<T*>(task.key_grad) + tile.key * D;
  T below[kTile] = {}, factor[kTile] = {};  // of the keys' weights
  if (task.block.symmetric) {
    for (int j = 0; j < tile.keys; ++j) {
      const Weight<T> own(task.block.key, tile.key + j, *task.block.scale);
      below[j] = own.below;
      factor[j] = own.factor;
    }
  }
  pack_tile(task.block, tile, true, scratch);
  for (int start = 0; start < tile.queries; start += kStrip) {
    const int rows = std::min(kStrip, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    weigh(task, tile, start, rows, below, factor, scratch);
    const int depth = int(round_up(rows, A::kRows)) / A::kGroup;
    for (std::int64_t d = 0; d < D; d += A::kWidth) {
      for (int i = 0; i < rows; i += A::kRows) {
        V sum[A::kRows][A::kVectors] = {};
        multiply<A, kStride / A::kGroup, 1>(reinterpret_cast<const Element*>(scratch.weights + i * kStride),
                                            reinterpret_cast<const Element*>(scratch.key_across + key.across(0, d)),
                                            key.rows / A::kGroup, sum);
        add<A>(sum, D, rows - i, D - d, query_grad + (start + i) * D + d);
      }
    }
    for (std::int64_t d = 0; d < D; d += A::kWidth) {
      for (int j = 0; j < tile.keys; j += A::kRows) {
        V sum[A::kRows][A::kVectors] = {};
        multiply<A, 1, kStride>(reinterpret_cast<const Element*>(scratch.turned) + j,
                                reinterpret_cast<const Element*>(scratch.query_across + query.across(start, d)), depth,
                                sum);
        add<A>(sum, D, tile.keys - j, D - d, key_grad + j * D + d);
      }
    }
  }
}

}  // namespace avsa::info_nce
