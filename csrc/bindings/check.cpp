#include "bindings/check.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace avsa::bindings {
namespace {

std::string text(std::span<const std::int64_t> leading, std::span<const std::int64_t> last = {}) {
  std::string out;
  for (const auto part : {leading, last})
    for (const std::int64_t size : part) out += (out.empty() ? "" : ", ") + std::to_string(size);
  return "[" + out + "]";
}

std::string text(const Device& device) {
  return device.type == DeviceType::cpu ? "the CPU" : "cuda:" + std::to_string(device.index);
}

}  // namespace

void refuse(const char* name, const char* requirement) {
  throw std::invalid_argument(std::string(name) + " must " + requirement);
}

void Check::dtype(const char* name, const Tensor& tensor, Dtypes dtypes) const {
  if (tensor.device != device_)
    throw std::invalid_argument(std::string(name) + " must be on " + text(device_) + ", not " + text(tensor.device));
  if (std::find(dtypes.begin(), dtypes.end(), tensor.dtype) != dtypes.end()) return;
  std::string allowed;
  for (const Dtype dtype : dtypes) allowed += (allowed.empty() ? "" : " or ") + std::string(dtype_name(dtype));
  throw std::invalid_argument(std::string(name) + " must be " + allowed + ", not " + dtype_name(tensor.dtype));
}

void Check::rank(const char* name, const Tensor& tensor, int min) const {
  if (tensor.rank() >= min) return;
  throw std::invalid_argument(std::string(name) + " must have at least " + std::to_string(min) + " dimensions, not " +
                              text(tensor.shape));
}

void Check::operator()(const char* name, const Tensor& tensor, Dtypes dtypes, std::span<const std::int64_t> leading,
                       Shape last) const {
  dtype(name, tensor, dtypes);
  const bool fits = tensor.shape.size() == leading.size() + last.size() &&
                    std::equal(leading.begin(), leading.end(), tensor.shape.begin()) &&
                    std::equal(last.begin(), last.end(), tensor.shape.begin() + std::ptrdiff_t(leading.size()));
  if (!fits)
    throw std::invalid_argument(std::string(name) + " must be " + text(leading, {last.begin(), last.size()}) +
                                ", not " + text(tensor.shape));
  if (!tensor.contiguous()) refuse(name, "be contiguous");
}

void Check::operator()(const char* name, const Tensor& tensor, Dtypes dtypes, Shape shape) const {
  (*this)(name, tensor, dtypes, {}, shape);
}

}  // namespace avsa::bindings
