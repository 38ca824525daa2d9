// A pixel's footprint on an equirectangular plane, and the weight that each texel has in the mean of the bilinearly
// interpolated plane over it. The definition in words and pictures: docs/gnomonic.md; in PyTorch:
// reference/footprint.py.
#pragma once
#include <cmath>

#include "gnomonic/erp.h"

namespace avsa::gnomonic {

constexpr double kSoft = 0.02;   // texels by which a footprint is larger: it may not vanish
constexpr double kLevel = 1e-6;  // texels that the edge that rises most rises at least
constexpr double kSkew = 1e-3;   // and the share of that by which the other does: else float32 could not place corners

constexpr int kPieces =
    3;  // of an interval between rows: the footprint's corners cut it, so that its edges are straight

// Integral of the tent 1 - |c| from left to right.
template <class S>
AVSA_HD S overlap(const S& left, const S& right) {
  using std::fabs;
  const S from = clamp(left, S(-1), S(1)), to = clamp(right, S(-1), S(1));
  return (to - from) - S(0.5) * (to * fabs(to) - from * fabs(from));
}

// Part of a row's weights, from a piece of the footprint: a chord of it, its ends softened by the tent of interpolation
// and by the slope of the edges.
template <class S>
struct Chord {
  S left, right;  // columns, from the footprint's centre
  S soft, sharp;  // half width of the tent that softens the ends; 1 / that
  S mass;         // what its weights add up to, a texel of its length

  // Makes an interval of columns, from the footprint's centre, hold those that it weights.
  AVSA_HD void widen(S& begin, S& end) const {
    begin = choose(mass > S(0), smaller(left - soft, begin), begin);
    end = choose(mass > S(0), larger(right + soft, end), end);
  }

  AVSA_HD S weight(const S& x) const { return mass * overlap((left - x) * sharp, (right - x) * sharp); }
};

// The parallelogram of two edges around a centre.
template <class S>
struct Footprint {
  S tip, corner;      // rows from the centre to the footprint's corners
  S half_height;      // rows to its end, with what it is larger
  S lean;             // columns a row along the steeper edge
  S rising, falling;  // columns along the other, measured in a row: as far as it rises to the right, and to the left
  S reach, inverse_climb;  // half the rows of the steeper edge; 1 / rows of the other

  AVSA_HD void set(const Point<S>& first, const Point<S>& second, const Plane& plane) {
    using std::fabs;
    // At most once around and from pole to pole.
    const S wide = fabs(first.u) + fabs(second.u), high = fabs(first.v) + fabs(second.v);
    const S narrow = smaller(S(plane.W) / larger(wide, S(1)), S(1)),
            lower = smaller(S(plane.H) / larger(high, S(1)), S(1));
    const auto swap = fabs(second.v) > fabs(first.v);
    const S au = choose(swap, second.u, first.u) * narrow, av = choose(swap, second.v, first.v) * lower;
    const S bu = choose(swap, first.u, second.u) * narrow, bv = choose(swap, first.v, second.v) * lower;
    const S rise = larger(fabs(av), S(kLevel)), climb = larger(fabs(bv), S(kSkew) * rise);
    lean = choose(av < S(0), -au, au) / rise;
    // An edge that is all but level is a part of each, so that nothing jumps where it passes through the level.
    const S width = bu - lean * bv, turned = width * clamp(bv / climb, S(-1), S(1));
    rising = S(0.5) * (fabs(width) + turned);
    falling = S(0.5) * (fabs(width) - turned);
    reach = S(0.5) * rise;
    inverse_climb = S(1) / climb;
    tip = S(0.5) * (rise + climb);
    corner = S(0.5) * (rise - climb);
    half_height = tip + S(kSoft);
  }

  // What all weights add up to, but for the steps of the texels.
  AVSA_HD S area() const { return S(2) * ((rising + falling) * reach + S(2 * kSoft) * half_height); }

  // The most that a texel weighs.
  AVSA_HD S most() const { return smaller(rising + falling + S(2 * kSoft), S(1)) * smaller(S(2) * half_height, S(1)); }

  struct Ends {
    S left, right;
  };

  // The interval from a row of texels down to the next, its parts between `at`, distances from the row; those outside
  // the footprint have no length.
  struct Interval {
    S at[kPieces + 1];
    Ends ends[kPieces + 1];
  };

  // row: its distance from the centre, downwards.
  AVSA_HD Interval interval(const S& row) const {
    const S near = clamp(-half_height - row, S(0), S(1)), last = clamp(half_height - row, S(0), S(1));
    const S first = clamp(-corner - row, near, last), second = clamp(corner - row, near, last);
    return {{near, first, second, last}, {ends(row + near), ends(row + first), ends(row + second), ends(row + last)}};
  }

  // What a part of an interval adds to the weights of the row below it (side -1) or above it (side 1).
  AVSA_HD static Chord<S> chord(const Interval& interval, int part, double side) {
    using std::sqrt;
    const Ends &from = interval.ends[part], &to = interval.ends[part + 1];
    const S &begin = interval.at[part], &end = interval.at[part + 1];
    // Interpolation gives it the row's weight 1 - distance: its mean, and its centre of mass, where the chord is taken.
    const S thick = end - begin, middle = S(0.5) * (begin + end);
    const S close = side > 0 ? S(1) - middle : middle, least = larger(close, S(1e-6));
    const S left = to.left - from.left, right = to.right - from.right;
    const S soft = sqrt(S(1) + (left * left + right * right) * S(1.0 / 6));
    const S inverse = S(1) / (soft * least);  // one division for two
    const S share = S(0.5) - S(side / 12) * (thick * (inverse * soft));
    return {from.left + share * left, from.right + share * right, soft, inverse * least, thick * close};
  }

  // All that the interval above a row (side -1) or below it (side 1) adds to its weights. out: [kPieces].
  AVSA_HD void chords(const S& row, double side, Chord<S>* out) const {
    const Interval parts = interval(side > 0 ? row : row - S(1));
    AVSA_UNROLL
    for (int part = 0; part < kPieces; ++part) out[part] = chord(parts, part, side);
  }

 private:
  AVSA_HD Ends ends(const S& at) const {
    const S height = clamp(at, -tip, tip);
    const S begin = clamp((height - reach) * inverse_climb, S(-0.5), S(0.5));
    const S end = clamp((height + reach) * inverse_climb, S(-0.5), S(0.5));
    const S leaned = height * lean;
    return {leaned + rising * begin - falling * end - S(kSoft), leaned + rising * end - falling * begin + S(kSoft)};
  }
};

}  // namespace avsa::gnomonic
