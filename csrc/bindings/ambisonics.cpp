#include "ambisonics/ambisonics.h"

#include <optional>

#include "ambisonics/harmonics.h"
#include "bindings/call.h"
#include "bindings/check.h"
#include "bindings/tensor.h"

namespace avsa::bindings {
namespace {

namespace py = pybind11;
using namespace ambisonics;

// [..., 2] directions of order 0 to kMaxOrder. Returns the number of channels.
std::int64_t check_directions(const Check& check, const Tensor& directions, int order) {
  check.rank("directions", directions, 1);
  check("directions", directions, kFloat32Or64, directions.leading(1), {2});
  if (order < 0 || order > kMaxOrder) refuse("order", "be 0 to 7");
  return (order + 1) * (order + 1);
}

int call_harmonics(const Tensor& directions, const Tensor& out, int order, std::uintptr_t stream) {
  const Check check(directions.device);
  const std::int64_t C = check_directions(check, directions, order);
  const auto leading = directions.leading(1);
  check("out", out, {directions.dtype}, leading, {C});
  const Harmonics task{directions.dtype, directions.data, out.data, product(leading), order};
  return call(directions.device, stream, task, harmonics_cpu, AVSA_DEVICE(harmonics_cuda));
}

int call_rotation_matrices(const Tensor& directions, const std::optional<Tensor>& roll,
                           const std::optional<Tensor>& flip, const Tensor& out, int order, std::uintptr_t stream) {
  const Check check(directions.device);
  const std::int64_t C = check_directions(check, directions, order);
  const auto leading = directions.leading(1);
  if (roll) check("roll", *roll, {directions.dtype}, leading, {});
  if (flip) check("flip", *flip, {Dtype::boolean}, leading, {});
  check("out", out, {directions.dtype}, leading, {C, C});
  const RotationMatrices task{directions.dtype,
                              directions.data,
                              roll ? roll->data : nullptr,
                              flip ? static_cast<const bool*>(flip->data) : nullptr,
                              out.data,
                              product(leading),
                              order};
  return call(directions.device, stream, task, rotation_matrices_cpu, AVSA_DEVICE(rotation_matrices_cuda));
}

int call_mix(const Tensor& signals, const Tensor& matrix, const Tensor& out, bool by_order, std::uintptr_t stream) {
  const Check check(signals.device);
  check.rank("signals", signals, 2);
  check.rank("matrix", matrix, 2);
  const auto leading = signals.leading(2);
  const std::int64_t C = signals.size(-2), R = matrix.size(-2), T = signals.size(-1);
  check("signals", signals, {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64}, leading, {C, T});
  check("matrix", matrix, {signals.dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32}, leading, {R, C});
  check("out", out, {signals.dtype}, leading, {R, T});
  if (by_order && (C == 0 || R % C != 0)) refuse("matrix", "have a multiple of C rows with by_order");
  const Mix task{signals.dtype, signals.data, matrix.data, out.data, product(leading), C, R, T, by_order};
  return call(signals.device, stream, task, mix_cpu, AVSA_DEVICE(mix_cuda));
}

}  // namespace

void define_ambisonics(py::module_& m) {
  using py::arg;
  m.attr("MAX_ORDER") = kMaxOrder;
  m.attr("MAX_ELEVATION") = kMaxElevation;
  m.def("harmonics", call_harmonics, py::kw_only(), arg("directions"), arg("out"), arg("order"), arg("stream") = 0);
  m.def("rotation_matrices", call_rotation_matrices, py::kw_only(), arg("directions"), arg("roll"), arg("flip"),
        arg("out"), arg("order"), arg("stream") = 0);
  m.def("mix", call_mix, py::kw_only(), arg("signals"), arg("matrix"), arg("out"), arg("by_order"), arg("stream") = 0);
}

}  // namespace avsa::bindings
