// The emulation of CUDA: it reports what would be undefined on a device, and refuses what a device refuses. Each test
// plants one such fault in a kernel that is right otherwise.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "core/vectors.h"
#include "info_nce/cuda/device.h"
#include "tests/check.h"

namespace avsa::info_nce {
namespace {

// What a function prints to stderr before it aborts, in a process of its own; empty if it does not abort.
template <class F>
std::string fault_of(const F& function) {
  std::fflush(stdout);
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    function();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[256];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) text.append(part, std::size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? text : "";
}

template <class... P>
void run_block(void (*kernel)(P...), unsigned threads, std::size_t shared, P... values) {
  launch(kernel, dim3(1), dim3(threads), shared, nullptr, values...);
}

#define EXPECT_FAULT(text, ...)                                                                      \
  do {                                                                                               \
    const std::string found = fault_of([&] { run_block(__VA_ARGS__); });                             \
    EXPECT(found.find(text) != std::string::npos, "%s", found.empty() ? "no fault" : found.c_str()); \
  } while (false)
#define EXPECT_NO_FAULT(...)                                             \
  do {                                                                   \
    const std::string found = fault_of([&] { run_block(__VA_ARGS__); }); \
    EXPECT(found.empty(), "%s", found.c_str());                          \
  } while (false)

void nothing() {}
void static_memory() {
  __shared__ int number;
  number = int(threadIdx.x);
  if (number > 1024) std::abort();
}

TEST(shared_memory_beyond_the_architecture_is_refused) {
  const std::pair<int, std::size_t> limits[] = {{80, 163}, {86, 99}, {89, 99}, {90, 227}, {120, 99}};
  for (const auto& [architecture, kib] : limits) {
    emulation::set_architecture(architecture);
    const int fits = launch(nothing, dim3(1), dim3(32), kib << 10, nullptr);
    const int beyond = launch(nothing, dim3(1), dim3(32), (kib << 10) + 1, nullptr);
    EXPECT(fits == 0 && beyond == 1, "%d: %d, %d", architecture, fits, beyond);
  }
  emulation::set_architecture(90);
}

TEST(grids_and_blocks_beyond_the_limits_are_refused) {
  EXPECT(launch(nothing, dim3(1, 65536), dim3(32), 0, nullptr) == 9, "grid.y");
  EXPECT(launch(nothing, dim3(1, 1, 65536), dim3(32), 0, nullptr) == 9, "grid.z");
  EXPECT(launch(nothing, dim3(0x80000000u), dim3(32), 0, nullptr) == 9, "grid.x");
  EXPECT(launch(nothing, dim3(1), dim3(1025), 0, nullptr) == 9, "threads");
  EXPECT(launch(nothing, dim3(1), dim3(1, 1, 65), 0, nullptr) == 9, "block.z");
  EXPECT(launch(nothing, dim3(1), dim3(1024), 0, nullptr) == 0, "1024 threads");
}

TEST(static_beside_dynamic_shared_memory_is_a_fault) {
  EXPECT_NO_FAULT(static_memory, 32, 0);
  EXPECT_FAULT("static shared memory", static_memory, 32, 16);
}

// --- alignment: kernels take the offset in bytes by which an address is wrong ---

alignas(16) unsigned char global[256];

void copy(int shared, int from) {
  copy_16_bytes(dynamic_shared<unsigned char>() + shared, global + from);
  commit_copies();
  wait_for_copies<0>();
}
void load_rows(int offset) {
  std::uint32_t to[4];
  ldmatrix(shared_address(dynamic_shared<unsigned char>() + offset), to);
}
void copy_in_bulk(int offset, int bytes) {
  auto* barrier = dynamic_shared<Mbarrier>();
  barrier->init(1);
  fence_barrier_init();
  barrier->arrive_and_expect(bytes);
  barrier->copy(dynamic_shared<unsigned char>() + 64 + offset, global, bytes);
  barrier->wait(0);
}
void store_vector(int offset) {
  struct alignas(16) Four {
    float at[4];
  };
  store_streaming(reinterpret_cast<Four*>(global + offset), Four{});
}
void load_vectors(int offset) {
  struct alignas(8) Two {
    float at[2];
  };
  if (load_vector(reinterpret_cast<const Two*>(global + offset)).at[0] > 1) std::abort();
}

TEST(misaligned_accesses_are_faults) {
  EXPECT_NO_FAULT(copy, 1, 256, 16, 32);
  EXPECT_FAULT("copy_16_bytes of a misaligned", copy, 1, 256, 8, 0);
  EXPECT_FAULT("copy_16_bytes of a misaligned", copy, 1, 256, 0, 4);
  EXPECT_NO_FAULT(load_rows, 32, 256, 16);
  EXPECT_FAULT("ldmatrix of a misaligned", load_rows, 32, 256, 8);
  EXPECT_NO_FAULT(copy_in_bulk, 1, 256, 0, 32);
  EXPECT_FAULT("bulk copy of a misaligned", copy_in_bulk, 1, 256, 8, 32);
  EXPECT_FAULT("bulk copy of a misaligned", copy_in_bulk, 1, 256, 0, 24);
  EXPECT_NO_FAULT(store_vector, 1, 0, 32);
  EXPECT_FAULT("vector store of a misaligned", store_vector, 1, 0, 8);
  EXPECT_NO_FAULT(load_vectors, 1, 0, 8);
  EXPECT_FAULT("vector load of a misaligned", load_vectors, 1, 0, 4);
}

// Shared memory begins at a multiple of 16 bytes only: whoever needs more has to align it.
void check_begin() {
  if (shared_address(dynamic_shared<unsigned char>()) % 1024 != 16) std::abort();
  if (number_of(dynamic_shared<unsigned char>()) % 1024 != 16) std::abort();
}
TEST(shared_memory_begins_at_16_bytes) { EXPECT_NO_FAULT(check_begin, 1, 64); }

// --- shuffles ---

void shuffle(unsigned mask) {
  if (__shfl_xor_sync(mask, int(threadIdx.x), 1) != int(threadIdx.x ^ 1)) std::abort();
}
void shuffle_in_branches() {
  if (threadIdx.x % 2 == 0)
    __shfl_xor_sync(~0u, 1, 2);
  else
    __shfl_xor_sync(~0u, 2, 2);
}
void shuffle_after_return() {
  if (threadIdx.x == 5) return;
  __shfl_xor_sync(~0u, 1, 2);
}

TEST(shuffles_need_every_lane_at_one_line) {
  EXPECT_NO_FAULT(shuffle, 64, 0, ~0u);
  EXPECT_FAULT("a mask that leaves out lanes", shuffle, 32, 0, 0xffffu);
  EXPECT_FAULT("lanes that do not exist", shuffle, 16, 0, ~0u);
  EXPECT_FAULT("another lane of the warp is at line", shuffle_in_branches, 32, 0);
  EXPECT_FAULT("a lane that has returned", shuffle_after_return, 32, 0);
}

// --- orders of threads ---

int results[64];

// Each thread reads what its predecessor wrote, with or without a barrier between the two.
void read_predecessor(bool wait) {
  int* shared = dynamic_shared<int>();
  shared[threadIdx.x] = int(threadIdx.x);
  if (wait) __syncthreads();
  results[threadIdx.x] = threadIdx.x > 0 ? shared[threadIdx.x - 1] : -1;
}

bool right_in(emulation::Order order, bool wait) {
  emulation::order = order;
  run_block(read_predecessor, 64, 256, wait);
  emulation::order = emulation::Order::ascending;
  bool right = true;
  for (int i = 0; i < 64; ++i) right &= results[i] == i - 1;
  return right;
}

TEST(a_missing_barrier_shows_in_another_order) {
  using enum emulation::Order;
  for (const auto order : {ascending, descending, random}) EXPECT(right_in(order, true), "%d", int(order));
  EXPECT(right_in(ascending, false), "threads in their order hide it");
  EXPECT(!right_in(descending, false), "descending");
  EXPECT(!right_in(random, false), "random");
}

// --- asynchronous products ---

// d = A B with A = 1 in registers and B = 1; then A is overwritten, after the wait or before it.
void multiply(bool fence, bool late) {
  auto* shared = dynamic_shared<unsigned char>();
  unsigned char* b = shared + (-shared_address(shared) & 1023u);
  for (unsigned i = threadIdx.x; i < 16 * 64; i += 128) reinterpret_cast<std::uint16_t*>(b)[i] = 0x3f80;
  __syncthreads();
  WarpgroupSums d = {};
  RegistersA a;
  for (auto& pair : a) pair = bfloat16_pair(1, 1);
  if (fence) fence_wgmma();
  start_wgmma_half<0>(d, a, operand_descriptor(shared_address(b)));
  commit_wgmma();
  if (!late) a[0] = 0;
  wait_for_wgmma<0>(d);
  if (late) a[0] = 0;
  for (int c = 0; c < 8; ++c)
    for (const float sum : d[c])
      if (sum != 16) emulation::fault("a wrong product");
}

TEST(products_need_a_fence_and_their_registers) {
  EXPECT_NO_FAULT(multiply, 128, 4096, true, true);
  EXPECT_FAULT("wgmma without fence_wgmma", multiply, 128, 4096, false, true);
  EXPECT_FAULT("a wrong product", multiply, 128, 4096, true, false);
}

void copy_without_fence() {
  auto* barrier = dynamic_shared<Mbarrier>();
  barrier->init(1);
  barrier->copy(dynamic_shared<unsigned char>() + 64, global, 16);
}
TEST(barriers_have_to_be_made_known_to_the_copy_engine) {
  EXPECT_FAULT("no fence_barrier_init", copy_without_fence, 1, 256);
}

}  // namespace
}  // namespace avsa::info_nce
