// What the three operations share: each mixes channels by a small matrix that follows from directions.
// A mixer gives the matrix of one view, a column (the gains of one input channel) at a time.
#pragma once
#include "ambisonics/ambisonics.h"
#include "core/vector.h"

namespace avsa {

template <class T>
struct EncodeMixer {
  static constexpr int kOutputs = 4;
  const T* signals;
  const T* directions;
  T* out;
  std::int64_t B, C, K, samples;

  explicit EncodeMixer(const Encode& t)
      : signals(static_cast<const T*>(t.signal)),
        directions(static_cast<const T*>(t.directions)),
        out(static_cast<T*>(t.out)),
        B(t.B),
        C(t.S),
        K(1),
        samples(t.T) {}

  AVSA_HD void column(std::int64_t view, std::int64_t c, T (&gain)[kOutputs]) const {
    const T* d = directions + (view * C + c) * 2;
    const Vec3<T> u = unit_vector(d[0], d[1]);
    gain[0] = 1;
    gain[1] = u.y;
    gain[2] = u.z;
    gain[3] = u.x;
  }
};

template <class T>
struct RotateMixer {
  static constexpr int kOutputs = 4;
  const T* signals;
  const T* directions;
  const T* roll;
  const bool* flip;
  T* out;
  std::int64_t B, C, K, samples;

  explicit RotateMixer(const Rotate& t)
      : signals(static_cast<const T*>(t.signals)),
        directions(static_cast<const T*>(t.directions)),
        roll(static_cast<const T*>(t.roll)),
        flip(t.flip),
        out(static_cast<T*>(t.out)),
        B(t.B),
        C(4),
        K(t.K),
        samples(t.T) {}

  AVSA_HD void column(std::int64_t view, std::int64_t c, T (&gain)[kOutputs]) const {
    const T* d = directions + view * 2;
    const Mat3<T> turn = turn_front_to(d[0], d[1], roll ? roll[view] : T(0));
    // Columns of the turn's transpose are its rows; the direction of channel c of (W, Y, Z, X).
    const Vec3<T> front = c == 1 ? turn.y : c == 2 ? turn.z : turn.x;
    const T mirror = flip && flip[view] ? T(-1) : T(1);
    gain[0] = c == 0 ? T(1) : T(0);
    gain[1] = c == 0 ? T(0) : mirror * front.y;
    gain[2] = c == 0 ? T(0) : front.z;
    gain[3] = c == 0 ? T(0) : front.x;
  }
};

template <class T>
struct BeamformMixer {
  static constexpr int kOutputs = 1;
  const T* signals;
  const T* directions;
  T gain_0, gain_1;
  T* out;
  std::int64_t B, C, K, samples;

  explicit BeamformMixer(const Beamform& t)
      : signals(static_cast<const T*>(t.signals)),
        directions(static_cast<const T*>(t.directions)),
        gain_0(T(t.gain_0)),
        gain_1(T(t.gain_1)),
        out(static_cast<T*>(t.out)),
        B(t.B),
        C(4),
        K(t.K),
        samples(t.T) {}

  AVSA_HD void column(std::int64_t view, std::int64_t c, T (&gain)[kOutputs]) const {
    const T* d = directions + view * 2;
    const Vec3<T> u = unit_vector(d[0], d[1]);
    gain[0] = c == 0 ? gain_0 : gain_1 * (c == 1 ? u.y : c == 2 ? u.z : u.x);
  }
};

}  // namespace avsa
