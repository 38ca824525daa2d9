// Counterpart of csrc/info_nce/cuda/device.h on the host, for tests. Copies and products happen as late as the waits
// for them allow (every second bulk copy as early as possible), so that data that is read or overwritten too early
// shows.
#pragma once
#include <cmath>
#include <deque>
#include <map>
#include <numeric>
#include <vector>

#include "core/launch.h"
#include "info_nce/cuda/operands.h"

namespace avsa::info_nce {

constexpr int kMaxScanBlocks = 2;  // so that tests see thread blocks that scan more than their first own rows

inline bool is_hopper() { return emulation::architecture().number / 10 == 9; }

// Addresses of the thread block's dynamic shared memory.
inline SharedAddress shared_address(const void* p) {
  return SharedAddress(static_cast<const unsigned char*>(p) - dynamic_shared<unsigned char>() +
                       emulation::kSharedBegin);
}
inline const unsigned char* shared_pointer(SharedAddress address) {
  return dynamic_shared<unsigned char>() + (address - emulation::kSharedBegin);
}

// Checks that addresses are multiples of `bytes`.
inline void check_aligned(std::uint64_t addresses, std::uint64_t bytes, const char* what) {
  if (addresses % bytes != 0) emulation::fault("%s of a misaligned address", what);
}
inline std::uint64_t number_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

inline float fast_exp2(float x) { return std::exp2(x); }

// A thread's operations that are not waited for yet, in groups; run(operation) executes one.
template <class Operation>
struct AsyncGroups {
  std::deque<std::vector<Operation>> groups;
  std::vector<Operation> open;

