#include <algorithm>
#include <bit>

#include "core/clones.h"
#include "info_nce/panels.h"

namespace avsa {
namespace {

// 32 bytes: a register where there is AVX, two elsewhere.
template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(32), aligned(alignof(T)), may_alias));
  static constexpr int kCount = kLanes * int(sizeof(T)) / 32;  // vectors of a panel's 16 lanes
};

// To 1e-7 of the result; 0 below the normal numbers. Inlines and vectorises, as the library's does not.
AVSA_HD float exponential(float x) {
  const float shifted = x * 1.44269504f + 12582912.f;  // the nearest integer to x / ln 2 in the low bits
  const float n = shifted - 12582912.f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float y = 1.f / 5040;
  y = y * r + 1.f / 720;
  y = y * r + 1.f / 120;
  y = y * r + 1.f / 24;
  y = y * r + 1.f / 6;
  y = y * r + .5f;
  y = y * r + 1.f;
  y = y * r + 1.f;
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127u) << 23);
  return x < -87.f ? 0.f : y * power;
}
AVSA_HD double exponential(double x) { return std::exp(x); }

// tile[j][i] = <own row i, other row j> of two panels [depth, 16].
template <class T>
AVSA_HD void cosines(const T* own, const T* other, std::int64_t depth, T (*tile)[kLanes]) {
  using V = typename Vector<T>::type;
  constexpr int n = Vector<T>::kCount;
  for (int first = 0; first < kLanes; first += 4) {
    V sum[4][n] = {};
    for (std::int64_t d = 0; d < depth; ++d) {
      const V* x = reinterpret_cast<const V*>(own + d * kLanes);
      const T* y = other + d * kLanes + first;
      for (int r = 0; r < 4; ++r)
        for (int v = 0; v < n; ++v) sum[r][v] += x[v] * y[r];
    }
    for (int r = 0; r < 4; ++r)
      for (int v = 0; v < n; ++v) reinterpret_cast<V*>(tile[first + r])[v] = sum[r][v];
  }
}

// sums[d][i] += sum_j weight[j][i] * other[d][j] over a block of `panels` panels.
template <class T>
AVSA_HD void accumulate(const T (*weight)[kLanes], const T* other, std::int64_t depth, int panels, T* sums) {
  using V = typename Vector<T>::type;
  constexpr int n = Vector<T>::kCount;
  for (std::int64_t d = 0; d < depth; d += kDepth) {
    V sum[kDepth][n] = {};
    for (int panel = 0; panel < panels; ++panel) {
      const T* y = other + (panel * depth + d) * kLanes;
      for (int j = 0; j < kLanes; ++j) {
        const V* w = reinterpret_cast<const V*>(weight[panel * kLanes + j]);
        for (int r = 0; r < kDepth; ++r)
          for (int v = 0; v < n; ++v) sum[r][v] += w[v] * y[r * kLanes + j];
      }
    }
    for (int r = 0; r < kDepth; ++r)
      for (int v = 0; v < n; ++v) reinterpret_cast<V*>(sums + (d + r) * kLanes)[v] += sum[r][v];
  }
}

// A panel's rows, normalised: unit [depth, 16].
template <class T>
AVSA_HD void pack_any(const T* rows, std::int64_t count, std::int64_t D, std::int64_t depth, T* unit, double* inverse) {
  std::fill_n(unit, depth * kLanes, T(0));
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t d = 0; d < D; ++d) unit[d * kLanes + i] = rows[i * D + d];
  double square[kLanes] = {};
  for (std::int64_t d = 0; d < D; ++d)
    for (int i = 0; i < kLanes; ++i) square[i] += double(unit[d * kLanes + i]) * double(unit[d * kLanes + i]);
  for (int i = 0; i < kLanes; ++i) square[i] = square[i] == 0 ? 0 : 1 / std::sqrt(square[i]);
  for (std::int64_t d = 0; d < D; ++d)
    for (int i = 0; i < kLanes; ++i) unit[d * kLanes + i] = T(unit[d * kLanes + i] * square[i]);
  std::copy_n(square, count, inverse);
}

// tile[j][i] = none where own row first + i and other row start + j do not compete.
template <class T>
AVSA_HD void mask(std::int64_t first, std::int64_t start, int count, std::int64_t K, T none, T (*tile)[kLanes]) {
  if (K == 1) {  // a row competes with all but itself
    const std::int64_t last = std::min(first + kLanes, start + count);
    for (std::int64_t row = std::max(first, start); row < last; ++row) tile[row - start][row - first] = none;
    return;
  }
  int clip[kLanes], crop[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const Label own(first + i, K);
    clip[i] = own.clip;
    crop[i] = own.crop;
  }
  for (int j = 0; j < count; ++j) {
    const Label other(start + j, K);
    for (int i = 0; i < kLanes; ++i) {
      const bool same_clip = clip[i] == other.clip, same_crop = crop[i] == other.crop;
      tile[j][i] = same_clip != same_crop ? tile[j][i] : none;
    }
  }
}

