// Products by wgmma (sm_90a), bfloat16. A block of threads is a producer, which has the copy engine fetch own rows and
// tiles of other rows, and two warpgroups, which each have 64 own rows and meet the tiles: their products of the next
// tile run while they take the exponentials of this one.
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "info_nce/cuda/wgmma_tiles.h"

namespace avsa::info_nce {
namespace {

// As scan_kernel of info_nce_mma.cu.
template <int kPanels>
__device__ void scan(const PackedPass& pass, bool keys, double* sums) {
  const bool shared = shares_exponential(*pass.scale), sums_columns = shared && pass.other_chooses;
  const auto tiles = unsigned(ceil_div(pass.other.count, kOther));
  const std::int64_t step = std::int64_t(gridDim.x) * kOwn;
  const std::int64_t first = std::int64_t(blockIdx.x) * kOwn;
  if ((keys && shared) || tiles == 0) return;
  const WarpgroupShared<kPanels> memory(0);
  memory.begin();
  if (threadIdx.x < kWarpgroup) {
    fewer_registers<24>();
    if (threadIdx.x == 0) memory.produce(pass, first, step, false);
  } else {
    more_registers<240>();
    const float slope = float(*pass.scale * Exponential<Bf16>::kUnit);
    const int warp = int(threadIdx.x / kWarp) - 4, column = int(threadIdx.x) - kWarpgroup;
    unsigned met = 0;  // tiles so far
    int turn = 0;
    for (std::int64_t block = first; block < pass.own.count; block += step, ++turn) {
      const std::int64_t row = lane_row(block);
      RowSums rows;
      rows.top[0] = rows.top[1] = shared ? slope : kLowest<float>;
      memory.head->own_full.wait(turn % 2);
      // What products of tiles become, which are there.
      const auto use = [&](unsigned tile, WarpgroupSums& now) {
        mask(pass, row, std::int64_t(tile) * kOther, now);
        rows.template add<Bf16>(now, slope, shared);
        if (!sums_columns) return;
        float of_columns[32];
        AVSA_UNROLL
        for (int i = 0; i < 32; ++i) of_columns[i] = now[i / 2][i % 2] + now[i / 2][i % 2 + 2];
        auto& parts = memory.head->columns[tile % 2];
        sum_columns<16>(of_columns, parts[warp]);
        group_barrier(1, kConsumers * kWarpgroup);  // whose next turn frees what is read below
        if (column >= kOther) return;
        float* to =
            pass.columns + blockIdx.x * round_up(pass.other.count, kPackedRows) + std::int64_t(tile) * kOther + column;
        float sum = turn == 0 ? 0 : *to;
        for (const auto& part : parts) sum += part[column];
        *to = sum;
      };
      const auto meet = [&](WarpgroupSums& x, const auto& meanwhile) {
        memory.template begin_cosines<1>(met, x, meanwhile);
        wait_for_products<0>(x);
        memory.template release<1>(met++);
      };
      WarpgroupSums even = {}, odd = {};
      meet(even, [] {});
      unsigned tile = 0;
      for (; tile + 2 < tiles; tile += 2) {
        meet(odd, [&] { use(tile, even); });
        meet(even, [&] { use(tile + 1, odd); });
      }
      if (tile + 1 < tiles) {
        meet(odd, [&] { use(tile, even); });
        memory.release(memory.head->own_empty);
        use(tile + 1, odd);
      } else {
        memory.release(memory.head->own_empty);
        use(tile, even);
      }
      if (sums_columns) group_barrier(1, kConsumers * kWarpgroup);  // the last part may be written again
      rows.template finish<Bf16>(pass, row, sums);
    }
  }
}

// As gather_kernel of info_nce_mma.cu.
template <int kPanels>
__device__ void gather(const PackedPass& pass, float* grad) {
  const auto tiles = unsigned(ceil_div(pass.other.count, kOther));
  const std::int64_t block = std::int64_t(blockIdx.x) * kOwn;
  if (tiles == 0) return;
  using Memory = WarpgroupShared<kPanels>;
  const Memory memory(int(blockIdx.y));
  memory.begin();
  if (threadIdx.x < kWarpgroup) {
    fewer_registers<24>();
    if (threadIdx.x == 0) memory.produce(pass, block, pass.own.count, true);
  } else {
    more_registers<240>();
    const bool shared = shares_exponential(*pass.scale);
    const float slope = float(*pass.scale * Exponential<Bf16>::kUnit);
    const std::int64_t row = lane_row(block);
    const RowWeight own[2] = {pass.own_weights[row], pass.own_weights[row + 8]};
    WarpgroupSums x = {}, sum = {};
    RegistersA weights[kOther / kDepth];
    const auto weigh_tile = [&](unsigned tile) {
      mask(pass, row, std::int64_t(tile) * kOther, x);
      weigh<Bf16>(own, memory.weights(tile), slope, shared, x);
    };
    const auto round_weights = [&] {
      AVSA_UNROLL
      for (int e = 0; e < kOther / kDepth * 4; ++e) {
        const auto& of_column = x[e / 4 * 2 + e % 4 / 2];
        weights[e / 4][e % 4] = bfloat16_pair(of_column[e % 2 * 2], of_column[e % 2 * 2 + 1]);
      }
    };
    const auto begin_gradient = [&](unsigned tile) {
      const SharedPlace panels[2] = {memory.gradient_panel(tile, 0), memory.gradient_panel(tile, 1)};
      fence_products();
      AVSA_UNROLL
      for (int k = 0; k < kOther / kDepth; ++k) {
        begin_multiply_half<0>(sum, weights[k], descriptor(panels[0] + k * kDepth * kPanel));
        begin_multiply_half<1>(sum, weights[k], descriptor(panels[1] + k * kDepth * kPanel));
      }
      commit_products();
    };
    memory.head->own_full.wait(0);
    memory.template begin_cosines<Memory::kKept>(0, x, [] {});
    wait_for_products<0>(x);
    weigh_tile(0);
    for (unsigned tile = 0; tile + 1 < tiles; ++tile) {
      round_weights();
      if constexpr (Memory::kParts == 1) {
        memory.template begin_cosines<Memory::kKept>(tile + 1, x, [] {});
        begin_gradient(tile);
        wait_for_products<1>(x);
        weigh_tile(tile + 1);
        wait_for_products<0>(sum);
        memory.template release<Memory::kKept>(tile);
      } else {  // parts come in turn: the next tile's wait for this one's
        begin_gradient(tile);
        wait_for_products<0>(sum);
        memory.template release<Memory::kKept>(tile);
        memory.template begin_cosines<Memory::kKept>(tile + 1, x, [] {});
        wait_for_products<0>(x);
        weigh_tile(tile + 1);
      }
    }
    round_weights();
    begin_gradient(tiles - 1);
    wait_for_products<0>(sum);
    add_rows(sum, row, int(blockIdx.y) * kGradient, pass, grad);
  }
}

#if defined(AVSA_EMULATE) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AVSA_WGMMA(call) call
#elif defined(__CUDA_ARCH__)
#define AVSA_WGMMA(call) __trap()  // never launched here: see uses_wgmma
#else
#define AVSA_WGMMA(call)
#endif

template <int kPanels>
__global__ void __launch_bounds__(kThreads, 1) scan_wgmma_kernel(PackedPass pass, bool keys, double* sums) {
  AVSA_WGMMA(scan<kPanels>(pass, keys, sums));
}

template <int kPanels>
__global__ void __launch_bounds__(kThreads, 1) gather_wgmma_kernel(PackedPass pass, float* grad) {
  AVSA_WGMMA(gather<kPanels>(pass, grad));
}

template <int kPanels>
int scan_launched(const InfoNceScan& task, void* stream) {
  if (int error = pack<Bf16>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    if (keys && !task.block.symmetric) break;
    const PackedPass pass(task.block, keys, Bf16::kWord);
    const dim3 groups(unsigned(std::min<std::int64_t>(ceil_div(pass.own.count, kOwn), kGroups)));
    double* sums = keys ? task.key_sums : task.query_sums;
    if (int error = launch(scan_wgmma_kernel<kPanels>, groups, dim3(kThreads), WarpgroupShared<kPanels>::kBytes, stream,
                           pass, keys, sums))
      return error;
    if (keys || !task.block.symmetric) continue;
    if (int error = add_columns<Bf16>(pass, int(groups.x), task.key_sums, stream)) return error;
  }
  return 0;
}

template <int kPanels>
int gather_launched(const InfoNceGather& task, void* stream) {
  if (int error = pack<Bf16>(task.block, stream)) return error;
  for (const bool keys : {false, true}) {
    const PackedPass pass(task.block, keys, Bf16::kWord);
    const dim3 grid(unsigned(ceil_div(pass.own.count, kOwn)), unsigned(ceil_div(pass.D, kGradient)));
    float* grad = static_cast<float*>(keys ? task.key_grad : task.query_grad);
    if (int error = launch(gather_wgmma_kernel<kPanels>, grid, dim3(kThreads), WarpgroupShared<kPanels>::kBytes, stream,
                           pass, grad))
      return error;
  }
  return 0;
}

// Calls launched(n), n an integral constant: the panels of a row.
template <class F>
int with_panels(const InfoNceBlock& block, const F& launched) {
  switch (packed_panels(block, Bf16::kWord)) {
    case 2:
      return launched(std::integral_constant<int, 2>());
    case 4:
      return launched(std::integral_constant<int, 4>());
    case 6:
      return launched(std::integral_constant<int, 6>());
    default:
      return launched(std::integral_constant<int, 8>());
  }
}

}  // namespace

bool uses_wgmma(const InfoNceBlock& block) {
  const char* asked = std::getenv("AVSA_WGMMA");
  if (asked == nullptr || std::strcmp(asked, "1") != 0 || block.precision != Precision::bf16 || block.D == 0 ||
      panels_of(block.D, Bf16::kWord) > kMostPanels)
    return false;
#ifndef AVSA_EMULATE
  int device, major;
  return !cudaGetDevice(&device) && !cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) &&
         major == 9;
#else
  return true;
#endif
}

int info_nce_scan_wgmma(const InfoNceScan& task, void* stream) {
  return with_panels(task.block, [&](auto panels) { return scan_launched<decltype(panels)::value>(task, stream); });
}

int info_nce_gather_wgmma(const InfoNceGather& task, void* stream) {
  return with_panels(task.block, [&](auto panels) { return gather_launched<decltype(panels)::value>(task, stream); });
}

}  // namespace avsa::info_nce
