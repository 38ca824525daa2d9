// Scan and gradient by wgmma (sm_90a), in bfloat16, called from info_nce_mma.cu. Of a thread block's three warpgroups,
// one thread of the first has the copy engine load own rows and tiles of other rows; the other two have 64 own rows
// each and go through the tiles: products of the next tile run while they compute the exponentials of this one.
#include <type_traits>

#include "info_nce/cuda/wgmma_tiles.h"

namespace avsa::info_nce {
namespace {

// As scan of info_nce_mma.cu. kPanels: of a row.
template <int kPanels, bool common>
__device__ void scan(const PackedPass& pass, double* sums) {
  const bool sums_columns = common && pass.other_has_losses;
  const auto tiles = unsigned(ceil_div(pass.other.count, kOtherRows));
  const std::int64_t step = std::int64_t(gridDim.x) * kOwnRows;
  const std::int64_t first = std::int64_t(blockIdx.x) * kOwnRows;
  if (tiles == 0) return;
  const WarpgroupShared<kPanels> memory(0);
  memory.init();
  if (threadIdx.x < kWarpgroup) {
    dealloc_registers<24>();
    if (threadIdx.x == 0) memory.produce(pass, first, step, false);
  } else {
    alloc_registers<240>();
    const float unit_scale = float(*pass.scale * Exponential<Bf16>::kUnit);
    const int warp = int(threadIdx.x / kWarp) - 4, column = int(threadIdx.x) - kWarpgroup;
    unsigned multiplied = 0;  // tiles so far, for all own rows
    int iteration = 0;
    for (std::int64_t own = first; own < pass.own.count; own += step, ++iteration) {
      const std::int64_t row = lane_row(own);
      RowSums rows;
      rows.maximum[0] = rows.maximum[1] = common ? unit_scale : kLowest<float>;
      memory.head->own_full.wait(iteration % 2);
      // Adds a tile's cosines to the sums.
      const auto add_tile = [&](unsigned tile, WarpgroupSums& now) {
        mask(pass, row, std::int64_t(tile) * kOtherRows, now);
        rows.template add<Bf16, common>(now, unit_scale);
        if (!sums_columns) return;
        float of_columns[32];
        AVSA_UNROLL
        for (int i = 0; i < 32; ++i) of_columns[i] = now[i / 2][i % 2] + now[i / 2][i % 2 + 2];
        auto& parts = memory.head->columns[tile % 2];
        sum_columns<16>(of_columns, parts[warp]);
        named_barrier(1, kConsumers * kWarpgroup);  // all warps have written; the next one frees what is read below
        if (column >= kOtherRows) return;
        float* to = pass.columns + blockIdx.x * round_up(pass.other.count, kPackedRows) +
                    std::int64_t(tile) * kOtherRows + column;
        float sum = iteration == 0 ? 0 : *to;
        for (const auto& part : parts) sum += part[column];
        *to = sum;
      };
      const auto multiply = [&](WarpgroupSums& x, const auto& meanwhile) {
        memory.template start_cosines<1>(multiplied, x, meanwhile);
        wait_for_wgmma<0>(x);
        memory.template release<1>(multiplied++);
      };
      // Products of one tile run while the cosines of the one before are added.
      WarpgroupSums even = {}, odd = {};
      multiply(even, [] {});
      unsigned tile = 0;
      for (; tile + 2 < tiles; tile += 2) {
        multiply(odd, [&] { add_tile(tile, even); });
        multiply(even, [&] { add_tile(tile + 1, odd); });
      }
      if (tile + 1 < tiles) {
        multiply(odd, [&] { add_tile(tile, even); });
        memory.release(memory.head->own_empty);
        add_tile(tile + 1, odd);
      } else {
        memory.release(memory.head->own_empty);
        add_tile(tile, even);
      }
      if (sums_columns) named_barrier(1, kConsumers * kWarpgroup);  // columns may be written again
      rows.template finish<Bf16>(pass, row, sums);
    }
  }
}

// As gradient of info_nce_mma.cu, but it branches in each tile: two versions of the loop would spill registers.
template <int kPanels>
__device__ void gradient(const PackedPass& pass, float* grad) {
  const auto tiles = unsigned(ceil_div(pass.other.count, kOtherRows));
  const std::int64_t own = std::int64_t(blockIdx.x) * kOwnRows;
  if (tiles == 0) return;
  using Memory = WarpgroupShared<kPanels>;
  const Memory memory(int(blockIdx.y));
  memory.init();
  if (threadIdx.x < kWarpgroup) {
    dealloc_registers<24>();
    if (threadIdx.x == 0) memory.produce(pass, own, pass.own.count, true);
  } else {
    alloc_registers<240>();
    const bool common = has_common_maximum(*pass.scale);
    const float unit_scale = float(*pass.scale * Exponential<Bf16>::kUnit);
    const std::int64_t row = lane_row(own);
    const RowWeight own_weights[2] = {pass.own_weights[row], pass.own_weights[row + 8]};
    WarpgroupSums x = {}, sum = {};
    RegistersA weights[kOtherRows / kDepth];
    const auto compute_weights = [&](unsigned tile) {
      mask(pass, row, std::int64_t(tile) * kOtherRows, x);
      if (common)
        cosines_to_weights<Bf16, true>(own_weights, memory.weights(tile), unit_scale, x);
      else
        cosines_to_weights<Bf16, false>(own_weights, memory.weights(tile), unit_scale, x);
    };
    const auto round_weights = [&] {
      AVSA_UNROLL
      for (int e = 0; e < kOtherRows / kDepth * 4; ++e) {
        const auto& of_column = x[e / 4 * 2 + e % 4 / 2];
        weights[e / 4][e % 4] = bfloat16_pair(of_column[e % 2 * 2], of_column[e % 2 * 2 + 1]);
      }
    };
    const auto start_gradient = [&](unsigned tile) {
      const std::uint64_t halves[2] = {operand_descriptor(memory.gradient_panel(tile, 0)),
                                       operand_descriptor(memory.gradient_panel(tile, 1))};
      fence_wgmma();
      AVSA_UNROLL
      for (int k = 0; k < kOtherRows / kDepth; ++k) {
        start_wgmma_half<0>(sum, weights[k], advanced(halves[0], k * kDepth * kPanel));
        start_wgmma_half<1>(sum, weights[k], advanced(halves[1], k * kDepth * kPanel));
      }
      commit_wgmma();
    };
    memory.head->own_full.wait(0);
    memory.template start_cosines<Memory::kGradientParts>(0, x, [] {});
    wait_for_wgmma<0>(x);
    compute_weights(0);
    for (unsigned tile = 0; tile + 1 < tiles; ++tile) {
      round_weights();
      if constexpr (Memory::kParts == 1) {
        memory.template start_cosines<Memory::kGradientParts>(tile + 1, x, [] {});
        start_gradient(tile);
        wait_for_wgmma<1>(x);
        compute_weights(tile + 1);
        wait_for_wgmma<0>(sum);
        memory.template release<Memory::kGradientParts>(tile);
      } else {  // stages hold too few parts for the next tile before this one's are released
        start_gradient(tile);
        wait_for_wgmma<0>(sum);
        memory.template release<Memory::kGradientParts>(tile);
        memory.template start_cosines<Memory::kGradientParts>(tile + 1, x, [] {});
        wait_for_wgmma<0>(x);
        compute_weights(tile + 1);
      }
    }
    round_weights();
    start_gradient(tiles - 1);
    wait_for_wgmma<0>(sum);
    add_rows(sum, row, int(blockIdx.y) * kGradientDims, pass, grad);
  }
}

template <int kPanels>
__global__ void __launch_bounds__(kWgmmaThreads, 1) scan_wgmma_kernel(PackedPass pass, bool keys, double* sums) {
  if (!has_common_maximum(*pass.scale))
    AVSA_ON_SM90A((scan<kPanels, false>(pass, sums)));
  else if (!keys)
    AVSA_ON_SM90A((scan<kPanels, true>(pass, sums)));
}

template <int kPanels>
__global__ void __launch_bounds__(kWgmmaThreads, 1) gradient_wgmma_kernel(PackedPass pass, float* grad) {
  AVSA_ON_SM90A(gradient<kPanels>(pass, grad));
}

// Calls function(n, launch shape) with the panels of a row, an integral constant.
template <class F>
int with_panels(const InfoNceBlock& block, const F& function) {
  const auto call = [&]<int kPanels>(std::integral_constant<int, kPanels> panels) {
    return function(panels, LaunchShape{kOwnRows, kWgmmaThreads, std::size_t(WarpgroupShared<kPanels>::kBytes)});
  };
  switch (packed_panels(block, Bf16::kWord)) {
    case 2:
      return call(std::integral_constant<int, 2>());
    case 4:
      return call(std::integral_constant<int, 4>());
    case 6:
      return call(std::integral_constant<int, 6>());
    default:
      return call(std::integral_constant<int, 8>());
  }
}

}  // namespace

bool uses_wgmma(const InfoNceBlock& block) {
  return block.wgmma && block.precision == Precision::bf16 && block.D > 0 &&
         panels_of(block.D, Bf16::kWord) <= kMaxPanels && is_hopper();
}

int info_nce_scan_wgmma(const InfoNceScan& task, void* stream) {
  return with_panels(task.block, [&](auto panels, const LaunchShape& shape) {
    return launch_scan<Bf16>(scan_wgmma_kernel<decltype(panels)::value>, shape, task, stream);
  });
}

int info_nce_gradient_wgmma(const InfoNceGradient& task, void* stream) {
  return with_panels(task.block, [&](auto panels, const LaunchShape& shape) {
    return launch_gradient<Bf16>(gradient_wgmma_kernel<decltype(panels)::value>, shape, task, stream);
  });
}

}  // namespace avsa::info_nce
