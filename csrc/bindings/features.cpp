#include "features/features.h"

#include <array>
#include <optional>
#include <string>

#include "bindings/call.h"
#include "bindings/check.h"
#include "bindings/tensor.h"

namespace avsa::bindings {
namespace {

namespace py = pybind11;
using namespace features;

Spatial parse_spatial(const std::optional<std::string>& name) {
  if (!name) return Spatial::none;
  if (*name == "iv") return Spatial::iv;
  if (*name == "icf") return Spatial::icf;
  refuse("spatial", "be \"iv\", \"icf\" or None");
}

int call_spatial_features(const Tensor& signals, const Tensor& matrix, const Tensor& window, const Tensor& roots,
                          const Tensor& bank, const Tensor& first, const std::optional<std::string>& spatial,
                          const std::array<double, 4>& intensity, std::int64_t hop, const Tensor& workspace,
                          const Tensor& out, std::uintptr_t stream) {
  const Check check(signals.device);
  check.rank("signals", signals, 2);
  check.rank("matrix", matrix, 3);
  check.rank("window", window, 1);
  check.rank("bank", bank, 2);
  check.rank("workspace", workspace, 1);
  const auto leading = signals.leading(2);
  const std::int64_t C = signals.size(-2), T = signals.size(-1), K = matrix.size(-3), M = matrix.size(-2);
  const std::int64_t n_fft = window.size(0), N = bank.size(1);
  const Spatial kind = parse_spatial(spatial);
  if (!(M == 1 && C == 1) && !(M == 2 && (C == 2 || C == 4)) && !(M == 4 && C == 4))
    refuse("matrix", "be [..., K, M, C] with (M, C) = (1, 1), (2, 2), (2, 4) or (4, 4)");
  if ((kind == Spatial::iv && M != 4) || (kind == Spatial::icf && M != 2))
    refuse("spatial", "be \"iv\" only with M = 4, \"icf\" only with M = 2");
  if (n_fft < 2 || n_fft % 2 != 0 || n_fft > T) refuse("window", "have an even length, at most that of signals");
  if (hop < 1) refuse("hop", "be at least 1");
  const std::int64_t F = 1 + (T - n_fft) / hop, channels = kind == Spatial::none ? M : M + 3;
  check("signals", signals, kFloat32Or64, leading, {C, T});
  check("matrix", matrix, {Dtype::float64}, leading, {K, M, C});
  check("window", window, {Dtype::float64}, {n_fft});
  check("roots", roots, {Dtype::float64}, {n_fft, 2});
  check("bank", bank, {Dtype::float64}, {n_fft / 2 + 1, N});
  check("first", first, {Dtype::int64}, {N + 2});
  check("workspace", workspace, {Dtype::uint8}, {workspace.size(0)});
  check("out", out, {signals.dtype}, leading, {K, channels, N, F});
  const SpatialFeatures task{signals.dtype,
                             signals.data,
                             static_cast<const double*>(matrix.data),
                             static_cast<const double*>(window.data),
                             static_cast<const double*>(roots.data),
                             static_cast<const double*>(bank.data),
                             static_cast<const std::int64_t*>(first.data),
                             kind,
                             {intensity[0], intensity[1], intensity[2], intensity[3]},
                             out.data,
                             product(leading),
                             C,
                             K,
                             M,
                             T,
                             N,
                             n_fft,
                             hop,
                             workspace.data,
                             workspace.size(0)};
  if (!uses_device_kernel(signals.device) && workspace.size(0) < spatial_features_workspace_size(task))
    refuse("workspace", "have spatial_features_workspace_size() bytes");
  return call(signals.device, stream, task, spatial_features_cpu, AVSA_DEVICE(spatial_features_cuda));
}

// Bytes of the workspace of spatial_features.
std::int64_t call_workspace_size(const Tensor& signals, std::int64_t n_fft, std::int64_t hop) {
  if (uses_device_kernel(signals.device)) return 0;
  const Check check(signals.device);
  check.rank("signals", signals, 2);
  if (n_fft < 2 || n_fft > signals.size(-1)) refuse("n_fft", "be 2 to the length of signals");
  if (hop < 1) refuse("hop", "be at least 1");
  SpatialFeatures task{};
  task.B = product(signals.leading(2));
  task.C = signals.size(-2);
  task.T = signals.size(-1);
  task.n_fft = n_fft;
  task.hop = hop;
  return spatial_features_workspace_size(task);
}

}  // namespace

void define_features(py::module_& m) {
  using py::arg;
  m.def("spatial_features", call_spatial_features, py::kw_only(), arg("signals"), arg("matrix"), arg("window"),
        arg("roots"), arg("bank"), arg("first"), arg("spatial"), arg("intensity"), arg("hop"), arg("workspace"),
        arg("out"), arg("stream") = 0);
  m.def("spatial_features_workspace_size", call_workspace_size, py::kw_only(), arg("signals"), arg("n_fft"),
        arg("hop"));
}

}  // namespace avsa::bindings
