#include "gnomonic/gnomonic.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "bindings/call.h"
#include "bindings/check.h"
#include "bindings/tensor.h"

namespace avsa::bindings {
namespace {

namespace py = pybind11;
using namespace gnomonic;

constexpr std::int64_t kMaxElements = std::int64_t(1) << 31;  // of a plane or a crop: kernels index them by 32 bits

constexpr Dtypes kRgb = {Dtype::uint8, Dtype::float32, Dtype::float64};
constexpr Dtypes kYuv = {Dtype::uint8};
constexpr Dtypes kOut = {Dtype::uint8, Dtype::float16, Dtype::bfloat16, Dtype::float32};
constexpr Dtypes kOut64 = {Dtype::uint8, Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64};

// Where the crops look, and how.
struct ViewArguments {
  const Tensor& directions;           // [B, K, 2]
  const Tensor& fov;                  // [B, K]
  const std::optional<Tensor>& roll;  // [B, K]
  const std::optional<Tensor>& flip;  // [B, K]
  bool antialias, eac;
};

// The view of crops [B, K, 3, F, h, w].
GnomonicView check_view(const Check& check, const ViewArguments& view, const char* crops_name, const Tensor& crops) {
  const auto& [directions, fov, roll, flip, antialias, eac] = view;
  check.rank(crops_name, crops, 6);
  const std::int64_t B = crops.size(0), K = crops.size(1), F = crops.size(3), h = crops.size(4), w = crops.size(5);
  if (crops.rank() != 6 || crops.size(2) != 3 || h < 1 || w < 1 || h * w >= kMaxElements)
    refuse(crops_name, "be [B, K, 3, F, h, w] with 1 to 2^31 - 1 pixels");
  check("directions", directions, kFloat32Or64, {B, K, 2});
  check("fov", fov, {directions.dtype}, {B, K});
  if (roll) check("roll", *roll, {directions.dtype}, {B, K});
  if (flip) check("flip", *flip, {Dtype::boolean}, {B, K});
  return {directions.dtype,
          directions.data,
          fov.data,
          roll ? roll->data : nullptr,
          flip ? static_cast<const bool*>(flip->data) : nullptr,
          antialias,
          eac ? Source::eac : Source::erp,
          B,
          F,
          K,
          h,
          w};
}

// A plane [B, F, H, W] or [B, F, H, W, channels] whose rows are contiguous.
Plane check_plane(const Check& check, const char* name, const Tensor& plane, Dtypes dtypes, const GnomonicView& view,
                  std::int64_t channels, bool chroma) {
  check.dtype(name, plane, dtypes);
  const int rank = channels == 1 ? 4 : 5;
  if (plane.rank() != rank || plane.size(0) != view.B || plane.size(1) != view.F ||
      (channels > 1 && plane.size(4) != channels))
    refuse(name, "be [B, F, H, W] or [B, F, H, W, channels] with the crops' B and F");
  const std::int64_t H = plane.size(2), W = plane.size(3);
  if (plane.stride(3) != channels || plane.stride(rank - 1) != 1) refuse(name, "have contiguous rows");
  if (H < 1 || W < 1 || H * plane.stride(2) >= kMaxElements) refuse(name, "hold 1 to 2^31 - 1 elements per frame");
  return {plane.data,          H, W, channels, plane.stride(0), plane.stride(1), plane.stride(2),
          chroma ? 0.25 : 0.5,  // chroma is sited left
          chroma ? 0.5 : 1.0};
}

std::int64_t tiles(std::int64_t h, std::int64_t w) { return (h * w + kTile - 1) / kTile; }

int call_gnomonic(const std::vector<Tensor>& planes, const std::array<double, 6>& yuv, const Tensor& directions,
                  const Tensor& fov, const std::optional<Tensor>& roll, const std::optional<Tensor>& flip,
                  bool antialias, bool eac, const std::optional<Tensor>& jitter, const std::array<double, 3>& mean,
                  const std::array<double, 3>& std, const std::optional<Tensor>& partial_greys,
                  const std::optional<Tensor>& sampled, const Tensor& out, std::uintptr_t stream) {
  if (planes.empty() || planes.size() > 3) refuse("planes", "be 1 to 3: RGB; Y and CbCr; Y, Cb and Cr");
  const Check check(out.device);
  Gnomonic task{};
  task.view = check_view(check, {directions, fov, roll, flip, antialias, eac}, "out", out);
  const std::int64_t B = task.view.B, K = task.view.K, F = task.view.F;
  const bool rgb = planes.size() == 1;
  for (const Tensor& plane : planes) {
    const bool chroma = task.planes > 0;
    const std::int64_t channels = rgb ? 3 : chroma && planes.size() == 2 ? 2 : 1;
    const Plane checked = check_plane(check, "planes", plane, rgb ? kRgb : kYuv, task.view, channels, chroma);
    if (chroma && (2 * checked.H != task.plane[0].H || 2 * checked.W != task.plane[0].W))
      refuse("planes", "have half of Y's size after Y");
    task.plane[task.planes++] = checked;
  }
  task.frames_dtype = planes[0].dtype;
  task.yuv = {yuv[0], yuv[1], yuv[2], yuv[3], yuv[4], yuv[5]};
  if (jitter) {
    check("jitter", *jitter, {directions.dtype}, {B, K, 4});
    if (!partial_greys) refuse("partial_greys", "be a tensor with jitter");
    check("partial_greys", *partial_greys, {Dtype::float64}, {B, K, tiles(task.view.h, task.view.w), F});
    task.jitter = jitter->data;
    task.partial_greys = static_cast<double*>(partial_greys->data);
    if (!uses_device_kernel(out.device)) {
      if (!sampled) refuse("sampled", "be a tensor with jitter on the host");
      const bool wide = task.frames_dtype == Dtype::float64;
      check("sampled", *sampled, {wide ? Dtype::float64 : Dtype::float32}, out.shape, {});
      task.sampled = sampled->data;
    }
  }
  std::copy(mean.begin(), mean.end(), task.mean);
  std::copy(std.begin(), std.end(), task.std);
  check("out", out, task.frames_dtype == Dtype::float64 ? kOut64 : kOut, out.shape, {});
  task.out_dtype = out.dtype;
  task.out = out.data;
  return call(out.device, stream, task, gnomonic_cpu, AVSA_DEVICE(gnomonic_cuda));
}

int call_gnomonic_backward(const Tensor& grad, const Tensor& directions, const Tensor& fov,
                           const std::optional<Tensor>& roll, const std::optional<Tensor>& flip, bool antialias,
                           bool eac, const Tensor& unit, const Tensor& sums, std::uintptr_t stream) {
  const Check check(grad.device);
  const GnomonicView view = check_view(check, {directions, fov, roll, flip, antialias, eac}, "grad", grad);
  check.rank("sums", sums, 5);
  const std::int64_t H = sums.size(2), W = sums.size(3);
  check("grad", grad, kFloat32Or64, grad.shape, {});
  check("unit", unit, {Dtype::float64}, {view.B, view.F});
  check("sums", sums, {Dtype::int64}, {view.B, view.F, H, W, 3});
  const GnomonicBackward task{
      view, grad.dtype, grad.data, H, W, static_cast<const double*>(unit.data), static_cast<std::int64_t*>(sums.data)};
  return call(grad.device, stream, task, gnomonic_backward_cpu, AVSA_DEVICE(gnomonic_backward_cuda));
}

int call_gnomonic_pose_backward(const Tensor& grad, const Tensor& frames, const Tensor& directions, const Tensor& fov,
                                const std::optional<Tensor>& roll, const std::optional<Tensor>& flip, bool antialias,
                                bool eac, const Tensor& sums, std::uintptr_t stream) {
  const Check check(grad.device);
  const GnomonicView view = check_view(check, {directions, fov, roll, flip, antialias, eac}, "grad", grad);
  const Plane plane = check_plane(check, "frames", frames, kRgb, view, 3, false);
  check("grad", grad, {frames.dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32}, grad.shape, {});
  check("sums", sums, {Dtype::float64}, {view.B, view.K, view.tiles(), kPoseParameters});
  const GnomonicPoseBackward task{view, grad.data, frames.dtype, plane, static_cast<double*>(sums.data)};
  return call(grad.device, stream, task, gnomonic_pose_backward_cpu, AVSA_DEVICE(gnomonic_pose_backward_cuda));
}

}  // namespace

void define_gnomonic(py::module_& m) {
  using py::arg;
  m.attr("GNOMONIC_MAX_ELEMENTS") = kMaxElements;
  m.def("gnomonic_tiles", tiles, py::kw_only(), arg("h"), arg("w"));
  m.def("gnomonic", call_gnomonic, py::kw_only(), arg("planes"), arg("yuv"), arg("directions"), arg("fov"), arg("roll"),
        arg("flip"), arg("antialias"), arg("eac"), arg("jitter"), arg("mean"), arg("std"), arg("partial_greys"),
        arg("sampled"), arg("out"), arg("stream") = 0);
  m.def("gnomonic_backward", call_gnomonic_backward, py::kw_only(), arg("grad"), arg("directions"), arg("fov"),
        arg("roll"), arg("flip"), arg("antialias"), arg("eac"), arg("unit"), arg("sums"), arg("stream") = 0);
  m.def("gnomonic_pose_backward", call_gnomonic_pose_backward, py::kw_only(), arg("grad"), arg("frames"),
        arg("directions"), arg("fov"), arg("roll"), arg("flip"), arg("antialias"), arg("eac"), arg("sums"),
        arg("stream") = 0);
}

}  // namespace avsa::bindings