  static AsyncGroups& of_thread() {
    static thread_local std::map<unsigned, AsyncGroups> threads;
    return threads[threadIdx.x];
  }
  void commit() {
    groups.push_back(std::move(open));
    open.clear();
  }
  void wait_for_all_but(std::size_t count) {
    for (; groups.size() > count; groups.pop_front())
      for (const Operation& operation : groups.front()) run(operation);
  }
};

struct Copy {
  void* to;
  const void* from;
};
inline void run(const Copy& copy) { std::memcpy(copy.to, copy.from, 16); }

inline void copy_16_bytes(void* shared, const void* global) {
  check_aligned(shared_address(shared) | number_of(global), 16, "copy_16_bytes");
  AsyncGroups<Copy>::of_thread().open.push_back({shared, global});
}
inline void commit_copies() { AsyncGroups<Copy>::of_thread().commit(); }
template <int n>
void wait_for_copies() {
  AsyncGroups<Copy>::of_thread().wait_for_all_but(n);
}

// Each lane publishes its registers to its warp. multiply: the product of a register of A and one of B.
template <class Multiply>
void mma(const RegistersA& a, const RegistersB& b, float (&d)[4], Multiply multiply) {
  struct Registers {
    RegistersA a;
    RegistersB b;
  };
  static thread_local Registers published[32][kWarp];
  Registers(&warp)[kWarp] = published[threadIdx.x / kWarp];
  const int lane = int(threadIdx.x % kWarp), g = lane / 4, t = lane % 4;
  for (int n = 0; n < 4; ++n) warp[lane].a[n] = a[n];
  for (int n = 0; n < 2; ++n) warp[lane].b[n] = b[n];
  __syncwarp();
  for (int n = 0; n < 4; ++n)
    for (int k = 0; k < 8; ++k)
      d[n] += multiply(warp[g * 4 + k % 4].a[n / 2 + k / 4 * 2], warp[(2 * t + n % 2) * 4 + k % 4].b[k / 4]);
  __syncwarp();
}

inline void mma_bf16(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  mma(a, b, d, [](std::uint32_t x, std::uint32_t y) {
    return float_of(x << 16) * float_of(y << 16) + float_of(x & 0xffff0000u) * float_of(y & 0xffff0000u);
  });
}

inline void mma_tf32(const RegistersA& a, const RegistersB& b, float (&d)[4]) {
  mma(a, b, d, [](std::uint32_t x, std::uint32_t y) { return float_of(x & 0xffffe000u) * float_of(y & 0xffffe000u); });
}

// Each lane publishes its row's address; load(m, rows) loads the lane's register of matrix m from its 8 rows.
template <class Load>
void load_matrices(SharedAddress row, Load load) {
  static thread_local SharedAddress published[32][kWarp];
  SharedAddress(&rows)[kWarp] = published[threadIdx.x / kWarp];
  check_aligned(row, 16, "ldmatrix");
  rows[threadIdx.x % kWarp] = row;
  __syncwarp();
  for (int m = 0; m < 4; ++m) load(m, rows + 8 * m);
  __syncwarp();
}

inline std::uint32_t load_word(SharedAddress address) {
  check_aligned(address, sizeof(std::uint32_t), "load_word");
  std::uint32_t word;
  std::memcpy(&word, shared_pointer(address), sizeof word);
  return word;
}

inline void ldmatrix(SharedAddress row, std::uint32_t (&to)[4]) {
  load_matrices(row, [&](int m, const SharedAddress* rows) {
    to[m] = load_word(rows[threadIdx.x % kWarp / 4] + threadIdx.x % 4 * 4);
  });
}

inline void ldmatrix_transposed(SharedAddress row, std::uint32_t (&to)[4]) {
  load_matrices(row, [&](int m, const SharedAddress* rows) {
    std::uint16_t numbers[2];
    for (int n = 0; n < 2; ++n)
      std::memcpy(&numbers[n], shared_pointer(rows[threadIdx.x % 4 * 2 + n] + threadIdx.x % kWarp / 4 * 2), 2);
    to[m] = numbers[0] | std::uint32_t(numbers[1]) << 16;
  });
}

class Mbarrier {
 public:
  void init(int n) {
    check_aligned(shared_address(this), 8, "a barrier");
    BulkCopies::of_block().fenced = false;
    count = pending = std::int8_t(n);
    bytes = 0;
    phase = 0;
  }
  void arrive() {
    --pending;
    end_phase_if_complete();
  }
  void arrive_and_expect(int n) {
    bytes += n;
    arrive();
  }
  void copy(void* shared, const void* global, int n) {
    BulkCopies& copies = BulkCopies::of_block();
    check_aligned(shared_address(shared) | number_of(global) | std::uint64_t(n), 16, "a bulk copy");
    if (!copies.fenced) emulation::fault("a bulk copy on a barrier that no fence_barrier_init made known");
    copies.early = !copies.early;
    if (copies.early)
      finish({this, shared, global, n});
    else
      copies.late.push_back({this, shared, global, n});
  }
  void wait(int parity) {
    auto& late = BulkCopies::of_block().late;
    emulation::wait_until([&] {
      for (std::size_t i = 0; i < late.size();) {
        if (late[i].barrier == this) {
          finish(late[i]);
          late.erase(late.begin() + std::ptrdiff_t(i));
        } else {
          ++i;
        }
      }
      return phase != parity;
    });
  }
  static void fence_init() { BulkCopies::of_block().fenced = true; }

 private:
  struct BulkCopy {
    Mbarrier* barrier;
    void* to;
    const void* from;
    int bytes;
  };
  struct BulkCopies {
    std::vector<BulkCopy> late;
    bool early = false, fenced = false;

    static BulkCopies& of_block() {
      static thread_local BulkCopies copies;
      return copies;
    }
  };

  void finish(const BulkCopy& copy) {
    std::memcpy(copy.to, copy.from, std::size_t(copy.bytes));
    bytes -= copy.bytes;
    end_phase_if_complete();
  }
  void end_phase_if_complete() {
    ++emulation::current->events;
    if (pending > 0 || bytes != 0) return;
    pending = count;
    phase ^= 1;
  }

