// View of a tensor: its memory, shape and strides belong to the caller.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace avsa {

enum class DeviceType : int { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

// Number of elements of a shape.
inline std::int64_t product(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

struct Tensor {
  void* data = nullptr;
  Dtype dtype = Dtype::unsupported;
  Device device;
  std::span<const std::int64_t> shape, strides;  // strides in elements

  int rank() const { return int(shape.size()); }

  // Negative dimensions count from the last, -1.
  std::int64_t size(int dim) const { return shape[std::size_t(dim < 0 ? dim + rank() : dim)]; }
  std::int64_t stride(int dim) const { return strides[std::size_t(dim < 0 ? dim + rank() : dim)]; }

  // The shape without its last `count` dimensions.
  std::span<const std::int64_t> leading(int count) const { return shape.first(shape.size() - std::size_t(count)); }

  bool contiguous() const {
    if (product(shape) == 0) return true;
    std::int64_t step = 1;
    for (int dim = rank() - 1; dim >= 0; --dim) {
      if (size(dim) != 1 && stride(dim) != step) return false;
      step *= size(dim);
    }
    return true;
  }
};

}  // namespace avsa
