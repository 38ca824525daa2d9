// The host's entry points of gnomonic.h: each calls the variant of its kernel for the processor.
#include "gnomonic/gnomonic.h"
#include "core/dispatch.h"
#include "core/huge_pages.h"

namespace avsa::gnomonic {

AVSA_DECLARE_SIMD_VNNI(void, forward_bytes, const Gnomonic&)
AVSA_DECLARE_SIMD(void, forward_floats, const Gnomonic&)
AVSA_DECLARE_SIMD(void, backward, const GnomonicBackward&)
AVSA_DECLARE_SIMD(void, pose_backward, const GnomonicPoseBackward&)

void gnomonic_cpu(const Gnomonic& task) {
  constexpr std::int64_t kBytes[] = {1, 2, 2, 4, 8};  // of a Dtype
  const GnomonicView& view = task.view;
  ask_for_huge_pages(task.out, 3 * view.B * view.K * view.F * view.h * view.w * kBytes[int(task.out_dtype)]);
  task.frames_dtype == Dtype::uint8 ? AVSA_DISPATCH_VNNI(forward_bytes)(task) : AVSA_DISPATCH(forward_floats)(task);
}

void gnomonic_backward_cpu(const GnomonicBackward& task) { AVSA_DISPATCH(backward)(task); }

void gnomonic_pose_backward_cpu(const GnomonicPoseBackward& task) { AVSA_DISPATCH(pose_backward)(task); }

}  // namespace avsa::gnomonic
