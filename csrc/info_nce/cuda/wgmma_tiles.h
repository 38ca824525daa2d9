// What the kernels on wgmma have in common: the division of rows and shared memory within a thread block, the
// producer's loads, and a warpgroup's products with a tile.
#pragma once
#include "info_nce/cuda/fragments.h"

namespace avsa::info_nce {

constexpr int kConsumers = 2;  // warpgroups that compute; the one before them loads
constexpr int kWgmmaThreads = (1 + kConsumers) * kWarpgroup, kConsumerWarps = kConsumers * 4;
constexpr int kOwnRows = 64 * kConsumers, kOtherRows = 128;  // of a thread block, of a tile
constexpr int kDepth = 16;                                   // of a product
constexpr int kPanelBytes = kPackedRows * kPanel;            // of a panel of a tile
constexpr int kMaxHopperShared = 227 << 10;                  // bytes per thread block
static_assert(kOtherRows == kPackedRows && kOwnRows == kPackedRows && kGradientDims * Bf16::kWord == 2 * kPanel);

// Shared memory of a thread block, for rows of kPanels panels: own rows, and a ring of stages that each hold a part of
// a tile. A part is a whole tile if two of these fit, otherwise one panel; the panels that the gradient is computed
// from then come last. Parts are numbered through all tiles.
template <int kPanels>
struct WarpgroupShared {
  static constexpr int kParts = kPanels <= 4 ? 1 : kPanels;  // of a tile
  static constexpr int kStages = kPanels == 2 ? 4 : kPanels == 4 ? 2 : kPanels == 6 ? 7 : 5;
  static constexpr int kPartPanels = kPanels / kParts, kPartBytes = kPartPanels * kPanelBytes;
  static constexpr int kGradientParts = kParts == 1 ? 1 : 2;  // last parts of a tile
  static constexpr int kPartsInFlight = kParts == 1 ? 1 : 3;  // whose products are started before one is waited for
  static_assert(kPartsInFlight < kStages);

  struct Head {
    Mbarrier own_full, own_empty, full[kStages], empty[kStages];
    RowWeight weights[kStages][kOtherRows];        // in the stage of a tile's last part
    float columns[2][kConsumerWarps][kOtherRows];  // sums over each warp's rows, for two tiles
  };
  static constexpr int kBytes = 1024 + kPanels * kPanelBytes + kStages * kPartBytes + int(sizeof(Head));
  static_assert(kBytes <= kMaxHopperShared);
  unsigned char* own;    // [kPanels, kOwnRows, kPanel]
  unsigned char* parts;  // [kStages, kPartPanels, kOtherRows, kPanel]
  int first_panel;       // of each tile, if parts are panels: their order is cyclic
  Head* head;

  // gradient: which kGradientDims dimensions of the gradient are computed.
  __device__ explicit WarpgroupShared(int gradient)
      : own(aligned()),
        parts(own + kPanels * kPanelBytes),
        first_panel((gradient + 1) * 2 % kPanels),
        head(reinterpret_cast<Head*>(parts + kStages * kPartBytes)) {}

  __device__ static unsigned last(unsigned tile) { return tile * kParts + kParts - 1; }  // number of a tile's last part
  __device__ SharedAddress part(unsigned n) const { return shared_address(parts + n % kStages * kPartBytes); }
  __device__ int panel(int part) const { return kParts == 1 ? 0 : (first_panel + part) % kPanels; }  // first of a part
  // Panel n of the two that the gradient is computed from.
  __device__ SharedAddress gradient_panel(unsigned tile, int n) const {
    return kParts == 1 ? part(tile) + ((first_panel + kPanels - 2) % kPanels + n) * kPanelBytes
                       : part(last(tile) - 1 + unsigned(n));
  }
  __device__ const auto& weights(unsigned tile) const { return head->weights[last(tile) % kStages]; }

  // Initialises the barriers; called by all threads.
  __device__ void init() const {
    if (threadIdx.x == 0) {
      head->own_full.init(1);
      head->own_empty.init(kConsumerWarps);
      for (int n = 0; n < kStages; ++n) {
        head->full[n].init(1);
        head->empty[n].init(kConsumerWarps);
      }
      fence_barrier_init();
    }
    __syncthreads();
  }