// The cosine of each pair and the losses of a block of own rows.
template <class T>
AVSA_HD void scan_any(const Pass<T>& pass, std::int64_t block) {
  const std::int64_t first = block * kPanels, size = pass.depth * kLanes;
  const int panels = int(std::min<std::int64_t>(kPanels, pass.panels() - first));
  const T scale = T(pass.scale());
  T tile[kBlock][kLanes], pair[kPanels][kLanes], top[kPanels][kLanes];
  double sum[kPanels][kLanes] = {};  // of exp(x - top), x = scale * (cosine - pair)
  for (int p = 0; p < panels; ++p) {
    cosines(pass.own + (first + p) * size, pass.other + (first + p) * size, pass.depth, tile);
    for (int i = 0; i < kLanes; ++i) pair[p][i] = tile[i][i];
    std::fill_n(top[p], kLanes, kLowest<T>);
  }
  for (std::int64_t start = 0; start < pass.N; start += kBlock) {
    const int count = int(std::min<std::int64_t>(kBlock, pass.N - start));
    for (int p = 0; p < panels; ++p) {
      for (int j = 0; j < count; j += kLanes)
        cosines(pass.own + (first + p) * size, pass.other + (start + j) * pass.depth, pass.depth, tile + j);
      T highest[kLanes], part[kLanes] = {};
      std::copy_n(top[p], kLanes, highest);
      for (int j = 0; j < count; ++j)
        for (int i = 0; i < kLanes; ++i) tile[j][i] = scale * (tile[j][i] - pair[p][i]);
      mask((first + p) * kLanes, start, count, pass.K, -kInfinity<T>, tile);
      for (int j = 0; j < count; ++j)
        for (int i = 0; i < kLanes; ++i) highest[i] = tile[j][i] > highest[i] ? tile[j][i] : highest[i];
      for (int j = 0; j < count; ++j)
        for (int i = 0; i < kLanes; ++i) part[i] += exponential(tile[j][i] - highest[i]);
      for (int i = 0; i < kLanes; ++i) {
        sum[p][i] = sum[p][i] * exponential(top[p][i] - highest[i]) + part[i];
        top[p][i] = highest[i];
      }
    }
  }
  for (int p = 0; p < panels; ++p)
    for (int i = 0; i < kLanes && (first + p) * kLanes + i < pass.N; ++i) {
      pass.own_statistics.cosine[(first + p) * kLanes + i] = pair[p][i];
      pass.own_statistics.loss[(first + p) * kLanes + i] = softplus(top[p][i] + std::log(sum[p][i]));
    }
}

// For a block of own rows: sums [depth, 16] a panel of the gradient of (sum of losses) / scale by the own unit rows.
template <class T>
AVSA_HD void gather_any(const Pass<T>& pass, std::int64_t block, T* sums) {
  const std::int64_t first = block * kPanels, size = pass.depth * kLanes;
  const int panels = int(std::min<std::int64_t>(kPanels, pass.panels() - first));
  const T scale = T(pass.scale());
  std::fill_n(sums + first * size, panels * size, T(0));
  for (std::int64_t start = 0; start < pass.N; start += kBlock) {
    const int count = int(std::min<std::int64_t>(kBlock, pass.N - start));
    for (int p = 0; p < panels; ++p) {
      const std::int64_t row = (first + p) * kLanes;
      T tile[kBlock][kLanes], pair[kLanes] = {}, loss[kLanes] = {};
      for (int i = 0; i < kLanes && row + i < pass.N; ++i) {
        pair[i] = T(pass.own_statistics.cosine[row + i]);
        loss[i] = pass.own_chooses ? T(pass.own_statistics.loss[row + i]) : T(0);
      }
      for (int j = 0; j < count; j += kLanes)
        cosines(pass.own + row * pass.depth, pass.other + (start + j) * pass.depth, pass.depth, tile + j);
      for (int j = 0; j < count; ++j) {
        const T other_pair = T(pass.other_statistics.cosine[start + j]);
        const T other_loss = pass.other_chooses ? T(pass.other_statistics.loss[start + j]) : T(0);
        T weight[kLanes] = {};
        if (pass.own_chooses)
          for (int i = 0; i < kLanes; ++i) weight[i] += exponential(scale * (tile[j][i] - pair[i]) - loss[i]);
        if (pass.other_chooses)
          for (int i = 0; i < kLanes; ++i) weight[i] += exponential(scale * (tile[j][i] - other_pair) - other_loss);
        std::copy_n(weight, kLanes, tile[j]);
      }
      mask(row, start, count, pass.K, T(0), tile);
      for (std::int64_t i = std::max(row, start); i < std::min(row + kLanes, start + count); ++i)
        tile[i - start][i - row] = T(pass.pair_weight(i));
      for (int j = count; j % kLanes; ++j) std::fill_n(tile[j], kLanes, T(0));
      accumulate(tile, pass.other + start * pass.depth, pass.depth, int(ceil_div(count, kLanes)),
                 sums + row * pass.depth);
    }
  }
}

