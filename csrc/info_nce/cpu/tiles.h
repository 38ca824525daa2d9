// Scan and gradient of a block on the host, one tile of query rows by key rows at a time, of which a strip of rows has
// its cosines computed, then turned into exponentials and summed. Included by the *.simd.cpp and *.avx512_bf16.cpp
// files; A is an arithmetic of arithmetic.h.
#pragma once
#ifdef _OPENMP
#include <omp.h>
#endif

#include "info_nce/cpu/arithmetic.h"

namespace avsa::info_nce::AVSA_ISA {

inline int max_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

inline int thread_number() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// The tiles of a block.
template <class A>
struct Tiles {
  const InfoNceBlock& block;
  std::int64_t rows;               // of a tile's side
  std::int64_t queries, keys;      // tiles per side
  std::int64_t rounds, per_round;  // in a round no two tiles have rows of either side in common

  explicit Tiles(const InfoNceBlock& block)
      : block(block),
        rows(std::clamp<std::int64_t>(32768 / std::max<std::int64_t>(block.D, 1) / 32 * 32, 64, kMaxTileRows)),
        queries(ceil_div(block.query.count, rows)),
        keys(ceil_div(block.key.count, rows)),
        rounds(std::max(queries, keys)),
        per_round(std::min(queries, keys)) {}

  std::int64_t workspace_bytes() const { return (rounds > 1 ? max_threads() : 1) * Scratch<A>::bytes(rows, block.D); }