  std::int8_t count, pending;
  std::int16_t phase;
  std::int32_t bytes;  // expected but not there yet
};
static_assert(sizeof(Mbarrier) == 8);  // as on the device

inline void fence_barrier_init() { Mbarrier::fence_init(); }

inline void named_barrier(int id, int threads) {
  static thread_local long arrived[16];
  const long end = (arrived[id]++ / threads + 1) * threads;
  ++emulation::current->events;
  emulation::wait_until([&] { return arrived[id] >= end; });
}

template <int count>
void dealloc_registers() {}
template <int count>
void alloc_registers() {}

#define AVSA_ON_SM90A(call) call

// A product of a warpgroup: of the full sums with A in shared memory, or of a half of their columns with A in
// registers, which are read when it ends: by then they must not have been overwritten.
struct Wgmma {
  float (*d)[4];
  bool add;
  std::uint64_t a, b;
  const RegistersA* registers;  // null if A is in shared memory
};

// Reads `count` neighbours of an operand from depth k on: of its row (A) or column (B) `line`.
template <int count>
void read_operand(std::uint64_t descriptor, bool k_major, int line, int k, float* to) {
  if (descriptor >> 62 != 1) emulation::fault("a descriptor without the 128-byte swizzle");
  const auto field = [&](int bit) { return std::uint32_t(descriptor >> bit & 0x3fff) << 4; };
  const auto i = std::uint32_t(line), depth = std::uint32_t(k), stride = field(32);
  SharedAddress at =
      field(0) + (k_major ? i / 8 * stride + i % 8 * 128 + depth * 2 : i * 2 + depth / 8 * stride + depth % 8 * 128);
  at ^= (at >> 7 & 7) << 4;
  std::uint16_t bits[count];
  std::memcpy(bits, shared_pointer(at), sizeof bits);
  for (int n = 0; n < count; ++n) to[n] = widen(Bfloat16{bits[n]});
}

// The calling thread's sums.
inline void run(const Wgmma& product) {
  const int lane = int(threadIdx.x % kWarp), g = lane / 4, t = lane % 4, first = int(threadIdx.x / kWarp % 4) * 16;
  float (*d)[4] = product.d;
  if (product.registers) {
    for (int c = 0; c < 8; ++c) {
      RegistersB b;
      for (int n = 0; n < 2; ++n) {
        float pair[2];
        for (int i = 0; i < 2; ++i) read_operand<1>(product.b, false, c * 8 + g, 2 * t + 8 * n + i, pair + i);
        b[n] = bfloat16_pair(pair[0], pair[1]);
      }
      mma_bf16(*product.registers, b, d[c]);
    }
    return;
  }
  float rows[2][16], columns[2][16];
  const auto read = [](std::uint64_t descriptor, int line, float (&to)[16]) {
    for (int k = 0; k < 16; k += 8) read_operand<8>(descriptor, true, line, k, to + k);
  };
  for (int half = 0; half < 2; ++half) read(product.a, first + g + half * 8, rows[half]);
  for (int c = 0; c < 16; ++c) {
    for (int n = 0; n < 2; ++n) read(product.b, c * 8 + 2 * t + n, columns[n]);
    for (int n = 0; n < 4; ++n)
      d[c][n] = std::inner_product(rows[n / 2], rows[n / 2] + 16, columns[n % 2], product.add ? d[c][n] : 0.0f);
  }
}

// Whether the thread has fenced its registers since its last group of products.
inline bool& fenced_registers() {
  static thread_local std::map<unsigned, bool> threads;
  return threads[threadIdx.x];
}
inline void start(const Wgmma& product) {
  if (!fenced_registers()) emulation::fault("wgmma without fence_wgmma before the first product of its group");
  AsyncGroups<Wgmma>::of_thread().open.push_back(product);
}
inline void start_wgmma(WarpgroupSums& d, std::uint64_t a, std::uint64_t b, bool add) {
  start({d, add, a, b, nullptr});
}
template <int half>
void start_wgmma_half(WarpgroupSums& d, const RegistersA& a, std::uint64_t b) {
  start({d + 8 * half, true, 0, b, &a});
}
inline void fence_wgmma() { fenced_registers() = true; }
inline void commit_wgmma() {
  fenced_registers() = false;
  AsyncGroups<Wgmma>::of_thread().commit();
}
template <int n>
void wait_for_wgmma() {
  AsyncGroups<Wgmma>::of_thread().wait_for_all_but(n);
}
template <int n>
void wait_for_wgmma(WarpgroupSums&) {
  wait_for_wgmma<n>();
}

}  // namespace avsa::info_nce
