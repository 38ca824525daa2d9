// What the kernels on wgmma share: how a block of threads divides its work and its shared memory, the producer's part,
// and a warpgroup's products with a tile.
#pragma once
#include "info_nce/cuda/fragments.h"
#include "info_nce/cuda/wgmma.h"

namespace avsa::info_nce {

constexpr int kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup, kConsumerWarps = kConsumers * 4;
constexpr int kOwn = 64 * kConsumers, kOther = 128;  // rows of a block of threads, rows of a tile
constexpr int kGradient = 128;                       // dimensions of the gradient that a block of threads gathers
constexpr int kDepth = 16;                           // of a product
constexpr int kMostPanels = 8;                       // of a row
constexpr int kPanelBytes = kPackedRows * kPanel;    // of a panel of a tile
constexpr int kMostShared = 227 << 10;               // bytes of shared memory that Hopper gives a block of threads
static_assert(kOther == kPackedRows && kOwn == kPackedRows && kGradient * Bf16::kWord == 2 * kPanel);

// kPanels: of a row. Memory holds a block's own rows and, of the tiles, a few parts: whole tiles where those of two
// fit, else panels, of which those that the gradient is gathered from come last.
template <int kPanels>
struct WarpgroupShared {
  static constexpr int kParts = kPanels <= 4 ? 1 : kPanels;  // of a tile
  static constexpr int kStages = kPanels == 2 ? 4 : kPanels == 4 ? 2 : kPanels == 6 ? 7 : 5;
  static constexpr int kPartPanels = kPanels / kParts, kPartBytes = kPartPanels * kPanelBytes;
  static constexpr int kKept = kParts == 1 ? 1 : 2;   // last parts of a tile, for the gradient
  static constexpr int kAhead = kParts == 1 ? 1 : 3;  // parts that products are begun with before one is waited for
  static_assert(kAhead < kStages);

  struct Head {
    PhaseBarrier own_full, own_empty, full[kStages], empty[kStages];
    RowWeight weights[kStages][kOther];  // where a tile's last part is
    float columns[2][kConsumerWarps][kOther];
  };
  static constexpr int kBytes = 1024 + kPanels * kPanelBytes + kStages * kPartBytes + int(sizeof(Head));
  static_assert(kBytes <= kMostShared);
  unsigned char *own, *parts;
  int first_panel;  // of a tile's first part, where that is a panel; the others follow, and after the last the first
  Head* head;

  // gradient: which kGradient dimensions are gathered.
  __device__ explicit WarpgroupShared(int gradient)
      : own(aligned_shared()),
        parts(own + kPanels * kPanelBytes),
        first_panel((gradient + 1) * 2 % kPanels),
        head(reinterpret_cast<Head*>(parts + kStages * kPartBytes)) {}

  __device__ static unsigned last(unsigned tile) { return tile * kParts + kParts - 1; }  // part's number
  __device__ SharedPlace part(unsigned n) const { return shared_place(parts + n % kStages * kPartBytes); }
  __device__ int panel(int part) const { return kParts == 1 ? 0 : (first_panel + part) % kPanels; }  // a part's first
  // Of the two panels that the gradient is gathered from.
  __device__ SharedPlace gradient_panel(unsigned tile, int n) const {
    return kParts == 1 ? part(tile) + ((first_panel + kPanels - 2) % kPanels + n) * kPanelBytes
                       : part(last(tile) - 1 + unsigned(n));
  }
  __device__ const auto& weights(unsigned tile) const { return head->weights[last(tile) % kStages]; }

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
    const auto tiles = unsigned(ceil_div(pass.other.count, kOther));
    unsigned fetched = 0;
    int turn = 0;
    for (std::int64_t block = begin; block < pass.own.count; block += step, ++turn) {
      if (turn > 0) head->own_empty.wait((turn - 1) % 2);
      head->own_full.arrive_and_expect(kPanels * kPanelBytes);
      head->own_full.copy(own, PackedPass::rows(pass.own_words, block, kPanels), kPanels * kPanelBytes);
      for (unsigned tile = 0; tile < tiles; ++tile) {
        const std::int64_t first = std::int64_t(tile) * kOther;
        const unsigned char* words = PackedPass::rows(pass.other_words, first, kPanels);
        for (int part = 0; part < kParts; ++part, ++fetched) {
          const int stage = int(fetched % kStages), round = int(fetched / kStages % 2);
          const bool brings_weights = weights && part == kParts - 1;
          if (fetched >= kStages) head->empty[stage].wait(1 - round);
          PhaseBarrier& full = head->full[stage];
          full.arrive_and_expect(kPartBytes + (brings_weights ? int(sizeof head->weights[0]) : 0));
          full.copy(parts + stage * kPartBytes, words + panel(part) * kPanelBytes, kPartBytes);
          if (brings_weights) full.copy(head->weights[stage], pass.other_weights + first, int(sizeof head->weights[0]));
        }
      }
    }
  }

