"use strict";
// Sound that follows the view. First-order ambisonics (W Y Z X, SN3D) are rotated by Ry(elevation) Rz(-azimuth), so that
// the viewing direction comes to the front, and decoded binaurally by Omnitone. Alternatively, both ears get a
// hypercardioid beam: 1/4 W + 3/4 of the component along the direction.

/** The rotation's rows x', y', z' in terms of x, y, z. Angles in radians, azimuth to the left, elevation up. */
function rotation(azimuth, elevation) {
  const [c, s, C, S] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
  return [[C * c, C * s, S], [-s, c, 0], [-S * c, -S * s, C]];
}

/** A graph from 4 channels to 2 ears. Returns {input, output, look(azimuth, elevation), beam(azimuth, elevation)}. */
async function spatialGraph(context) {
  const input = context.createChannelSplitter(4);
  const rotated = context.createChannelMerger(4);
  const order = [3, 1, 2]; // the channels of x, y, z
  const gains = order.map((to) => order.map((from) => {
    const gain = context.createGain();
    input.connect(gain, from).connect(rotated, 0, to);
    return gain;
  }));
  input.connect(rotated, 0, 0);
  const ears = Omnitone.createFOARenderer(context);
  await ears.initialize();
  const [around, beam, output] = [context.createGain(), context.createGain(), context.createGain()];
  rotated.connect(ears.input);
  ears.output.connect(around).connect(output);
  const omni = context.createGain();
  omni.gain.value = 0.25;
  const front = context.createGain();
  front.gain.value = 0.75;
  input.connect(omni, 0).connect(beam);
  gains[0].forEach((gain) => gain.connect(front)); // x' of the rotated scene is the component along the direction
  front.connect(beam).connect(output);
  const rotate = (azimuth, elevation) => rotation(azimuth, elevation).forEach((row, i) =>
    row.forEach((value, j) => gains[i][j].gain.setTargetAtTime(value, context.currentTime, 0.01)));
  const blend = (listening) => { beam.gain.value = listening; around.gain.value = 1 - listening; };
  return {
    input, output,
    look(azimuth, elevation) { blend(0); rotate(azimuth, elevation); },
    beam(azimuth, elevation) { blend(1); rotate(azimuth, elevation); },
  };
}

const player = {
  clip: null, // number of the clip that plays

  /** Plays a clip in a loop until stop(). A browser allows it only in answer to a click or key. */
  async play(n, azimuth, elevation, listening = false) {
    this.stop();
    this.context ??= new AudioContext();
    this.graph ??= await spatialGraph(this.context);
    await this.context.resume();
    this.source = this.context.createBufferSource();
    this.source.buffer = await this.context.decodeAudioData(excerpt(n).sound.slice().buffer);
    this.source.loop = true;
    this.source.connect(this.graph.input);
    this.graph.output.connect(this.context.destination);
    this.graph[listening ? "beam" : "look"](azimuth, elevation);
    this.source.start();
    this.began = this.context.currentTime;
    this.clip = n;
  },

  look(azimuth, elevation) { if (this.clip !== null) this.graph.look(azimuth, elevation); },

  /** Seconds from the excerpt's start. */
  time() { return this.clip === null ? 0 : (this.context.currentTime - this.began) % this.source.buffer.duration; },

  stop() {
    if (this.clip !== null) { this.source.stop(); this.source.disconnect(); this.clip = null; }
  },
};
