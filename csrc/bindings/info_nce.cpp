#include "info_nce/info_nce.h"

#include <string>

#include "bindings/call.h"
#include "bindings/check.h"
#include "bindings/tensor.h"

namespace avsa::bindings {
namespace {

namespace py = pybind11;
using namespace info_nce;

constexpr const char* kPrecisions[] = {"fp32", "tf32", "3xtf32", "bf16"};  // by Precision

Precision parse_precision(const std::string& name) {
  int number = 0;
  for (const char* known : kPrecisions) {
    if (name == known) return Precision(number);
    ++number;
  }
  refuse("precision", ("be one of fp32, tf32, 3xtf32, bf16, not '" + name + "'").c_str());
}

// RowRange [n, D] of one side of a block, and their statistics [n, 3].
struct Side {
  const char* name;
  const char* statistics_name;
  const Tensor& data;
  const Tensor& statistics;
  std::int64_t first;  // the first row's number among all rows
};

RowRange check_rows(const Check& check, const Side& side, Dtypes dtypes, std::int64_t D) {
  const std::int64_t n = side.data.size(0);
  check(side.name, side.data, dtypes, {n, D});
  check(side.statistics_name, side.statistics, {Dtype::float64}, {n, kStatistics});
  return {side.data.data, static_cast<const double*>(side.statistics.data), n, side.first};
}

// The arguments of info_nce_workspace_size, info_nce_scan and info_nce_gradient that say which rows meet, and how.
InfoNceBlock check_block(const Check& check, const Side& query, const Side& key, const Tensor& scale,
                         std::int64_t crops, bool symmetric, const std::string& precision, bool wgmma) {
  check.rank("query", query.data, 2);
  check.rank("key", key.data, 2);
  const std::int64_t D = query.data.size(1);
  const Dtype dtype = query.data.dtype;
  const RowRange query_rows = check_rows(check, query, kFloat32Or64, D), key_rows = check_rows(check, key, {dtype}, D);
  check("scale", scale, {Dtype::float64}, Shape{});
  if (crops < 1) refuse("crops", "be at least 1");
  const Precision number = parse_precision(precision);
  if (dtype == Dtype::float64 && number != Precision::fp32) refuse("precision", "be fp32 for float64 rows");
  return {dtype,     number, query_rows, key_rows, D, crops, static_cast<const double*>(scale.data),
          symmetric, wgmma,  nullptr};
}

int call_has_wgmma(const Tensor& rows, std::uintptr_t stream) {
  bool answer = false;
  call(rows.device, stream, InfoNceHasWgmma{&answer}, info_nce_has_wgmma_cpu, AVSA_DEVICE(info_nce_has_wgmma_cuda));
  return answer;
}

std::int64_t workspace_size(const Device& device, const InfoNceBlock& block, std::uintptr_t stream) {
  std::int64_t bytes = 0;
  call(device, stream, InfoNceWorkspace{block, &bytes}, info_nce_workspace_cpu, AVSA_DEVICE(info_nce_workspace_cuda));
  return bytes;
}

// The memory of a workspace that is large enough for the block.
void* check_workspace(const Check& check, const InfoNceBlock& block, const Tensor& workspace, std::uintptr_t stream) {
  check("workspace", workspace, {Dtype::uint8}, workspace.shape, {});
  if (product(workspace.shape) < workspace_size(workspace.device, block, stream))
    refuse("workspace", "have info_nce_workspace_size() bytes");
  return workspace.data;
}

int call_prepare(const Tensor& query, const Tensor& key, const Tensor& statistics, std::uintptr_t stream) {
  const Check check(query.device);
  check.rank("query", query, 2);
  const std::int64_t N = query.size(0), D = query.size(1);
  check("query", query, kFloat32Or64, {N, D});
  check("key", key, {query.dtype}, {N, D});
  check("statistics", statistics, {Dtype::float64}, {2, N, kStatistics});
  const InfoNcePrepare task{query.dtype, query.data, key.data, static_cast<double*>(statistics.data), N, D};
  return call(query.device, stream, task, info_nce_prepare_cpu, AVSA_DEVICE(info_nce_prepare_cuda));
}

std::int64_t call_workspace_size(const Tensor& query, const Tensor& query_statistics, std::int64_t query_first,
                                 const Tensor& key, const Tensor& key_statistics, std::int64_t key_first,
                                 const Tensor& scale, std::int64_t crops, bool symmetric, const std::string& precision,
                                 bool wgmma, std::uintptr_t stream) {
  const Check check(query.device);
  const Side queries{"query", "query_statistics", query, query_statistics, query_first};
  const Side keys{"key", "key_statistics", key, key_statistics, key_first};
  return workspace_size(query.device, check_block(check, queries, keys, scale, crops, symmetric, precision, wgmma),
                        stream);
}

int call_scan(const Tensor& query, const Tensor& query_statistics, std::int64_t query_first, const Tensor& key,
              const Tensor& key_statistics, std::int64_t key_first, const Tensor& scale, std::int64_t crops,
              bool symmetric, const std::string& precision, bool wgmma, const Tensor& workspace,
              const Tensor& query_sums, const Tensor& key_sums, std::uintptr_t stream) {
  const Check check(query.device);
  const Side queries{"query", "query_statistics", query, query_statistics, query_first};
  const Side keys{"key", "key_statistics", key, key_statistics, key_first};
  InfoNceBlock block = check_block(check, queries, keys, scale, crops, symmetric, precision, wgmma);
  check("query_sums", query_sums, {Dtype::float64}, {block.query.count, 2});
  check("key_sums", key_sums, {Dtype::float64}, {block.key.count, 2});
  block.workspace = check_workspace(check, block, workspace, stream);
  const InfoNceScan task{block, static_cast<double*>(query_sums.data), static_cast<double*>(key_sums.data)};
  return call(query.device, stream, task, info_nce_scan_cpu, AVSA_DEVICE(info_nce_scan_cuda));
}

int call_gradient(const Tensor& query, const Tensor& query_statistics, std::int64_t query_first, const Tensor& key,
                  const Tensor& key_statistics, std::int64_t key_first, const Tensor& scale, std::int64_t crops,
                  bool symmetric, const std::string& precision, bool wgmma, const Tensor& workspace,
                  const Tensor& query_grad, const Tensor& key_grad, std::uintptr_t stream) {
  const Check check(query.device);
  const Side queries{"query", "query_statistics", query, query_statistics, query_first};
  const Side keys{"key", "key_statistics", key, key_statistics, key_first};
  InfoNceBlock block = check_block(check, queries, keys, scale, crops, symmetric, precision, wgmma);
  check("query_grad", query_grad, {block.dtype}, query.shape, {});
  check("key_grad", key_grad, {block.dtype}, key.shape, {});
  block.workspace = check_workspace(check, block, workspace, stream);
  const InfoNceGradient task{block, query_grad.data, key_grad.data};
  return call(query.device, stream, task, info_nce_gradient_cpu, AVSA_DEVICE(info_nce_gradient_cuda));
}

int call_project(const Tensor& own, const Tensor& own_statistics, const Tensor& partner,
                 const Tensor& partner_statistics, const Tensor& factor, const Tensor& grad, const Tensor& radial,
                 std::uintptr_t stream) {
  const Check check(own.device);
  check.rank("own", own, 2);
  check.rank("partner", partner, 2);
  const std::int64_t N = own.size(0), D = own.size(1);
  const RowRange own_rows = check_rows(check, {"own", "own_statistics", own, own_statistics, 0}, kFloat32Or64, D);
  check("partner", partner, {own.dtype}, {N, D});
  const RowRange partner_rows =
      check_rows(check, {"partner", "partner_statistics", partner, partner_statistics, 0}, {own.dtype}, D);
  check("factor", factor, {Dtype::float64}, Shape{});
  check("grad", grad, {own.dtype}, {N, D});
  check("radial", radial, {Dtype::float64}, {N});
  const InfoNceProject task{own.dtype,
                            own_rows,
                            partner_rows,
                            D,
                            static_cast<const double*>(factor.data),
                            grad.data,
                            static_cast<double*>(radial.data)};
  return call(own.device, stream, task, info_nce_project_cpu, AVSA_DEVICE(info_nce_project_cuda));
}

}  // namespace

void define_info_nce(py::module_& m) {
  using py::arg;
  m.attr("INFO_NCE_COSINE") = int(kPairCosine);
  m.attr("INFO_NCE_LOSS") = int(kLoss);
  m.attr("INFO_NCE_STATISTICS") = int(kStatistics);
  m.attr("INFO_NCE_MAX_COMMON_SCALE") = kMaxCommonScale;
  m.attr("PRECISIONS") = py::make_tuple(kPrecisions[0], kPrecisions[1], kPrecisions[2], kPrecisions[3]);
  m.def("info_nce_has_wgmma", call_has_wgmma, py::kw_only(), arg("rows"), arg("stream") = 0);
  m.def("info_nce_prepare", call_prepare, py::kw_only(), arg("query"), arg("key"), arg("statistics"),
        arg("stream") = 0);
  m.def("info_nce_workspace_size", call_workspace_size, py::kw_only(), arg("query"), arg("query_statistics"),
        arg("query_first"), arg("key"), arg("key_statistics"), arg("key_first"), arg("scale"), arg("crops"),
        arg("symmetric"), arg("precision"), arg("wgmma"), arg("stream") = 0);
  m.def("info_nce_scan", call_scan, py::kw_only(), arg("query"), arg("query_statistics"), arg("query_first"),
        arg("key"), arg("key_statistics"), arg("key_first"), arg("scale"), arg("crops"), arg("symmetric"),
        arg("precision"), arg("wgmma"), arg("workspace"), arg("query_sums"), arg("key_sums"), arg("stream") = 0);
  m.def("info_nce_gradient", call_gradient, py::kw_only(), arg("query"), arg("query_statistics"), arg("query_first"),
        arg("key"), arg("key_statistics"), arg("key_first"), arg("scale"), arg("crops"), arg("symmetric"),
        arg("precision"), arg("wgmma"), arg("workspace"), arg("query_grad"), arg("key_grad"), arg("stream") = 0);
  m.def("info_nce_project", call_project, py::kw_only(), arg("own"), arg("own_statistics"), arg("partner"),
        arg("partner_statistics"), arg("factor"), arg("grad"), arg("radial"), arg("stream") = 0);
}

}  // namespace avsa::bindings
