// The only file that knows Python. Integers in, an error code out: shapes and devices are checked in avsa_fast.ops.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ambisonics/ambisonics.h"
#include "core/dispatch.h"
#include "features/features.h"
#include "gnomonic/gnomonic.h"
#include "info_nce/info_nce.h"

namespace {

namespace py = pybind11;
using namespace avsa;
using namespace avsa::ambisonics;
using namespace avsa::features;
using namespace avsa::gnomonic;
using namespace avsa::info_nce;
using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T = void>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

#ifdef AVSA_HAS_DEVICE_KERNELS  // CUDA, or its emulation in the tests
#define AVSA_DEVICE(function) function
#else
#define AVSA_DEVICE(function) nullptr
#endif

// Not called bind: std::bind would be found where a signature names something of std. Makes name_cpu and, where there
// are device kernels, name_cuda, which takes a stream more and returns a cudaError_t. name_cpu returns what cpu does.
template <class Task, class Result, class... A>
void define(py::module_& m, const std::string& name, Task (*task)(A...), Result (*cpu)(const Task&),
            std::type_identity_t<int (*)(const Task&, void*)> cuda) {
  using release = py::call_guard<py::gil_scoped_release>;
  m.def((name + "_cpu").c_str(), [=](A... a) { return cpu(task(a...)); }, release());
  if (cuda != nullptr) {
    m.def((name + "_cuda").c_str(), [=](A... a, Address stream) { return cuda(task(a...), at(stream)); }, release());
  }
}

Harmonics harmonics(int dtype, Address directions, Address out, Size N, int order) {
  return {Dtype(dtype), at<const void>(directions), at(out), N, order};
}

Turns turns(int dtype, Address directions, Address roll, Address flip, Address out, Size N, int order) {
  return {Dtype(dtype), at<const void>(directions), at<const void>(roll), at<const bool>(flip), at(out), N, order};
}

Mix mix(int dtype, Address signals, Address matrix, Address out, Size B, Size C, Size R, Size T, bool by_order) {
  return {Dtype(dtype), at<const void>(signals), at<const void>(matrix), at(out), B, C, R, T, by_order};
}

InfoNcePrepare info_nce_prepare(int dtype, Address query, Address key, Address statistics, Size N, Size D) {
  return {Dtype(dtype), at<const void>(query), at<const void>(key), at<double>(statistics), N, D};
}

// data, statistics, count, first
using RowsNumbers = std::array<Size, 4>;

RowRange rows(const RowsNumbers& n) {
  return {at<const void>(Address(n[0])), at<const double>(Address(n[1])), n[2], n[3]};
}

InfoNceBlock info_nce_block(int dtype, int precision, const RowsNumbers& query, const RowsNumbers& key, Size D, Size K,
                            Address scale, bool symmetric, Address workspace) {
  return {Dtype(dtype), Precision(precision), rows(query), rows(key), D, K, at<const double>(scale),
          symmetric,    at(workspace)};
}

InfoNceWorkspace info_nce_workspace(int dtype, int precision, const RowsNumbers& query, const RowsNumbers& key, Size D,
                                    Size K, Address scale, bool symmetric, Address bytes) {
  return {info_nce_block(dtype, precision, query, key, D, K, scale, symmetric, 0), at<Size>(bytes)};
}

InfoNceScan info_nce_scan(int dtype, int precision, const RowsNumbers& query, const RowsNumbers& key, Size D, Size K,
                          Address scale, bool symmetric, Address workspace, Address query_sums, Address key_sums) {
  return {info_nce_block(dtype, precision, query, key, D, K, scale, symmetric, workspace), at<double>(query_sums),
          at<double>(key_sums)};
}

InfoNceGradient info_nce_gather(int dtype, int precision, const RowsNumbers& query, const RowsNumbers& key, Size D,
                                Size K, Address scale, bool symmetric, Address workspace, Address query_grad,
                                Address key_grad) {
  return {info_nce_block(dtype, precision, query, key, D, K, scale, symmetric, workspace), at(query_grad),
          at(key_grad)};
}

InfoNceProject info_nce_project(int dtype, const RowsNumbers& own, const RowsNumbers& partner, Size D, Address factor,
                                Address grad, Address radial) {
  return {Dtype(dtype), rows(own), rows(partner), D, at<const double>(factor), at(grad), at<double>(radial)};
}

SpatialFeatures spatial_features(int dtype, Address signals, Address matrix, Address window, Address roots,
                                 Address bank, Address first, int spatial, double gain, double w, double xyz,
                                 double norm, Address out, Size B, Size C, Size K, Size M, Size T, Size N, Size n_fft,
                                 Size hop) {
  return {Dtype(dtype),
          at<const void>(signals),
          at<const double>(matrix),
          at<const double>(window),
          at<const double>(roots),
          at<const double>(bank),
          at<const Size>(first),
          Spatial(spatial),
          {gain, w, xyz, norm},
          at(out),
          B,
          C,
          K,
          M,
          T,
          N,
          n_fft,
          hop};
}

GnomonicView gnomonic_view(int pose_dtype, Address directions, Address fov, Address roll, Address flip, bool antialias,
                           int source, Size B, Size F, Size K, Size h, Size w) {
  return {Dtype(pose_dtype),
          at<const void>(directions),
          at<const void>(fov),
          at<const void>(roll),
          at<const bool>(flip),
          antialias,
          Source(source),
          B,
          F,
          K,
          h,
          w};
}

// data, H, W, channels, clip_step, frame_step, row_step; planes after the first are chroma, of half the size.
using PlaneNumbers = std::array<Size, 7>;

Plane plane(const PlaneNumbers& n, bool chroma) {
  return {at<const void>(Address(n[0])), n[1], n[2], n[3], n[4], n[5], n[6], chroma ? 0.25 : 0.5, chroma ? 0.5 : 1.0};
}

Gnomonic gnomonic_forward(int pose_dtype, Address directions, Address fov, Address roll, Address flip, bool antialias,
                          int source, Size B, Size F, Size K, Size h, Size w, int frames_dtype,
                          const std::vector<PlaneNumbers>& planes, const std::array<double, 6>& yuv, Address jitter,
                          Address partial_greys, const std::array<double, 3>& mean, const std::array<double, 3>& std,
                          int out_dtype, Address out) {
  Gnomonic task{};
  task.view = gnomonic_view(pose_dtype, directions, fov, roll, flip, antialias, source, B, F, K, h, w);
  task.frames_dtype = Dtype(frames_dtype);
  for (const PlaneNumbers& numbers : planes) {
    task.plane[task.planes] = plane(numbers, task.planes > 0);
    ++task.planes;
  }
  task.yuv = {yuv[0], yuv[1], yuv[2], yuv[3], yuv[4], yuv[5]};
  task.jitter = at<const void>(jitter);
  task.partial_greys = at<double>(partial_greys);
  std::copy(mean.begin(), mean.end(), task.mean);
  std::copy(std.begin(), std.end(), task.std);
  task.out_dtype = Dtype(out_dtype);
  task.out = at(out);
  return task;
}

GnomonicBackward gnomonic_backward(int pose_dtype, Address directions, Address fov, Address roll, Address flip,
                                   bool antialias, int source, Size B, Size F, Size K, Size h, Size w, int dtype,
                                   Address grad, Size H, Size W, Address unit, Address sums) {
  return {gnomonic_view(pose_dtype, directions, fov, roll, flip, antialias, source, B, F, K, h, w),
          Dtype(dtype),
          at<const void>(grad),
          H,
          W,
          at<const double>(unit),
          at<Size>(sums)};
}

GnomonicPoseBackward gnomonic_pose_backward(int pose_dtype, Address directions, Address fov, Address roll, Address flip,
                                            bool antialias, int source, Size B, Size F, Size K, Size h, Size w,
                                            Address grad, int frames_dtype, const PlaneNumbers& frames, Address sums) {
  return {gnomonic_view(pose_dtype, directions, fov, roll, flip, antialias, source, B, F, K, h, w),
          at<const void>(grad), Dtype(frames_dtype), plane(frames, false), at<double>(sums)};
}

py::dict build() {
  py::dict facts;
#if defined(AVSA_CUDA_RUNTIME)
  facts["cuda"] = true;
  facts["cuda_archs"] = AVSA_CUDA_ARCHS;
  facts["cuda_runtime"] = AVSA_CUDA_RUNTIME;
#else
  facts["cuda"] = false;
  facts["cuda_archs"] = "";
  facts["cuda_runtime"] = py::none();
#endif
  facts["cpu_isa"] = kIsaNames[int(isa())];
#ifdef _OPENMP
  facts["openmp"] = true;
#else
  facts["openmp"] = false;
#endif
  return facts;
}

}  // namespace

