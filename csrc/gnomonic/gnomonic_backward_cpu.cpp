#include <cmath>

#include "gnomonic/projection.h"

namespace avsa {
namespace {

constexpr int kLanes = 16;

// Adds a crop's gradient to one frame's sums, tap by tap.
template <class T>
void scatter(const GnomonicBackward& task, const Pose& pose, const T* grad, std::int64_t* sums) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels;
  for (std::int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
    Footprints<T, kLanes> prints;
    prints.set(view, pose, pixel);
    const int count = int(pixels - pixel < kLanes ? pixels - pixel : kLanes);
    for (int row = -prints.most_rows; row <= prints.most_rows; ++row)
      for (int column = -prints.most_columns; column <= prints.most_columns; ++column) {
        Taps<T, kLanes> taps;
        taps.set(view, pose, prints, column, row);
        for (int l = 0; l < count; ++l)
          for (int tap = 0; tap < 4; ++tap)
            for (int c = 0; c < 3; ++c) {
              const T value = taps.weight[tap][l] * grad[c * plane + pixel + l];
              sums[taps.offset[tap][l] + c] += to_units(value, *task.unit);
            }
      }
  }
}

// One thread a frame, so that no two threads add to the same sum.
template <class T>
void run(const GnomonicBackward& task) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w;
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (std::int64_t clip = 0; clip < view.B; ++clip)
    for (std::int64_t frame = 0; frame < view.F; ++frame)
      for (std::int64_t crop = clip * view.K; crop < (clip + 1) * view.K; ++crop) {
        Pose pose;
        pose.set(view, crop);
        const T* grad = static_cast<const T*>(task.grad) + (3 * crop * view.F + frame) * pixels;
        scatter(task, pose, grad, task.sums + (clip * view.F + frame) * view.H * view.W * 3);
      }
}

}  // namespace

void gnomonic_backward_cpu(const GnomonicBackward& task) {
  task.dtype == Dtype::float64 ? run<double>(task) : run<float>(task);
}

}  // namespace avsa
