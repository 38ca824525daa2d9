// Scan and gradient by mma.sync (sm_80 on), called from info_nce.cu. A warp has 16 or 32 own rows and goes through
// tiles of other rows, with their cosines in registers: D of the product that computes cosines is A of the one that
// sums the gradient, so weights never leave registers. The copy of a tile overlaps with the computation of the one
// before. In the scan, a warp computes the exponentials of one tile and the products of the next between the same two
// barriers, so that the one of some warps overlaps with the other of others.
#include "info_nce/cuda/mma_tiles.h"

namespace avsa::info_nce {
namespace {

// Sums of a tile's columns over the calling warp's own rows, for the other rows' sums.
template <class S>
__device__ void write_columns(const Cosines<S>& x, float (&sums)[kMmaWarps][S::kOtherRows]) {
  float column[2 * S::kColumns];
  AVSA_UNROLL
  for (int i = 0; i < 2 * S::kColumns; ++i) {
    column[i] = 0;
    for (int r = 0; r < S::kFragments; ++r) column[i] += x[r][i / 2][i % 2] + x[r][i / 2][i % 2 + 2];
  }
  sum_columns<S::kColumns>(column, sums[threadIdx.x / kWarp]);
}

// Sums a tile's columns over warps; adds to pass.columns, or overwrites it for the first own rows. One thread per
// column.
template <int kOtherRows>
__device__ void flush_columns(const PackedPass& pass, std::int64_t tile, const float (&sums)[kMmaWarps][kOtherRows],
                              bool first) {
  if (threadIdx.x >= kOtherRows) return;
  float* to = pass.columns + blockIdx.x * round_up(pass.other.count, kPackedRows) + tile + threadIdx.x;
  float sum = first ? 0 : *to;
  for (int warp = 0; warp < kMmaWarps; ++warp) sum += sums[warp][threadIdx.x];
  *to = sum;
}

// Adds to sums [own rows, 2]. Thread block b takes kOwnRows own rows, then those gridDim.x * kOwnRows further, and so
// on. With a common maximum the pass over queries also sums columns, for the keys' losses.
template <class A, class S, bool common>
__device__ void scan(const PackedPass& pass, double* sums) {
  const bool sums_columns = common && pass.other_has_losses;
  const std::int64_t tiles = ceil_div(pass.other.count, S::kOtherRows);
  if (tiles == 0) return;
  const SharedTiles<S, false> memory(pass.panels);
  auto& others = memory.head.others;
  auto& columns = memory.head.columns;
  const float unit_scale = float(*pass.scale * Exponential<A>::kUnit);
  for (std::int64_t own = std::int64_t(blockIdx.x) * S::kOwnRows; own < pass.own.count;
       own += std::int64_t(gridDim.x) * S::kOwnRows) {
    const bool first = own == std::int64_t(blockIdx.x) * S::kOwnRows;
    const std::int64_t lane_row = own + threadIdx.x / kWarp * S::kFragments * 16 + threadIdx.x % kWarp / 4;
    RowSums rows[S::kFragments];
    AVSA_UNROLL
    for (RowSums& row : rows) row.maximum[0] = row.maximum[1] = common ? unit_scale : kLowest<float>;
    const auto start_copies = [&](std::int64_t tile) {
      if (tile < tiles)
        copy_rows<S::kOtherRows>(pass.other_words, tile * S::kOtherRows, pass.panels, memory.tile(tile));
      commit_copies();
    };
    const auto load_others = [&](std::int64_t tile) {
      if (tile < tiles && threadIdx.x < S::kOtherRows)
        others[tile % 2].load(pass, tile * S::kOtherRows, int(threadIdx.x));
    };
    __syncthreads();
    copy_rows<S::kOwnRows>(pass.own_words, own, pass.panels, memory.own);
    start_copies(0);
    load_others(0);
    wait_for_copies<0>();
    __syncthreads();
    start_copies(1);
    Cosines<S> even, odd;
    compute_cosines<A, S>(shared_address(memory.own), shared_address(memory.tile(0)), pass.panels, even);
    const auto step = [&](std::int64_t tile, Cosines<S>& now, Cosines<S>& next) {
      wait_for_copies<0>();
      __syncthreads();  // the next tile has arrived, and no warp reads this one any more
      start_copies(tile + 2);
      load_others(tile + 1);
      if (sums_columns && tile > 0) flush_columns(pass, (tile - 1) * S::kOtherRows, columns[(tile - 1) % 2], first);
      if (tile + 1 < tiles)
        compute_cosines<A, S>(shared_address(memory.own), shared_address(memory.tile(tile + 1)), pass.panels, next);
      const bool all = all_negatives(pass, own, S::kOwnRows, tile * S::kOtherRows, S::kOtherRows);
      AVSA_UNROLL
      for (int r = 0; r < S::kFragments; ++r) {
        if (!all) mask(pass, OwnRows(pass, lane_row + 16 * r), tile * S::kOtherRows, others[tile % 2], now[r]);
        rows[r].template add<A, common>(now[r], unit_scale);
      }
      if (sums_columns) write_columns<S>(now, columns[tile % 2]);
    };
    for (std::int64_t tile = 0; tile < tiles; tile += 2) {
      step(tile, even, odd);
      if (tile + 1 < tiles) step(tile + 1, odd, even);
    }
    __syncthreads();
    if (sums_columns) flush_columns(pass, (tiles - 1) * S::kOtherRows, columns[(tiles - 1) % 2], first);
    AVSA_UNROLL
    for (int r = 0; r < S::kFragments; ++r) rows[r].template finish<A>(pass, lane_row + 16 * r, sums);
  }
}

// With a common maximum, nothing is left for the pass over keys.
template <class A, class S>
__global__ void __launch_bounds__(kMmaThreads, 1) scan_kernel(PackedPass pass, bool keys, double* sums) {
  if (!has_common_maximum(*pass.scale))
    scan<A, S, false>(pass, sums);
  else if (!keys)
    scan<A, S, true>(pass, sums);
}

// Adds to grad [own rows, D]: thread block (x, y) to rows from x * kOwnRows on, dimensions from y * kGradientDims on.
template <class A, class S, bool common>
__device__ void gradient(const PackedPass& pass, float* grad) {
  const SharedTiles<S, true> memory(pass.panels);
  auto& others = memory.head.others;
  const float unit_scale = float(*pass.scale * Exponential<A>::kUnit);
  const std::int64_t own = std::int64_t(blockIdx.x) * S::kOwnRows, tiles = ceil_div(pass.other.count, S::kOtherRows);
  if (tiles == 0) return;
  const std::int64_t lane_row = own + threadIdx.x / kWarp * S::kFragments * 16 + threadIdx.x % kWarp / 4;
  const int first_panel = int(blockIdx.y) * kGradientDims * A::kWord / kPanel;
  copy_rows<S::kOwnRows>(pass.own_words, own, pass.panels, memory.own);
  Gradient<S> sum = {};
  for (std::int64_t tile = -1; tile < tiles; ++tile) {
    wait_for_copies<0>();
    __syncthreads();  // this tile has arrived, and no warp reads the one before any more
    if (tile + 1 < tiles) {
      copy_rows<S::kOtherRows>(pass.other_words, (tile + 1) * S::kOtherRows, pass.panels, memory.tile(tile + 1));
      if (threadIdx.x < S::kOtherRows) others[(tile + 1) % 2].load(pass, (tile + 1) * S::kOtherRows, int(threadIdx.x));
    }
    commit_copies();
    if (tile < 0) continue;
    const SharedAddress address = shared_address(memory.tile(tile)),
                        gradient_panels = address + first_panel * S::kOtherRows * kPanel;
    Cosines<S> x;
    compute_cosines<A, S>(shared_address(memory.own), address, pass.panels, x);
    const bool all = all_negatives(pass, own, S::kOwnRows, tile * S::kOtherRows, S::kOtherRows);
    AVSA_UNROLL
    for (int r = 0; r < S::kFragments; ++r) {
      const std::int64_t row = lane_row + 16 * r;
      if (!all) mask(pass, OwnRows(pass, row), tile * S::kOtherRows, others[tile % 2], x[r]);
      const RowWeight weights[2] = {pass.own_weights[row], pass.own_weights[row + 8]};
      cosines_to_weights<A, common>(weights, others[tile % 2].weight, unit_scale, x[r]);
    }
    if constexpr (A::kWord == 2)
      accumulate_gradient_bf16<S>(x, gradient_panels, pass.panels - first_panel, sum);
    else
      accumulate_gradient_tf32<A, S>(x, gradient_panels, pass.panels - first_panel, sum);
  }
  AVSA_UNROLL
  for (int r = 0; r < S::kFragments; ++r)
    add_rows(sum[r], lane_row + 16 * r, int(blockIdx.y) * kGradientDims, pass, grad);
}

template <class A, class S>
__global__ void __launch_bounds__(kMmaThreads, 1) gradient_kernel(PackedPass pass, float* grad) {
  if (has_common_maximum(*pass.scale))
    gradient<A, S, true>(pass, grad);
  else
    gradient<A, S, false>(pass, grad);
}

// Calls function(A(), S(), launch shape) with the arithmetic of a block, and the widest shape that fits the device.
template <bool for_gradient, class F>
int with_shape(const InfoNceBlock& block, const F& function) {
  const std::size_t limit = max_shared_bytes();
  const auto with_arithmetic = [&](auto arithmetic) {
    using A = decltype(arithmetic);
    using S = Wide<A, for_gradient>;
    const int panels = packed_panels(block, A::kWord);
    const auto bytes = [&]<class T>(T) { return SharedTiles<T, for_gradient>::bytes(panels); };
    const auto call = [&]<class T>(T shape) {
      return function(arithmetic, shape, LaunchShape{T::kOwnRows, kMmaThreads, bytes(shape)});
    };
    if (panels <= kMaxWidePanels && bytes(S()) <= limit) return call(S());
    return bytes(Narrow()) <= limit ? call(Narrow()) : call(Narrowest());
  };
  return block.precision == Precision::bf16   ? with_arithmetic(Bf16())
         : block.precision == Precision::tf32 ? with_arithmetic(Tf32())
                                              : with_arithmetic(Tf32x3());
}

}  // namespace

bool fits_matrix_units(const InfoNceBlock& block) {
  if (block.precision == Precision::fp32 || block.dtype != Dtype::float32 || block.D == 0) return false;
  return panels_of(block.D, block.precision == Precision::bf16 ? Bf16::kWord : Tf32::kWord) <= kMaxPanels;
}

int info_nce_scan_mma(const InfoNceScan& task, void* stream) {
  if (uses_wgmma(task.block)) return info_nce_scan_wgmma(task, stream);
  return with_shape<false>(task.block, [&]<class A, class S>(A, S, const LaunchShape& shape) {
    return launch_scan<A>(scan_kernel<A, S>, shape, task, stream);
  });
}

int info_nce_gradient_mma(const InfoNceGradient& task, void* stream) {
  if (uses_wgmma(task.block)) return info_nce_gradient_wgmma(task, stream);
  return with_shape<true>(task.block, [&]<class A, class S>(A, S, const LaunchShape& shape) {
    return launch_gradient<A>(gradient_kernel<A, S>, shape, task, stream);
  });
}

}  // namespace avsa::info_nce