#define AVSA_DEFINE_MODULE(name, m) PYBIND11_MODULE(name, m)  // expands the name before pybind11 pastes it

AVSA_DEFINE_MODULE(AVSA_MODULE, m) {
  m.def("build", build);
  define(m, "harmonics", harmonics, harmonics_cpu, AVSA_DEVICE(harmonics_cuda));
  define(m, "turns", turns, turns_cpu, AVSA_DEVICE(turns_cuda));
  define(m, "mix", mix, mix_cpu, AVSA_DEVICE(mix_cuda));
  define(m, "info_nce_prepare", info_nce_prepare, info_nce_prepare_cpu, AVSA_DEVICE(info_nce_prepare_cuda));
  define(m, "info_nce_workspace", info_nce_workspace, info_nce_workspace_cpu, AVSA_DEVICE(info_nce_workspace_cuda));
  define(m, "info_nce_scan", info_nce_scan, info_nce_scan_cpu, AVSA_DEVICE(info_nce_scan_cuda));
  define(m, "info_nce_gather", info_nce_gather, info_nce_gradient_cpu, AVSA_DEVICE(info_nce_gradient_cuda));
  define(m, "info_nce_project", info_nce_project, info_nce_project_cpu, AVSA_DEVICE(info_nce_project_cuda));
  define(m, "spatial_features", spatial_features, spatial_features_cpu, AVSA_DEVICE(spatial_features_cuda));
  define(m, "gnomonic", gnomonic_forward, gnomonic_cpu, AVSA_DEVICE(gnomonic_cuda));
  define(m, "gnomonic_backward", gnomonic_backward, gnomonic_backward_cpu, AVSA_DEVICE(gnomonic_backward_cuda));
  define(m, "gnomonic_pose_backward", gnomonic_pose_backward, gnomonic_pose_backward_cpu,
         AVSA_DEVICE(gnomonic_pose_backward_cuda));
}
