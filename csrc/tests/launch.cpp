// core/launch.h on a model of the device.
#include <cstddef>

#include "tests/check.h"

namespace on_device {
#include "tests/device/cuda_runtime.h"

#include "core/launch.h"

namespace {

int seen_number;
const double* seen_pointer;
void kernel(int number, const double* pointer) {
  seen_number = number;
  seen_pointer = pointer;
}

int launched(std::size_t shared, const double* pointer = nullptr) {
  return avsa::launch(kernel, dim3(2), dim3(32), shared, nullptr, 7, pointer);
}

TEST(arguments_reach_the_kernel) {
  model = {};
  const double number = 1;
  EXPECT(launched(0, &number) == cudaSuccess, "launch");
  EXPECT(seen_number == 7 && seen_pointer == &number, "%d", seen_number);
  EXPECT(model.attribute == 0, "%d", model.attribute);
}

TEST(empty_grids_are_not_launched) {
  model = {};
  EXPECT(avsa::launch(kernel, dim3(0), dim3(32), 0, nullptr, 7, nullptr) == cudaSuccess, "launch");
  EXPECT(model.launches == 0, "%d", model.launches);
}

// 48 KiB of dynamic memory, and 1 KiB that the kernel declares: more than the default limit of both together.
TEST(dynamic_memory_is_allowed_whatever_the_kernel_declares) {
  model = {};
  model.static_shared = 1 << 10;
  EXPECT(launched(48 << 10) == cudaSuccess, "launch");
  EXPECT(model.launches == 1 && model.attribute == 48 << 10, "%d", model.attribute);
}

TEST(refused_memory_leaves_no_error_behind) {
  model = {};
  EXPECT(launched(100 << 10) == cudaErrorInvalidValue, "refused");
  EXPECT(model.launches == 0, "%d", model.launches);
  EXPECT(cudaGetLastError() == cudaSuccess, "the next launch would report it");
}

TEST(shared_memory_of_the_device) {
  model = {};
  EXPECT(avsa::max_shared_bytes() == 99 << 10, "%zu", avsa::max_shared_bytes());
}

}  // namespace
}  // namespace on_device
