"""Beamforms towards one direction: python examples/beam.py FOA.flac AZIMUTH ELEVATION OUT.wav (degrees; ACN, SN3D)."""

import sys
from math import radians

import soundfile
import torch

from avsa_fast import ops

if len(sys.argv) != 5:
    sys.exit(__doc__)
recording, azimuth, elevation, out = sys.argv[1:]
samples, rate = soundfile.read(recording, dtype="float32")  # [T, 4]
scene = torch.from_numpy(samples).T  # [4, T]: W, Y, Z, X
direction = torch.tensor([[radians(float(azimuth)), radians(float(elevation))]])  # [K, 2]
beam = ops.beamform(scene, direction, pattern="hypercardioid")  # [K, T]
soundfile.write(out, beam[0].numpy(), rate)
