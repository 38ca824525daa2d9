// The four texels around a ray, and their weights in the plane's bilinear interpolation there.
#pragma once
#include "gnomonic/eac.h"
#include "gnomonic/erp.h"

namespace avsa::gnomonic {

template <class S>
struct Taps {
  std::int32_t texel[4];  // row · row_step + column · channels: elements from the frame's first
  S weight[4];            // sum to 1

  AVSA_HD void set(Source source, const Plane& plane, const Vec3<S>& ray) {
    source == Source::erp ? set_erp(plane, ray) : set_eac(plane, ray);
  }

  AVSA_HD void set_erp(const Plane& plane, const Vec3<S>& ray) { set_erp(plane, erp_point(ray, plane)); }

  AVSA_HD void set_erp(const Plane& plane, const Point<S>& p) {
    using std::floor;
    const int H = int(plane.H), W = int(plane.W);
    const int left = int(floor(plain(p.u))), top = int(floor(plain(p.v)));  // [-1, W - 1], [-1, H - 1]
    // A row beyond a pole is the pole's row, half a turn away.
    const bool over = top < 0, under = top == H - 1;
    const int left0 = over ? left + W / 2 : left, left1 = under ? left + W / 2 : left;
    const int row0 = over ? 0 : top, row1 = under ? H - 1 : top + 1;
    place(plane, 0, row0, wrapped(left0, W), wrapped(left0 + 1, W));
    place(plane, 2, row1, wrapped(left1, W), wrapped(left1 + 1, W));
    weigh(p.u - S(left), p.v - S(top));
  }

  // Within half a texel of a face's edge the texels inside it are continued: those beyond are of another face.
  AVSA_HD void set_eac(const Plane& plane, const Vec3<S>& ray) {
    using std::ceil, std::floor;
    const int face = eac_face(ray);
    const Point<S> p = eac_point(face, ray, plane);
    const EacFaces faces(plane);
    const double left_edge = faces.left(face) - plane.first_column, top_edge = faces.top(face, plane.H) - 0.5;
    const int left = within(plain(p.u), left_edge, left_edge + faces.width);
    const int top = within(plain(p.v), top_edge, top_edge + faces.height);
    place(plane, 0, top, left, left + 1);
    place(plane, 2, top + 1, left, left + 1);
    weigh(p.u - S(left), p.v - S(top));
  }

 private:
  AVSA_HD static int wrapped(int column, int W) { return column < 0 ? column + W : column >= W ? column - W : column; }

  // The texel before a place and the next one, both inside a face.
  AVSA_HD static int within(double place, double begin, double end) {
    const int first = int(std::ceil(begin)), last = int(std::floor(end)) - 1, before = int(std::floor(place));
    return before < first ? first : before > last ? last : before;
  }

  AVSA_HD void place(const Plane& plane, int tap, int row, int column, int next) {
    const int begin = row * int(plane.row_step), channels = int(plane.channels);
    texel[tap] = begin + channels * column;
    texel[tap + 1] = begin + channels * next;
  }

  AVSA_HD void weigh(const S& right, const S& down) {
    weight[0] = (S(1) - down) * (S(1) - right);
    weight[1] = (S(1) - down) * right;
    weight[2] = down * (S(1) - right);
    weight[3] = down * right;
  }
};

}  // namespace avsa::gnomonic
