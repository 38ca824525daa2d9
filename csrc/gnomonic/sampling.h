// On the host: values of a block of pixels in some frames of a plane, by the weights of spans or of taps.
#pragma once
#include <cstring>

#include "gnomonic/spans.h"
#include "gnomonic/taps.h"

namespace avsa {

constexpr int kFrames = 8;  // frames that share the weights of a block
constexpr int kAhead = 2;   // frames by which the memory is asked for taps before they are read

template <class T>
struct Block {
  T values[kFrames][3][kLanes];
};

// kChunk numbers.
template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(kChunk * sizeof(T)), aligned(sizeof(T)), may_alias));
};
typedef std::uint32_t Words __attribute__((vector_size(kChunk * 4)));

// The bytes at a place of each word.
template <class T>
AVSA_HD void bytes_of(const Words& words, int place, typename Vector<T>::type& to) {
  typedef std::int32_t Signed __attribute__((vector_size(kChunk * 4)));
  to = __builtin_convertvector(Signed((words >> 8 * place) & 255u), typename Vector<T>::type);
}

// Channels of kChunk texels side by side.
template <class T>
AVSA_HD void load(const std::uint8_t* from, typename Vector<T>::type (&to)[3]) {
  typedef std::uint8_t Half __attribute__((vector_size(16)));
  Half low, high;  // 24 bytes as two runs of 16 that overlap
  std::memcpy(&low, from, sizeof low);
  std::memcpy(&high, from + 8, sizeof high);
  const auto texels = __builtin_shufflevector(low, high, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11,  //
                                              20, 21, 22, 22, 23, 24, 25, 25, 26, 27, 28, 28, 29, 30, 31, 31);
  Words words;  // red, green and blue in the lowest bytes
  std::memcpy(&words, &texels, sizeof words);
  for (int c = 0; c < 3; ++c) bytes_of<T>(words, c, to[c]);
}

template <class T>
AVSA_HD void load(const std::uint8_t* from, typename Vector<T>::type (&to)[2]) {
  typedef std::uint16_t Pairs __attribute__((vector_size(16)));
  Pairs pairs;
  std::memcpy(&pairs, from, sizeof pairs);
  const Words words = __builtin_convertvector(pairs, Words);
  for (int c = 0; c < 2; ++c) bytes_of<T>(words, c, to[c]);
}

template <class T>
AVSA_HD void load(const std::uint8_t* from, typename Vector<T>::type (&to)[1]) {
  typedef std::uint8_t Bytes __attribute__((vector_size(8)));
  typedef std::uint16_t Pairs __attribute__((vector_size(16)));
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  bytes_of<T>(__builtin_convertvector(__builtin_convertvector(bytes, Pairs), Words), 0, to[0]);
}

template <class T, int C>
AVSA_HD void load(const T* from, typename Vector<T>::type (&to)[C]) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < kChunk; ++i) to[c][i] = from[C * i + c];
}

// Adds a lane's mean over its spans in one frame to the channels of `values`. ahead: elements to the next frame, which
// the memory is asked for meanwhile.
template <int C, class In, class T>
AVSA_HD void add_spans(const In* frame, std::int64_t ahead, const Spans<T>& spans, int l, T (*values)[kLanes]) {
  using V = typename Vector<T>::type;
  V sum[C] = {};
  T rest[C] = {};
  for (int s = spans.first[l]; s < spans.first[l + 1]; ++s) {
    const Span& span = spans.spans[s];
    const In* from = frame + span.begin;
    const T* weight = spans.weights.data() + span.weights;
    int texels = span.texels;
    __builtin_prefetch(from + ahead);
    for (; texels >= kChunk; texels -= kChunk, from += C * kChunk, weight += kChunk) {
      V w, x[C] = {};
      std::memcpy(&w, weight, sizeof w);
      load<T>(from, x);
      for (int c = 0; c < C; ++c) sum[c] += w * x[c];
    }
    for (; texels > 0; --texels, from += C, ++weight)
      for (int c = 0; c < C; ++c) rest[c] += weight[0] * T(from[c]);
  }
  for (int c = 0; c < C; ++c) {
    Lanes<T> lanes;
    std::memcpy(&lanes.v, &sum[c], sizeof lanes.v);
    values[c][l] += spans.scale[l] * (rest[c] + lanes.sum());
  }
}

// Taps of a block's pixels, each with a share of the pixel.
template <int C, class In, class T>
class BlockTaps {
 public:
  AVSA_HD void set(Source source, const Plane& plane, const BlockRays& block, const Rays<double>& rays, const T* column,
                   const T* row, const T* share) {
    const std::int64_t last = (plane.H - 1) * plane.row_step + C * plane.W - 4;  // where a whole word fits
    worded_ = sizeof(In) == 1;
    for (int l = 0; l < kLanes; ++l) {
      Taps<T> taps;
      taps.set(source, plane, cast<T>(rays.at(block.at(l), column[l], row[l])));
      for (int tap = 0; tap < 4; ++tap) {
        texel_[tap][l] = taps.texel[tap];
        weight_[tap][l] = share[l] * taps.weight[tap];
        worded_ = worded_ && taps.texel[tap] <= last;
      }
    }
  }

