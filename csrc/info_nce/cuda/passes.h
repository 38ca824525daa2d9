// What the kernels of a device share: a grid goes through one side's rows, against all rows of the other.
#pragma once
#include "core/launch.h"
#include "info_nce/rows.h"

namespace avsa::info_nce {

// One side of a block, whose rows a grid goes through, against the other.
struct Pass {
  Rows own, other;
  std::int64_t D, K;
  const double* scale;
  bool own_chooses, other_chooses;

  Pass(const InfoNceBlock& block, bool keys)
      : own(keys ? block.key : block.query),
        other(keys ? block.query : block.key),
        D(block.D),
        K(block.K),
        scale(block.scale),
        own_chooses(!keys || block.symmetric),
        other_chooses(keys || block.symmetric) {}
};

// On matrix units, in a precision other than fp32: both sides of a block.
bool fits_matrix_units(const InfoNceBlock& block);
std::int64_t matrix_units_workspace(const InfoNceBlock& block);  // bytes
int info_nce_scan_mma(const InfoNceScan& task, void* stream);
int info_nce_gather_mma(const InfoNceGather& task, void* stream);

// The same by wgmma, where that was asked for (AVSA_WGMMA=1: no device has shown yet that it works), and can be done.
bool uses_wgmma(const InfoNceBlock& block);
int info_nce_scan_wgmma(const InfoNceScan& task, void* stream);
int info_nce_gather_wgmma(const InfoNceGather& task, void* stream);

}  // namespace avsa::info_nce