  // The producer, one thread: loads own rows from `begin` on, every `step`, and for each kOwnRows of them all tiles.
  __device__ void produce(const PackedPass& pass, std::int64_t begin, std::int64_t step, bool weights) const {
    const auto tiles = unsigned(ceil_div(pass.other.count, kOtherRows));
    unsigned loaded = 0;
    int iteration = 0;
    for (std::int64_t row = begin; row < pass.own.count; row += step, ++iteration) {
      if (iteration > 0) head->own_empty.wait((iteration - 1) % 2);
      head->own_full.arrive_and_expect(kPanels * kPanelBytes);
      head->own_full.copy(own, PackedPass::rows(pass.own_words, row, kPanels), kPanels * kPanelBytes);
      for (unsigned tile = 0; tile < tiles; ++tile) {
        const std::int64_t first = std::int64_t(tile) * kOtherRows;
        const unsigned char* words = PackedPass::rows(pass.other_words, first, kPanels);
        for (int part = 0; part < kParts; ++part, ++loaded) {
          const int stage = int(loaded % kStages), round = int(loaded / kStages % 2);
          const bool with_weights = weights && part == kParts - 1;
          if (loaded >= kStages) head->empty[stage].wait(1 - round);
          Mbarrier& full = head->full[stage];
          full.arrive_and_expect(kPartBytes + (with_weights ? int(sizeof head->weights[0]) : 0));
          full.copy(parts + stage * kPartBytes, words + panel(part) * kPanelBytes, kPartBytes);
          if (with_weights) full.copy(head->weights[stage], pass.other_weights + first, int(sizeof head->weights[0]));
        }
      }
    }
  }

  // The consumers' side of the barriers. A warp's last arrival releases what all its lanes have read.
  __device__ void wait(unsigned part) const { head->full[part % kStages].wait(int(part / kStages % 2)); }
  __device__ void release(Mbarrier& barrier) const {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) barrier.arrive();
  }
  // Releases the last `kept` parts of a tile.
  template <int kept>
  __device__ void release(unsigned tile) const {
    AVSA_UNROLL
    for (unsigned n = 0; n < kept; ++n) release(head->empty[(last(tile) - n) % kStages]);
  }

  // Starts x = cosines of the warpgroup's own rows with a tile, and calls meanwhile() while products are running.
  // Releases parts as their products end, all but the last `kept`: the products of the last part are still running on
  // return.
  template <int kept, class F>
  __device__ void start_cosines(unsigned tile, WarpgroupSums& x, const F& meanwhile) const {
    AVSA_KEEP_LOOP
    for (int part = 0; part < kParts; ++part) {
      wait(tile * kParts + part);
      start_part(tile, part, x);
      if (part == kPartsInFlight - 1) meanwhile();
      if (part == 0 || part < kPartsInFlight - 1) continue;
      wait_for_wgmma<1>();
      AVSA_KEEP_LOOP
      for (int done = part == kPartsInFlight - 1 ? 0 : part - 1; done < part && done < kParts - kept; ++done)
        release(head->empty[(tile * kParts + done) % kStages]);
    }
  }

 private:
  // Dynamic shared memory from a multiple of 1024 bytes on, for the swizzle; kBytes has 1024 more.
  __device__ static unsigned char* aligned() {
    auto* p = dynamic_shared<unsigned char>();
    return p + (-shared_address(p) & 1023u);
  }

  __device__ void start_part(unsigned tile, int number, WarpgroupSums& x) const {
    const int warpgroup = int(threadIdx.x) / kWarpgroup - 1;
    SharedAddress rows = shared_address(own) + panel(number) * kPanelBytes + warpgroup * 64 * kPanel;
    const SharedAddress other = part(tile * kParts + unsigned(number));
    asm volatile("" : "+r"(rows));  // otherwise all descriptors of own rows are computed in advance, in registers
    const std::uint64_t a = operand_descriptor(rows), b = operand_descriptor(other);
    fence_wgmma();
    AVSA_UNROLL
    for (int k = 0; k < kPartPanels * kPanel; k += 2 * kDepth) {
      const int at = k / kPanel * kPanelBytes + k % kPanel;
      start_wgmma(x, advanced(a, at), advanced(b, at), number > 0 || k > 0);
    }
    commit_wgmma();
  }
};

// Sets cosines of rows that are not negatives, or are beyond the last row, to -infinity. row: the lane's first own row.
__device__ inline void mask(const PackedPass& pass, std::int64_t row, std::int64_t tile, WarpgroupSums& x) {
  if (all_negatives(pass, row - threadIdx.x % kWarp / 4, 16, tile, kOtherRows)) return;  // the same in the whole warp
  const OwnRows own(pass, row);
  const int first = int(threadIdx.x % 4) * 2, K = int(pass.K), clips = 8 / K, crops = 8 % K;
  AVSA_UNROLL
  for (int n = 0; n < 2; ++n) {
    Label other(pass.other.first + tile + first + n, pass.K);
    AVSA_UNROLL
    for (int c = 0; c < kOtherRows / 8; ++c) {
      AVSA_UNROLL
      for (int half = 0; half < 2; ++half) {
        const bool inside = row + 8 * half < pass.own.count && tile + first + n + 8 * c < pass.other.count;
        if (!inside || !are_negatives(own.label[half], other)) x[c][2 * half + n] = -kInfinity<float>;
      }
      // 8 columns further, without a division
      other.clip += clips;
      other.crop += crops;
      if (other.crop >= K) other.crop -= K, ++other.clip;
    }
  }
}

// The lane's first own row, of a thread block's from `own` on.
__device__ inline std::int64_t lane_row(std::int64_t own) {
  return own + (threadIdx.x - kWarpgroup) / kWarp * 16 + threadIdx.x % kWarp / 4;
}

}  // namespace avsa::info_nce
