// Products by wgmma (sm_90a), bfloat16. A block of threads is a producer, which has the copy engine fetch own rows and
// tiles of other rows, and two warpgroups, which each have 64 own rows and meet the tiles: their products of the next
// tile run while they take the exponentials of this one.
#include <cstdlib>

#include "info_nce/fragments.h"
#include "info_nce/wgmma.h"

namespace avsa {
namespace {

constexpr int kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup, kConsumerWarps = kConsumers * 4;
constexpr int kOwn = 64 * kConsumers, kOther = 128;  // rows of a block of threads, rows of a tile
constexpr int kGradient = 128;                       // dimensions of the gradient that a block of threads gathers
constexpr int kDepth = 16;                           // of a product
static_assert(kOther == kPackedRows && kOwn == kPackedRows);

// kPanels: of a row.
template <int kPanels>
struct Shared {
  static constexpr int kStages = kPanels == 2 ? 4 : 2, kBytes = kPackedRows * kPanels * kPanel;

  struct Head {
    PhaseBarrier own_full, own_empty, full[kStages], empty[kStages];
    RowWeight weights[kStages][kOther];
    float columns[2][kConsumerWarps][kOther];
  };
  unsigned char *own, *tiles;
  Head* head;

  __device__ Shared()
      : own(aligned_shared()), tiles(own + kBytes), head(reinterpret_cast<Head*>(tiles + kStages * kBytes)) {}
  __device__ SharedPlace tile(std::int64_t n) const { return shared_place(tiles + n % kStages * kBytes); }
  static std::size_t bytes() { return 1024 + std::size_t(1 + kStages) * kBytes + sizeof(Head); }

  __device__ void begin() const {
    if (threadIdx.x == 0) {
      head->own_full.init(1);
      head->own_empty.init(kConsumerWarps);
      for (int n = 0; n < kStages; ++n) {
        head->full[n].init(1);
        head->empty[n].init(kConsumerWarps);
      }
      publish_barriers();
    }
    __syncthreads();
  }

  // The producer's part, of one thread: tiles in their order for each of the block's own rows.
  __device__ void produce(const PackedPass& pass, std::int64_t begin, std::int64_t step, bool weights) const {
    const std::int64_t tiles_of_pass = ceil_div(pass.other.count, kOther);
    std::int64_t fetched = 0;
    int turn = 0;
    for (std::int64_t block = begin; block < pass.own.count; block += step, ++turn) {
      if (turn > 0) head->own_empty.wait((turn - 1) % 2);
      head->own_full.arrive_and_expect(kBytes);
      head->own_full.copy(own, PackedPass::rows(pass.own_words, block, kPanels), kBytes);
      for (std::int64_t tile = 0; tile < tiles_of_pass; ++tile, ++fetched) {
        const int stage = int(fetched % kStages), round = int(fetched / kStages % 2);
        if (fetched >= kStages) head->empty[stage].wait(1 - round);
        PhaseBarrier& full = head->full[stage];
        full.arrive_and_expect(kBytes + (weights ? int(sizeof head->weights[0]) : 0));
        full.copy(tiles + stage * kBytes, PackedPass::rows(pass.other_words, tile * kOther, kPanels), kBytes);
        if (weights) full.copy(head->weights[stage], pass.other_weights + tile * kOther, int(sizeof head->weights[0]));
      }
    }
  }

  // The consumers'.
  __device__ void wait(std::int64_t n) const { head->full[n % kStages].wait(int(n / kStages % 2)); }
  __device__ void release(PhaseBarrier& barrier) const {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) barrier.arrive();
  }
  __device__ void release(std::int64_t n) const { release(head->empty[n % kStages]); }