  // Asks the memory for a frame's texels.
  AVSA_HD void fetch(const In* frame) const {
    for (int l = 0; l < kLanes; ++l) {
      __builtin_prefetch(frame + texel_[0][l]);
      __builtin_prefetch(frame + texel_[2][l]);
    }
  }

  AVSA_HD void add(const In* frame, T (*values)[kLanes]) const {
    if constexpr (sizeof(In) == 1) {
      if (worded_) {
        for (int l = 0; l < kLanes; l += kChunk) add_words(frame, l, values);
        return;
      }
    }
    for (int tap = 0; tap < 4; ++tap)
      for (int c = 0; c < C; ++c)
        for (int l = 0; l < kLanes; ++l) values[c][l] += weight_[tap][l] * T(frame[texel_[tap][l] + c]);
  }

 private:
  std::int32_t texel_[4][kLanes];
  T weight_[4][kLanes];
  bool worded_;  // each texel comes in one word

  AVSA_HD void add_words(const std::uint8_t* frame, int l, T (*values)[kLanes]) const {
    using V = typename Vector<T>::type;
    V sum[C];
    for (int c = 0; c < C; ++c) std::memcpy(&sum[c], values[c] + l, sizeof(V));
    for (int tap = 0; tap < 4; ++tap) {
      const std::int32_t* at = texel_[tap] + l;
      const Words words{word(frame + at[0]), word(frame + at[1]), word(frame + at[2]), word(frame + at[3]),
                        word(frame + at[4]), word(frame + at[5]), word(frame + at[6]), word(frame + at[7])};
      V w, x;
      std::memcpy(&w, weight_[tap] + l, sizeof w);
      for (int c = 0; c < C; ++c) {
        bytes_of<T>(words, c, x);
        sum[c] += w * x;
      }
    }
    for (int c = 0; c < C; ++c) std::memcpy(values[c] + l, &sum[c], sizeof(V));
  }

  AVSA_HD static std::uint32_t word(const std::uint8_t* from) {
    std::uint32_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }
};

// The parts that a block's pixels are sampled in: on_spans(spans), or on_taps(right, down, share), arrays [kLanes].
template <class T, class OnSpans, class OnTaps>
AVSA_HD void each_part(const GnomonicView& view, const Plane& plane, const BlockRays& block, const Rays<double>& rays,
                       bool pad, Spans<T>& spans, const OnSpans& on_spans, const OnTaps& on_taps) {
  if (view.source == Source::erp && view.antialias) {
    const int aside = spans.begin(block, rays);
    for (int row = -aside; row <= aside; ++row)
      for (int column = -aside; column <= aside; ++column) {
        spans.set(block, rays, plane, column, row, pad);
        on_spans();
      }
    return;
  }
  T columns[kLanes], rows[kLanes], most = 1;
  for (int l = 0; l < kLanes; ++l) {
    columns[l] = view.antialias ? eac_cells(cast<T>(block.at(l)), cast<T>(rays.right), plane) : T(1);
    rows[l] = view.antialias ? eac_cells(cast<T>(block.at(l)), cast<T>(rays.down), plane) : T(1);
    most = std::max(most, std::max(columns[l], rows[l]));
  }
  const int aside = cells_aside(double(most));
  for (int row = -aside; row <= aside; ++row)
    for (int column = -aside; column <= aside; ++column) {
      T right[kLanes], down[kLanes], share[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        const Cell<T> along(columns[l], column), across(rows[l], row);
        right[l] = along.middle;
        down[l] = across.middle;
        share[l] = along.share * across.share;
      }
      on_taps(right, down, share);
    }
}

// Adds a block's values in `frames` frames of a plane, from the first, to the channels from `channel` on.
template <int C, class In, class T>
AVSA_HD void add_plane(const GnomonicView& view, const Plane& plane, const BlockRays& block, const Rays<double>& rays,
                       const In* first, int frames, int channel, Spans<T>& spans, Block<T>& out) {
  bool spanned = false;
  each_part(
      view, plane, block, rays, sizeof(In) == 1, spans,
      [&]() __attribute__((always_inline)) {
        spanned = true;
        for (const Span& span : spans.spans) __builtin_prefetch(first + span.begin);
        for (int f = 0; f < frames; ++f) {
          const std::int64_t ahead = f + 1 < frames ? plane.frame_step : 0;
          for (int l = 0; l < kLanes; ++l)
            add_spans<C>(first + f * plane.frame_step, ahead, spans, l, out.values[f] + channel);
        }
      },
      [&](const T* right, const T* down, const T* share) __attribute__((always_inline)) {
        BlockTaps<C, In, T> taps;
        taps.set(view.source, plane, block, rays, right, down, share);
        for (int f = -kAhead; f < frames; ++f) {
          if (f + kAhead < frames) taps.fetch(first + (f + kAhead) * plane.frame_step);
          if (f >= 0) taps.add(first + f * plane.frame_step, out.values[f] + channel);
        }
      });
  if (!spanned) return;
  for (int f = 0; f < frames; ++f)
    for (int c = channel; c < channel + C; ++c)
      for (int l = 0; l < kLanes; ++l) out.values[f][c][l] /= spans.total[l];
}

}  // namespace avsa
