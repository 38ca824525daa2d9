// Checks of tensor arguments. Each throws std::invalid_argument (ValueError) with one line that names the argument.
#pragma once
#include <initializer_list>
#include <span>

#include "core/tensor.h"

namespace avsa::bindings {

using Dtypes = std::initializer_list<Dtype>;
using Shape = std::initializer_list<std::int64_t>;
inline constexpr Dtypes kFloat32Or64 = {Dtype::float32, Dtype::float64};

// Checks the tensors of one call, which are all on one device.
class Check {
 public:
  explicit Check(const Device& device) : device_(device) {}

  // A contiguous tensor whose shape is `leading`, then `last`.
  void operator()(const char* name, const Tensor& tensor, Dtypes dtypes, std::span<const std::int64_t> leading,
                  Shape last) const;
  void operator()(const char* name, const Tensor& tensor, Dtypes dtypes, Shape shape) const;

  void rank(const char* name, const Tensor& tensor, int min) const;
  void dtype(const char* name, const Tensor& tensor, Dtypes dtypes) const;  // and the device

 private:
  Device device_;
};

[[noreturn]] void refuse(const char* name, const char* requirement);

}  // namespace avsa::bindings