  // The consumers'.
  __device__ void wait(unsigned part) const { head->full[part % kStages].wait(int(part / kStages % 2)); }
  __device__ void release(PhaseBarrier& barrier) const {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) barrier.arrive();
  }
  // The last parts of a tile.
  template <int kept>
  __device__ void release(unsigned tile) const {
    AVSA_UNROLL
    for (unsigned n = 0; n < kept; ++n) release(head->empty[(last(tile) - n) % kStages]);
  }

  // Begins x = a warpgroup's cosines with a tile, and does something else meanwhile, with kAhead groups of products
  // under way. Parts are released as they are multiplied, all but the last `kept`: the last one's products still run at
  // the end.
  template <int kept, class F>
  __device__ void begin_cosines(unsigned tile, WarpgroupSums& x, const F& meanwhile) const {
    AVSA_KEEP_LOOP
    for (int part = 0; part < kParts; ++part) {
      wait(tile * kParts + part);
      begin_part(tile, part, x);
      if (part == kAhead - 1) meanwhile();
      if (part == 0 || part < kAhead - 1) continue;
      wait_for_products<1>();
      AVSA_KEEP_LOOP
      for (int done = part == kAhead - 1 ? 0 : part - 1; done < part && done < kParts - kept; ++done)
        release(head->empty[(tile * kParts + done) % kStages]);
    }
  }

 private:
  __device__ void begin_part(unsigned tile, int number, WarpgroupSums& x) const {
    const int warpgroup = int(threadIdx.x) / kWarpgroup - 1;
    SharedPlace rows = shared_place(own) + panel(number) * kPanelBytes + warpgroup * 64 * kPanel;
    const SharedPlace other = part(tile * kParts + unsigned(number));
#ifndef AVSA_EMULATE
    asm volatile("" : "+r"(rows));  // or all descriptors of own rows are made beforehand, and take registers
#endif
    fence_products();
    AVSA_UNROLL
    for (int k = 0; k < kPartPanels * kPanel; k += 2 * kDepth) {
      const int at = k / kPanel * kPanelBytes + k % kPanel;
      begin_multiply(x, descriptor(rows + at), descriptor(other + at), number > 0 || k > 0);
    }
    commit_products();
  }
};

// -infinity where rows do not compete, or are beyond the last.
__device__ inline void mask(const PackedPass& pass, std::int64_t row, std::int64_t tile, WarpgroupSums& x) {
  if (all_compete(pass, row - threadIdx.x % kWarp / 4, 16, tile, kOther)) return;  // alike for all of a warp
  const OwnRows own(pass, row);
  const int first = int(threadIdx.x % 4) * 2, K = int(pass.K), clips = 8 / K, crops = 8 % K;
  AVSA_UNROLL
  for (int n = 0; n < 2; ++n) {
    Label other(pass.other.first + tile + first + n, pass.K);
    AVSA_UNROLL
    for (int c = 0; c < kOther / 8; ++c) {
      AVSA_UNROLL
      for (int half = 0; half < 2; ++half) {
        const bool inside = row + 8 * half < pass.own.count && tile + first + n + 8 * c < pass.other.count;
        if (!inside || !compete(own.label[half], other)) x[c][2 * half + n] = -kInfinity<float>;
      }
      // 8 columns further, without a division.
      other.clip += clips;
      other.crop += crops;
      if (other.crop >= K) other.crop -= K, ++other.clip;
    }
  }
}

// A lane's first row of a block's.
__device__ inline std::int64_t lane_row(std::int64_t block) {
  return block + (threadIdx.x - kWarpgroup) / kWarp * 16 + threadIdx.x % kWarp / 4;
}

}  // namespace avsa::info_nce