// The gradient of a panel's rows [N, D] from that of their unit rows, and its slope along them.
template <class T>
AVSA_HD void project_any(const Pass<T>& pass, std::int64_t panel, double factor, const T* sums, std::int64_t D,
                         double* slopes, T* grad) {
  const std::int64_t row = panel * kLanes;
  const T *unit = pass.own + row * pass.depth, *sum = sums + row * pass.depth;
  double slope[kLanes] = {};
  for (std::int64_t d = 0; d < D; ++d)
    for (int i = 0; i < kLanes; ++i) slope[i] += double(unit[d * kLanes + i]) * double(sum[d * kLanes + i]);
  for (int i = 0; i < kLanes && row + i < pass.N; ++i) {
    const double scale = factor * pass.own_statistics.inverse_norm[row + i];
    T* out = grad + (row + i) * D;
    for (std::int64_t d = 0; d < D; ++d) out[d] = T(scale * (sum[d * kLanes + i] - slope[i] * unit[d * kLanes + i]));
    slopes[row + i] = slope[i];
  }
}

AVSA_CLONES void pack(const float* rows, std::int64_t count, std::int64_t D, std::int64_t depth, float* unit,
                      double* inverse) {
  pack_any(rows, count, D, depth, unit, inverse);
}
AVSA_CLONES void pack(const double* rows, std::int64_t count, std::int64_t D, std::int64_t depth, double* unit,
                      double* inverse) {
  pack_any(rows, count, D, depth, unit, inverse);
}
AVSA_CLONES void scan(const Pass<float>& pass, std::int64_t block) { scan_any(pass, block); }
AVSA_CLONES void scan(const Pass<double>& pass, std::int64_t block) { scan_any(pass, block); }
AVSA_CLONES void gather(const Pass<float>& pass, std::int64_t block, float* sums) { gather_any(pass, block, sums); }
AVSA_CLONES void gather(const Pass<double>& pass, std::int64_t block, double* sums) { gather_any(pass, block, sums); }
AVSA_CLONES void project(const Pass<float>& pass, std::int64_t panel, double factor, const float* sums, std::int64_t D,
                         double* slopes, float* grad) {
  project_any(pass, panel, factor, sums, D, slopes, grad);
}
AVSA_CLONES void project(const Pass<double>& pass, std::int64_t panel, double factor, const double* sums,
                         std::int64_t D, double* slopes, double* grad) {
  project_any(pass, panel, factor, sums, D, slopes, grad);
}

template <class T>
void forward(const InfoNceForward& task) {
  double total = 0;
  const std::int64_t panels = ceil_div(task.N, kLanes);
#pragma omp parallel for schedule(static) if (task.N > kBlock)
  for (std::int64_t p = 0; p < 2 * panels; ++p) {
    const Pass<T> pass = make_pass<T>(task, int(p / panels));
    const T* rows = static_cast<const T*>(p < panels ? task.query : task.key);
    const std::int64_t row = p % panels * kLanes;
    pack(rows + row * task.D, std::min<std::int64_t>(kLanes, task.N - row), task.D, pass.depth,
         const_cast<T*>(pass.own) + row * pass.depth, pass.own_statistics.inverse_norm + row);
  }
  for (int side = 0; side < 1 + int(task.symmetric); ++side) {
    const Pass<T> pass = make_pass<T>(task, side);
#pragma omp parallel for schedule(dynamic) if (pass.blocks() > 1)
    for (std::int64_t block = 0; block < pass.blocks(); ++block) scan(pass, block);
    for (std::int64_t i = 0; i < task.N; ++i) total += pass.own_statistics.loss[i] * pass.share();
  }
  *static_cast<T*>(task.loss) = T(total);
}

template <class T>
void backward(const InfoNceBackward& task) {
  const double grad = *static_cast<const T*>(task.grad);
  T* sums = static_cast<T*>(task.sums);
  double slope = 0;
  for (int side = 1; side >= 0; --side) {
    const Pass<T> pass = make_pass<T>(task, side);
    const double factor = grad * pass.share() * pass.scale();
    T* out = static_cast<T*>(side == 0 ? task.query_grad : task.key_grad);
#pragma omp parallel for schedule(dynamic) if (pass.blocks() > 1)
    for (std::int64_t block = 0; block < pass.blocks(); ++block) {
      gather(pass, block, sums);
      const std::int64_t last = std::min((block + 1) * kPanels, pass.panels());
      for (std::int64_t p = block * kPanels; p < last; ++p) project(pass, p, factor, sums, task.D, task.slopes, out);
    }
  }
  // Every cosine enters as scale * cosine: its derivative by the scale is what lies along the unit rows.
  for (std::int64_t i = 0; i < task.N; ++i) slope += task.slopes[i];
  const Pass<T> pass = make_pass<T>(task, 0);
  *task.temperature_grad = task.N == 0 ? 0 : -grad * pass.share() * pass.scale() * pass.scale() * slope;
}

}  // namespace

void info_nce_forward_cpu(const InfoNceForward& task) {
  task.dtype == Dtype::float64 ? forward<double>(task) : forward<float>(task);
}

void info_nce_backward_cpu(const InfoNceBackward& task) {
  task.dtype == Dtype::float64 ? backward<double>(task) : backward<float>(task);
}

}  // namespace avsa