  // Begins x = a warpgroup's cosines with a tile.
  __device__ void begin_cosines(std::int64_t n, WarpgroupSums& x) const {
    const SharedPlace rows = shared_place(own) + (int(threadIdx.x) / kWarpgroup - 1) * 64 * kPanel, other = tile(n);
    fence_products();
    AVSA_UNROLL
    for (int k = 0; k < kPanels * kPanel; k += 2 * kDepth) {
      const int at = k / kPanel * kPackedRows * kPanel + k % kPanel;
      begin_multiply(x, along_rows(rows + at), along_rows(other + at), k > 0);
    }
    commit_products();
  }
};

// -infinity for a row with itself, and beyond the last row.
__device__ inline void mask(const PackedPass& pass, std::int64_t row, std::int64_t tile, WarpgroupSums& x) {
  if (all_compete(pass, row, 9, tile, kOther)) return;
  AVSA_UNROLL
  for (int e = 0; e < 64; ++e) {
    const int n = e % 4;
    const std::int64_t own = row + n / 2 * 8, other = tile + e / 4 * 8 + threadIdx.x % 4 * 2 + n % 2;
    if (own >= pass.own.count || other >= pass.other.count || pass.own.first + own == pass.other.first + other)
      x[e / 4][n] = -kInfinity<float>;
  }
}

// A lane's first row of a block's.
__device__ inline std::int64_t lane_row(std::int64_t block) {
  return block + (threadIdx.x - kWarpgroup) / kWarp * 16 + threadIdx.x % kWarp / 4;
}

// As scan_kernel of info_nce_mma.cu.
template <int kPanels>
__device__ void scan(const PackedPass& pass, bool keys, double* sums) {
  const bool shared = shares_exponential(*pass.scale), sums_columns = shared && pass.other_chooses;
  const std::int64_t tiles = ceil_div(pass.other.count, kOther), step = std::int64_t(gridDim.x) * kOwn;
  const std::int64_t first = std::int64_t(blockIdx.x) * kOwn;
  if ((keys && shared) || tiles == 0) return;
  const Shared<kPanels> memory;
  memory.begin();
  if (threadIdx.x < kWarpgroup) {
    fewer_registers<24>();
    if (threadIdx.x == 0) memory.produce(pass, first, step, false);
  } else {
    more_registers<240>();
    const float slope = float(*pass.scale * Exponential<Bf16>::kUnit);
    const int warp = int(threadIdx.x / kWarp) - 4, column = int(threadIdx.x) - kWarpgroup;
    std::int64_t met = 0;  // tiles so far
    int turn = 0;
    for (std::int64_t block = first; block < pass.own.count; block += step, ++turn) {
      const std::int64_t row = lane_row(block);
      RowSums rows;
      rows.top[0] = rows.top[1] = shared ? slope : kLowest<float>;
      memory.head->own_full.wait(turn % 2);
      memory.wait(met);
      WarpgroupSums even, odd;
      memory.begin_cosines(met, even);
      const auto meet = [&](std::int64_t tile, WarpgroupSums& now, WarpgroupSums& next) {
        wait_for_products<0>(now);
        memory.release(met++);
        if (tile + 1 < tiles) {
          memory.wait(met);
          memory.begin_cosines(met, next);
        } else {
          memory.release(memory.head->own_empty);
        }
        mask(pass, row, tile * kOther, now);
        rows.template add<Bf16>(now, slope, shared);
        if (!sums_columns) return;
        float of_columns[32];
        AVSA_UNROLL
        for (int i = 0; i < 32; ++i) of_columns[i] = now[i / 2][i % 2] + now[i / 2][i % 2 + 2];
        auto& parts = memory.head->columns[tile % 2];
        sum_columns<16>(of_columns, parts[warp]);
        group_barrier(1, kConsumers * kWarpgroup);  // whose next turn frees what is read below
        if (column >= kOther) return;
        float* to = pass.columns + blockIdx.x * round_up(pass.other.count, kPackedRows) + tile * kOther + column;
        float sum = turn == 0 ? 0 : *to;
        for (const auto& part : parts) sum += part[column];
        *to = sum;
      };
      for (std::int64_t tile = 0; tile < tiles; tile += 2) {
        meet(tile, even, odd);
        if (tile + 1 < tiles) meet(tile + 1, odd, even);
      }
      if (sums_columns) group_barrier(1, kConsumers * kWarpgroup);  // the last part may be written again
      rows.template finish<Bf16>(pass, row, sums);
    }
  }
}

// As gather_kernel of info_nce_mma.cu.
template <int kPanels>
__device__ void gather(const PackedPass& pass, float* grad) {
  const std::int64_t tiles = ceil_div(pass.other.count, kOther), block = std::int64_t(blockIdx.x) * kOwn;
  if (tiles == 0) return;
  const Shared<kPanels> memory;
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
    const int begin = int(blockIdx.y) * 2 * kPackedRows * kPanel;
    WarpgroupSums x, sum = {};
    memory.head->own_full.wait(0);
    memory.wait(0);
    memory.begin_cosines(0, x);
    wait_for_products<0>(x);
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      mask(pass, row, tile * kOther, x);
      weigh<Bf16>(own, memory.head->weights[tile % Shared<kPanels>::kStages], slope, shared, x);
      wait_for_products<0>(sum);
      if (tile > 0) memory.release(tile - 1);
      RegistersA weights[kOther / kDepth];
      AVSA_UNROLL
      for (int e = 0; e < kOther / kDepth * 4; ++e) {
        const auto& of_column = x[e / 4 * 2 + e % 4 / 2];
        weights[e / 4][e % 4] = bfloat16_pair(of_column[e % 2 * 2], of_column[e % 2 * 2 + 1]);
      }
      const bool last = tile + 1 == tiles;
      if (!last) {
        memory.wait(tile + 1);
        memory.begin_cosines(tile + 1, x);
      }
      fence_products();
      AVSA_UNROLL
      for (int k = 0; k < kOther / kDepth; ++k)
        begin_multiply(sum, weights[k],
                       across_rows(memory.tile(tile) + begin + k * kDepth * kPanel, kPackedRows * kPanel));
      commit_products();
      if (!last) wait_for_products<1>(x);
    }
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
    if (int error = launch(scan_wgmma_kernel<kPanels>, groups, dim3(kThreads), Shared<kPanels>::bytes(), stream, pass,
                           keys, sums))
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
    if (int error =
            launch(gather_wgmma_kernel<kPanels>, grid, dim3(kThreads), Shared<kPanels>::bytes(), stream, pass, grad))
      return error;
  }
  return 0;
}

}  // namespace

bool uses_wgmma(const InfoNceBlock& block) {
  const char* asked = std::getenv("AVSA_WGMMA");
  const int panels = panels_of(block.D, Bf16::kWord);
  if (asked == nullptr || std::strcmp(asked, "1") != 0 || block.precision != Precision::bf16 || block.K != 1 ||
      (panels != 2 && panels != 4))
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
  return panels_of(task.block.D, Bf16::kWord) == 2 ? scan_launched<2>(task, stream) : scan_launched<4>(task, stream);
}

int info_nce_gather_wgmma(const InfoNceGather& task, void* stream) {
  return panels_of(task.block.D, Bf16::kWord) == 2 ? gather_launched<2>(task, stream)
                                                   : gather_launched<4>(task, stream);
}

}  // namespace avsa
