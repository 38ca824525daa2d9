// The entry to features.simd.cpp. Called by the Python bindings.
#include "features/features.h"

#include "core/dispatch.h"

namespace avsa::features {

AVSA_DECLARE_SIMD(std::int64_t, workspace_size, const SpatialFeatures& task)
AVSA_DECLARE_SIMD(int, spatial_features, const SpatialFeatures& task)

std::int64_t spatial_features_workspace_size(const SpatialFeatures& task) {
  return AVSA_DISPATCH(workspace_size)(task);
}

int spatial_features_cpu(const SpatialFeatures& task) { return AVSA_DISPATCH(spatial_features)(task); }

}  // namespace avsa::features
