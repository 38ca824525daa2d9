// A pixel cut into cells: its edge's cell k, k = 0 in the middle, out of a number that need not be whole.
#pragma once
#include <cmath>

#include "gnomonic/eac.h"
#include "gnomonic/erp.h"

namespace avsa::gnomonic {

// Those at the ends are cut off, so that the mean over a pixel changes continuously with the number.
template <class S>
struct Cell {
  S middle, share;  // in edges: middle within ±1/2; shares sum to 1

  AVSA_HD Cell(const S& count, int k) {
    const S end = count * S(0.5), first = clamp(S(k - 0.5), -end, end), last = clamp(S(k + 0.5), -end, end);
    middle = (first + last) / (S(2) * count);
    share = (last - first) / count;
  }
};

// Cells on either side of the middle one.
AVSA_HD int cells_aside(double count) { return int(std::ceil(0.5 * count - 0.5)); }

// A footprint is a parallelogram where a pixel is small beside its distance from the pole and beside the sphere; where
// it is not, the pixel is cut so that its cells are. Chosen by PSNR on zone plates.
constexpr double kErpCellsAPole = 4, kErpCellsARadian = 8, kMostErpCells = 15;

// Number of cells of a pixel's edges on an equirectangular plane.
template <class S>
AVSA_HD S erp_cells(const Vec3<S>& ray, const Vec3<S>& step) {
  using std::sqrt;
  const S across2 = ray.x * ray.x + ray.y * ray.y, step2 = dot(step, step);
  const S by_pole = S(kErpCellsAPole * kErpCellsAPole) / larger(across2, S(1e-20));
  const S by_size = S(kErpCellsARadian * kErpCellsARadian) / (across2 + ray.z * ray.z);
  return clamp(sqrt(step2 * larger(by_pole, by_size)), S(1), S(kMostErpCells));
}

// A cubemap's texels are sampled at the cells' middles: so many a texel and so many more, twice as many where a pixel
// lies across the edge of a face, at which the image need not be continuous.
constexpr double kEacCellsATexel = 1.5, kEacCellsMore = 1.5, kMostEacCells = 63;

template <class S>
AVSA_HD S eac_cells(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  using std::sqrt, std::fabs;
  const Point<S> edge = eac_edge(ray, step, plane);
  const int face = eac_face(ray);
  const FaceRay<S> r = on_face(face, ray), d = on_face(face, step);
  const S margin = r.forward - larger(fabs(r.right), fabs(r.down));
  const S reach = fabs(d.forward) + fabs(d.right) + fabs(d.down);
  const S across = clamp(S(2) - S(2) * margin / reach, S(0), S(1));
  const S cells = S(kEacCellsATexel) * sqrt(edge.u * edge.u + edge.v * edge.v) + S(kEacCellsMore);
  return smaller(cells * (S(1) + across), S(kMostEacCells));
}

}  // namespace avsa::gnomonic
