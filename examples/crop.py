"""Crops an ERP image: python examples/crop.py PANORAMA.jpg AZIMUTH ELEVATION OUT.jpg (degrees; left, up positive)."""

import sys
from math import radians

import torch
from torchvision.io import read_image, write_jpeg

from avsa_fast import ops

if len(sys.argv) != 5:
    sys.exit(__doc__)
panorama, azimuth, elevation, out = sys.argv[1:]
frame = read_image(panorama)[:3].permute(1, 2, 0)  # [H, W, 3] uint8, W = 2 H
direction = torch.tensor([[[radians(float(azimuth)), radians(float(elevation))]]])  # [B, K, 2]
crops = ops.gnomonic(frame[None, None], direction, radians(75), (480, 640), dtype=torch.uint8)  # [B, K, 3, F, h, w]
write_jpeg(crops[0, 0, :, 0].contiguous(), out)