  // Calls visit(tile, scratch) for every tile. Each row gets its tiles in the order of the rounds, so that its sums are
  // the same for any number of threads.
  template <class F>
  void for_each(const F& visit) const {
#pragma omp parallel if (rounds > 1)
    {
      auto* memory = static_cast<std::byte*>(block.workspace) + thread_number() * Scratch<A>::bytes(rows, block.D);
      const Scratch<A> scratch(memory, rows, block.D);
      for (std::int64_t round = 0; round < rounds; ++round) {
#pragma omp for schedule(dynamic)
        for (std::int64_t n = 0; n < per_round; ++n) {
          const std::int64_t other = (n + round) % rounds;
          const std::int64_t query = (queries <= keys ? n : other) * rows, key = (queries <= keys ? other : n) * rows;
          visit(
              {query, key, int(std::min(rows, block.query.count - query)), int(std::min(rows, block.key.count - key))},
              scratch);
        }
      }
    }
  }
};

// Sets cosines of a strip, of query rows from tile.query + start on, to -infinity if the rows are not negatives.
template <class A>
void mask(const InfoNceBlock& block, const Tile& tile, int start, int rows, typename A::T* cosines) {
  using T = typename A::T;
  const std::int64_t query = block.query.first + tile.query + start, key = block.key.first + tile.key;
  const int width = int(round_up(tile.keys, A::kWidth));
  for (int i = 0; i < rows; ++i) std::fill_n(cosines + i * kStride + tile.keys, width - tile.keys, -kInfinity<T>);
  if (block.K == 1) {  // a row's negatives are all other rows
    for (std::int64_t row = std::max(query, key); row < std::min(query + rows, key + tile.keys); ++row)
      cosines[(row - query) * kStride + row - key] = -kInfinity<T>;
    return;
  }
  int clip[kMaxTileRows], crop[kMaxTileRows];
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

// Cosines of a strip of query rows with the tile's keys, masked; -infinity for keys beyond the last.
template <class A>
void strip_cosines(const InfoNceBlock& block, const Tile& tile, int start, int rows, const Scratch<A>& scratch) {
  using V = typename A::Vector;
  using Element = typename A::Element;
  const Packed<A> query(tile.queries, block.D), key(tile.keys, block.D);
  for (int j = 0; j < key.rows; j += A::kWidth) {
    for (int i = 0; i < rows; i += A::kRows) {
      Sums<A> sum = {};
      for (std::int64_t d = 0; d < key.depth; d += A::kWidth)
        multiply<A, A::kWidth / A::kGroup, 1>(
            reinterpret_cast<const Element*>(scratch.query_left + query.left(start + i, d)),
            reinterpret_cast<const Element*>(scratch.key_right + key.right(j, d)),
            std::min<std::int64_t>(A::kWidth, key.depth - d) / A::kGroup, sum);
      for (int r = 0; r < A::kRows; ++r)
        for (int v = 0; v < A::kVectors; ++v)
          *reinterpret_cast<V*>(scratch.cosines + (i + r) * kStride + j + v * A::kLanes) = sum[r][v];
    }
  }
  mask<A>(block, tile, start, rows, scratch.cosines);
}

template <class A>
double sum_of_lanes(const typename A::Vector& v) {
  double sum = 0;
  for (int lane = 0; lane < A::kLanes; ++lane) sum += v[lane];
  return sum;
}

// Scan of a tile with one exponential for both directions.
template <class A>
void scan_common(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const T scale = T(*task.block.scale);
  T key_sums[kMaxTileRows] = {};
  for (int start = 0; start < tile.queries; start += kStripRows) {
    const int rows = std::min(kStripRows, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    for (int i = 0; i < rows; ++i) {
      V sum = {};
      for (int j = 0; j < tile.keys; j += A::kLanes) {
        const V e = exponential<A>(*reinterpret_cast<V*>(scratch.cosines + i * kStride + j) * scale - scale);
        sum += e;
        *reinterpret_cast<V*>(key_sums + j) += e;
      }
      task.query_sums[2 * (tile.query + start + i) + 1] += sum_of_lanes<A>(sum);
    }
  }
  if (!task.block.symmetric) return;
  for (int j = 0; j < tile.keys; ++j) task.key_sums[2 * (tile.key + j) + 1] += key_sums[j];
}

// Adds sum * exp(maximum) to a row's (maximum, sum).
inline void merge(double* row, double maximum, double sum) {
  const double larger = std::max(row[0], maximum);
  row[1] = row[1] * std::exp(row[0] - larger) + sum * std::exp(maximum - larger);
  row[0] = larger;
}

// Scan of a tile with running maxima, an exponential per direction.
template <class A>
void scan_running(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const T scale = T(*task.block.scale);
  T key_maxima[kMaxTileRows], key_sums[kMaxTileRows] = {};
  std::fill_n(key_maxima, kMaxTileRows, kLowest<T>);
  for (int start = 0; start < tile.queries; start += kStripRows) {
    const int rows = std::min(kStripRows, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    for (int i = 0; i < rows; ++i) {
      T* row = scratch.cosines + i * kStride;
      V maxima = V{} + kLowest<T>, sum = {};
      for (int j = 0; j < tile.keys; j += A::kLanes) {
        V& x = *reinterpret_cast<V*>(row + j);
        x *= scale;
        maxima = x > maxima ? x : maxima;
      }
      T maximum = kLowest<T>;
      for (int lane = 0; lane < A::kLanes; ++lane) maximum = std::max(maximum, T(maxima[lane]));
      for (int j = 0; j < tile.keys; j += A::kLanes) sum += exponential<A>(*reinterpret_cast<V*>(row + j) - maximum);
      merge(task.query_sums + 2 * (tile.query + start + i), maximum, sum_of_lanes<A>(sum));
    }
    if (!task.block.symmetric) continue;
    for (int j = 0; j < tile.keys; j += A::kLanes) {
      V &maxima = *reinterpret_cast<V*>(key_maxima + j), &sum = *reinterpret_cast<V*>(key_sums + j);
      V larger = maxima;
      for (int i = 0; i < rows; ++i) {
        const V x = *reinterpret_cast<V*>(scratch.cosines + i * kStride + j);
        larger = x > larger ? x : larger;
      }
      sum *= exponential<A>(maxima - larger);
      for (int i = 0; i < rows; ++i)
        sum += exponential<A>(*reinterpret_cast<V*>(scratch.cosines + i * kStride + j) - larger);
      maxima = larger;
    }
  }
  if (!task.block.symmetric) return;
  for (int j = 0; j < tile.keys; ++j) merge(task.key_sums + 2 * (tile.key + j), key_maxima[j], key_sums[j]);
}

template <class A>
void scan_tiles(const InfoNceScan& task) {
  Tiles<A>(task.block).for_each([&](const Tile& tile, const Scratch<A>& scratch) {
    pack_tile(task.block, tile, false, scratch);
    has_common_maximum(*task.block.scale) ? scan_common(task, tile, scratch) : scan_running(task, tile, scratch);
  });
}

// The weight of a negative in a row's loss is factor * exp(s c - offset).
template <class T>
struct Weight {
  T offset, factor;

  Weight(const RowRange& rows, std::int64_t row, double scale) {
    const double exponent = weight_exponent(rows, row, scale);
    offset = T(has_common_maximum(scale) ? scale : exponent);
    factor = T(std::exp(offset - exponent));  // with what the offset lost to rounding: weights sum to 1 - p_ii
  }
};

// Turns cosines of a strip into weights of both directions; fills up to whole kRows rows with zeros.
template <class A>
void strip_weights(const InfoNceGradient& task, const Tile& tile, int start, int rows, const typename A::T* key_offsets,
                   const typename A::T* key_factors, const Scratch<A>& scratch) {
  using T = typename A::T;
  using V = typename A::Vector;
  const double scale = *task.block.scale;
  const bool common = has_common_maximum(scale), symmetric = task.block.symmetric;
  const int width = int(round_up(tile.keys, A::kWidth)), filled = int(round_up(rows, A::kRows));
  for (int i = 0; i < rows; ++i) {
    T* row = scratch.cosines + i * kStride;
    const Weight<T> own(task.block.query, tile.query + start + i, scale);
    for (int j = 0; j < width; j += A::kLanes) {
      V& x = *reinterpret_cast<V*>(row + j);
      const V scaled = x * T(scale), factor = *reinterpret_cast<const V*>(key_factors + j);
      x = exponential<A>(scaled - own.offset) * (common ? factor + own.factor : V{} + own.factor);
      if (!common && symmetric) x += exponential<A>(scaled - *reinterpret_cast<const V*>(key_offsets + j)) * factor;
    }
  }
  for (int i = rows; i < filled; ++i) std::fill_n(scratch.cosines + i * kStride, width, T(0));
  if constexpr (A::kGroup == 2) {
    for (int i = 0; i < filled; i += 2)
      A::round_rows(scratch.cosines + i * kStride, scratch.cosines + (i + 1) * kStride, width,
                    scratch.weights + i * kStride, scratch.weights + (i + 1) * kStride,
                    scratch.weights_transposed + i * kStride);
  } else if constexpr (A::kRoundsWeights) {
    for (int i = 0; i < filled; ++i)
      for (int j = 0; j < width; ++j) scratch.cosines[i * kStride + j] = A::pack(scratch.cosines[i * kStride + j]);
  }
}

template <class A>
void gradient_tile(const InfoNceGradient& task, const Tile& tile, const Scratch<A>& scratch) {
  using T = typename A::T;
  using Element = typename A::Element;
  const std::int64_t D = task.block.D;
  const Packed<A> query(tile.queries, D), key(tile.keys, D);
  T* query_grad = static_cast<T*>(task.query_grad) + tile.query * D;
  T* key_grad = static_cast<T*>(task.key_grad) + tile.key * D;
  T key_offsets[kMaxTileRows] = {}, key_factors[kMaxTileRows] = {};
  if (task.block.symmetric) {
    for (int j = 0; j < tile.keys; ++j) {
      const Weight<T> own(task.block.key, tile.key + j, *task.block.scale);
      key_offsets[j] = own.offset;
      key_factors[j] = own.factor;
    }
  }
  pack_tile(task.block, tile, true, scratch);
  for (int start = 0; start < tile.queries; start += kStripRows) {
    const int rows = std::min(kStripRows, tile.queries - start);
    strip_cosines(task.block, tile, start, rows, scratch);
    strip_weights(task, tile, start, rows, key_offsets, key_factors, scratch);
    const int depth = int(round_up(rows, A::kRows)) / A::kGroup;
    for (std::int64_t d = 0; d < D; d += A::kWidth) {
      for (int i = 0; i < rows; i += A::kRows) {
        Sums<A> sum = {};
        multiply<A, kStride / A::kGroup, 1>(
            reinterpret_cast<const Element*>(scratch.weights + i * kStride),
            reinterpret_cast<const Element*>(scratch.key_gradient_right + key.gradient_right(0, d)),
            key.rows / A::kGroup, sum);
        add<A>(sum, D, rows - i, D - d, query_grad + (start + i) * D + d);
      }
    }
    for (std::int64_t d = 0; d < D; d += A::kWidth) {
      for (int j = 0; j < tile.keys; j += A::kRows) {
        Sums<A> sum = {};
        multiply<A, 1, kStride>(
            reinterpret_cast<const Element*>(scratch.weights_transposed) + j,
            reinterpret_cast<const Element*>(scratch.query_gradient_right + query.gradient_right(start, d)), depth,
            sum);
        add<A>(sum, D, tile.keys - j, D - d, key_grad + j * D + d);
      }
    }
  }
}

template <class A>
void gradient_tiles(const InfoNceGradient& task) {
  Tiles<A>(task.block).for_each([&](const Tile& tile, const Scratch<A>& scratch) {
    gradient_tile(task, tile, scratch);
  });
}

}  // namespace avsa::info_nce::AVSA_ISA
