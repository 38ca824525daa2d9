// Products by mma.sync (sm_80 on). A warp has 16 or 32 own rows and meets tiles of other rows, their cosines in its
// registers: as D holds them, A takes them, so that weights go back into a product without leaving them. Copies of a
// tile run while the one before is computed; between two barriers a warp takes the exponentials of one tile and the
// products of the next, one of which runs beside the other of another warp.
#include "info_nce/cuda/mma_tiles.h"

namespace avsa::info_nce {
namespace {

// Sums of columns of a tile by each warp, then by the block of threads, which adds to what its earlier own rows gave.
template <class S>
struct Columns {
  float sums[2][kWarps][S::kOther];

  __device__ void write(const Cosines<S>& x, int stage) {
    float column[2 * S::kColumns];
    AVSA_UNROLL
    for (int i = 0; i < 2 * S::kColumns; ++i) {
      column[i] = 0;
      for (int r = 0; r < S::kRows; ++r) column[i] += x[r][i / 2][i % 2] + x[r][i / 2][i % 2 + 2];
    }
    sum_columns<S::kColumns>(column, sums[stage][threadIdx.x / kWarp]);
  }
  __device__ void flush(const PackedPass& pass, std::int64_t tile, int stage, bool first) const {
    if (threadIdx.x >= S::kOther) return;
    float* to = pass.columns + blockIdx.x * round_up(pass.other.count, kPackedRows) + tile + threadIdx.x;
    float sum = first ? 0 : *to;
    for (int warp = 0; warp < kWarps; ++warp) sum += sums[stage][warp][threadIdx.x];
    *to = sum;
  }
};

// With an exponential for both sides, the pass of the queries sums columns too where keys choose, and that of the keys
// has nothing left to do.
template <class A, class S>
__global__ void __launch_bounds__(kThreads, 1) scan_kernel(PackedPass pass, bool keys, double* sums) {
  __shared__ Others<S::kOther> others[2];
  __shared__ Columns<S> columns;
  const bool shared = shares_exponential(*pass.scale), sums_columns = shared && pass.other_chooses;
  const std::int64_t tiles = ceil_div(pass.other.count, S::kOther);
  if ((keys && shared) || tiles == 0) return;
  const Shared<S> memory(pass.panels);
  const float slope = float(*pass.scale * Exponential<A>::kUnit);
  for (std::int64_t block = std::int64_t(blockIdx.x) * S::kOwn; block < pass.own.count;
       block += std::int64_t(gridDim.x) * S::kOwn) {
    const bool first = block == std::int64_t(blockIdx.x) * S::kOwn;
    const std::int64_t lane_row = block + threadIdx.x / kWarp * S::kRows * 16 + threadIdx.x % kWarp / 4;
    RowSums rows[S::kRows];
    AVSA_UNROLL
    for (RowSums& row : rows) row.top[0] = row.top[1] = shared ? slope : kLowest<float>;
    const auto fetch = [&](std::int64_t tile) {
      if (tile < tiles) copy_rows<S::kOther>(pass.other_words, tile * S::kOther, pass.panels, memory.tile(tile));
      commit_copies();
    };
    const auto label = [&](std::int64_t tile) {
      if (tile < tiles && threadIdx.x < S::kOther) others[tile % 2].set(pass, tile * S::kOther, int(threadIdx.x));
    };
    __syncthreads();
    copy_rows<S::kOwn>(pass.own_words, block, pass.panels, memory.own);
    fetch(0);
    label(0);
    wait_for_copies<0>();
    __syncthreads();
    fetch(1);
    Cosines<S> even, odd;
    multiply<A, S>(shared_place(memory.own), shared_place(memory.tile(0)), pass.panels, even);
    const auto step = [&](std::int64_t tile, Cosines<S>& now, Cosines<S>& next) {
      wait_for_copies<0>();
      __syncthreads();  // the next tile is there, and nobody reads this one any more
      fetch(tile + 2);
      label(tile + 1);
      if (sums_columns && tile > 0) columns.flush(pass, (tile - 1) * S::kOther, int((tile - 1) % 2), first);
      if (tile + 1 < tiles)
        multiply<A, S>(shared_place(memory.own), shared_place(memory.tile(tile + 1)), pass.panels, next);
      const bool whole = all_compete(pass, block, S::kOwn, tile * S::kOther, S::kOther);
      AVSA_UNROLL
      for (int r = 0; r < S::kRows; ++r) {
        if (!whole) mask(pass, OwnRows(pass, lane_row + 16 * r), tile * S::kOther, others[tile % 2], now[r]);
        rows[r].template add<A>(now[r], slope, shared);
      }
      if (sums_columns) columns.write(now, int(tile % 2));
    };
    for (std::int64_t tile = 0; tile < tiles; tile += 2) {
      step(tile, even, odd);
      if (tile + 1 < tiles) step(tile + 1, odd, even);
    }
    __syncthreads();
    if (sums_columns) columns.flush(pass, (tiles - 1) * S::kOther, int((tiles - 1) % 2), first);
    AVSA_UNROLL
    for (int r = 0; r < S::kRows; ++r) rows[r].template finish<A>(pass, lane_row + 16 * r, sums);
  }
}

// blockIdx.y: which kGradient dimensions.
template <class A, class S>
__global__ void __launch_bounds__(kThreads, 1) gather_kernel(PackedPass pass, float* grad) {
  __shared__ Others<S::kOther> others[2];
  const Shared<S> memory(pass.panels);
  const bool shared = shares_exponential(*pass.scale);
  const float slope = float(*pass.scale * Exponential<A>::kUnit);
  const std::int64_t block = std::int64_t(blockIdx.x) * S::kOwn, tiles = ceil_div(pass.other.count, S::kOther);
  if (tiles == 0) return;
  const std::int64_t lane_row = block + threadIdx.x / kWarp * S::kRows * 16 + threadIdx.x % kWarp / 4;
  const int begin = int(blockIdx.y) * kGradient * A::kWord / kPanel;
  copy_rows<S::kOwn>(pass.own_words, block, pass.panels, memory.own);
  Gradient<S> sum = {};
  for (std::int64_t tile = -1; tile < tiles; ++tile) {
    wait_for_copies<0>();
    __syncthreads();  // this tile is there, and nobody reads the one before any more
    if (tile + 1 < tiles) {
      copy_rows<S::kOther>(pass.other_words, (tile + 1) * S::kOther, pass.panels, memory.tile(tile + 1));
      if (threadIdx.x < S::kOther) others[(tile + 1) % 2].set(pass, (tile + 1) * S::kOther, int(threadIdx.x));
    }
    commit_copies();
    if (tile < 0) continue;
    const SharedPlace place = shared_place(memory.tile(tile)), back = place + begin * S::kOther * kPanel;
    Cosines<S> x;
    multiply<A, S>(shared_place(memory.own), place, pass.panels, x);
    const bool whole = all_compete(pass, block, S::kOwn, tile * S::kOther, S::kOther);
    AVSA_UNROLL
    for (int r = 0; r < S::kRows; ++r) {
      const std::int64_t row = lane_row + 16 * r;
      if (!whole) mask(pass, OwnRows(pass, row), tile * S::kOther, others[tile % 2], x[r]);
      const RowWeight own[2] = {pass.own_weights[row], pass.own_weights[row + 8]};
      weigh<A>(own, others[tile % 2].weight, slope, shared, x[r]);
    }
    if constexpr (A::kWord == 2)
      multiply_back_halves<S>(x, back, pass.panels - begin, sum);
    else
      multiply_back_words<A, S>(x, back, pass.panels - begin, sum);
  }
  AVSA_UNROLL
  for (int r = 0; r < S::kRows; ++r) add_rows(sum[r], lane_row + 16 * r, int(blockIdx.y) * kGradient, pass, grad);
}

template <class A, class S>
int scan(const InfoNceScan& task, void* stream) {
  if (int error = pack<A>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    if (keys && !task.block.symmetric) break;
    const PackedPass pass(task.block, keys, A::kWord);
    const unsigned groups = unsigned(std::min<std::int64_t>(ceil_div(pass.own.count, S::kOwn), kGroups));
    double* sums = keys ? task.key_sums : task.query_sums;
    const std::size_t shared = S::bytes(pass.panels);
    if (int error = launch(scan_kernel<A, S>, dim3(groups), dim3(kThreads), shared, stream, pass, keys, sums))
      return error;
    if (keys || !task.block.symmetric) continue;
    if (int error = add_columns<A>(pass, int(groups), task.key_sums, stream)) return error;
  }
  return 0;
}

template <class A, class S>
int gather(const InfoNceGather& task, void* stream) {
  if (int error = pack<A>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    const PackedPass pass(task.block, keys, A::kWord);
    const dim3 grid(unsigned(ceil_div(pass.own.count, S::kOwn)), unsigned(ceil_div(pass.D, kGradient)));
    float* grad = static_cast<float*>(keys ? task.key_grad : task.query_grad);
    if (int error = launch(gather_kernel<A, S>, grid, dim3(kThreads), S::bytes(pass.panels), stream, pass, grad))
      return error;
  }
  return 0;
}

// Calls what(A(), S()) for a block's arithmetic and shape.
template <bool gathers, class F>
int with_shape(const InfoNceBlock& block, const F& what) {
  const auto of = [&](auto arithmetic) {
    using A = decltype(arithmetic);
    return panels_of(block.D, A::kWord) <= kWidePanels ? what(arithmetic, Wide<A, gathers>())
                                                       : what(arithmetic, Narrow());
  };
  return block.precision == Precision::bf16   ? of(Bf16())
         : block.precision == Precision::tf32 ? of(Tf32())
                                              : of(Tf32x3());
}

// Whether the device at hand gives a block of threads so much shared memory.
bool has_shared(std::size_t bytes) {
#ifndef AVSA_EMULATE
  constexpr std::size_t kDeclared = 4 << 10;  // what kernels declare beside it, at most
  int device, most;
  if (cudaGetDevice(&device) || cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
    return true;  // the launch says what is wrong
  return bytes + kDeclared <= std::size_t(most);
#else
  return bytes > 0;
#endif
}

}  // namespace

bool fits_matrix_units(const InfoNceBlock& block) {
  if (block.precision == Precision::fp32 || block.dtype != Dtype::float32 || block.D == 0) return false;
  const int panels = panels_of(block.D, block.precision == Precision::bf16 ? Bf16::kWord : Tf32::kWord);
  return panels <= kMostPanels &&
         has_shared(panels <= kWidePanels ? Wide<Bf16, false>::bytes(panels) : Narrow::bytes(panels));
}

std::int64_t matrix_units_workspace(const InfoNceBlock& block) { return Workspace(block).bytes(); }

int info_nce_scan_mma(const InfoNceScan& task, void* stream) {
  if (uses_wgmma(task.block)) return info_nce_scan_wgmma(task, stream);
  return with_shape<false>(task.block, [&](auto a, auto s) { return scan<decltype(a), decltype(s)>(task, stream); });
}

int info_nce_gather_mma(const InfoNceGather& task, void* stream) {
  if (uses_wgmma(task.block)) return info_nce_gather_wgmma(task, stream);
  return with_shape<true>(task.block, [&](auto a, auto s) { return gather<decltype(a), decltype(s)>(task, stream); });
}

}  // namespace avsa::info_nce
