// Entry points of the host kernels, which the bindings call: each calls the best variant that the processor runs.
#include "info_nce/info_nce.h"
#include "core/dispatch.h"

namespace avsa::info_nce {

AVSA_DECLARE_SIMD(void, prepare, const InfoNcePrepare&)
AVSA_DECLARE_SIMD(void, project, const InfoNceProject&)
AVSA_DECLARE_SIMD_BF16(std::int64_t, workspace_bytes, const InfoNceBlock&)
AVSA_DECLARE_SIMD_BF16(void, scan, const InfoNceScan&)
AVSA_DECLARE_SIMD_BF16(void, gradient, const InfoNceGradient&)

namespace {

bool is_bf16(const InfoNceBlock& block) { return block.precision == Precision::bf16 && block.dtype == Dtype::float32; }

}  // namespace

void info_nce_has_wgmma_cpu(const InfoNceHasWgmma& task) { *task.answer = false; }

void info_nce_prepare_cpu(const InfoNcePrepare& task) { AVSA_DISPATCH(prepare)(task); }

void info_nce_workspace_cpu(const InfoNceWorkspace& task) {
  const auto bytes = is_bf16(task.block) ? AVSA_DISPATCH_BF16(workspace_bytes) : AVSA_DISPATCH(workspace_bytes);
  *task.bytes = bytes(task.block);
}

void info_nce_scan_cpu(const InfoNceScan& task) {
  (is_bf16(task.block) ? AVSA_DISPATCH_BF16(scan) : AVSA_DISPATCH(scan))(task);
}

void info_nce_gradient_cpu(const InfoNceGradient& task) {
  (is_bf16(task.block) ? AVSA_DISPATCH_BF16(gradient) : AVSA_DISPATCH(gradient))(task);
}

void info_nce_project_cpu(const InfoNceProject& task) { AVSA_DISPATCH(project)(task); }

}  // namespace avsa::info_nce
