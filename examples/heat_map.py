"""Computes a heat map of one clip step by step: from which direction comes the sound of a visible object?

python examples/heat_map.py RUN DATASET NAME SECONDS OUT.jpg
"""

import sys
from pathlib import Path

import torch
from torchvision.io import write_jpeg
from torchvision.transforms.functional import resize

from avsa_fast.data.directions import Detections
from avsa_fast.data.index import Index
from avsa_fast.data.projection import to_erp
from avsa_fast.data.spans import span_of
from avsa_fast.data.tables import DETECTIONS, read_columns
from avsa_fast.maps import similarity_map
from avsa_fast.run import load_run

if len(sys.argv) != 6:
    sys.exit(__doc__)
run_folder, dataset, name, seconds, out = sys.argv[1:]
moment = float(seconds)

# 1. The clip: its files, and how they are read.
found = {clip.name: (clip, row) for clip, row in Index(Path(dataset))}
if name not in found:
    sys.exit(f"{dataset} has no clip {name}; it has {', '.join(sorted(found)[:5])}, ...")
clip = span_of(*found[name])

# 2. One moment: 8 frames and 1 s of sound, centred on the same time.
run = load_run(Path(run_folder))
config = run.config.samples
frames = clip.reader.frames(moment, config.frames, config.fps, config.max_height)  # [8, H, W, 3]
sound = clip.reader.scene(moment)  # [4, 24000]

# 3. The viewing direction: the first object detected at that moment, or straight ahead.
objects = Detections(read_columns(Path(dataset) / "detections.parquet", DETECTIONS)).at(name, moment)
towards = torch.tensor(objects[0] if len(objects) else [0.0, 0.0], dtype=torch.float32)
azimuth, elevation = towards.rad2deg().tolist()
print(f"looking at azimuth {azimuth:.0f}°, elevation {elevation:.0f}°")

# 4. Cosine similarity of the crop to the sound rotated to each direction of the sphere: [18, 36].
heat = similarity_map(run, frames, sound, towards=towards, projection=clip.projection)

# 5. Overlay on the frame: bright where the sound matches the crop.
frame = resize(to_erp(frames[4:5], clip.projection)[0].permute(2, 0, 1), [512, 1024]).float()
glow = resize(((heat - heat.min()) / (heat.max() - heat.min()))[None], [512, 1024]).clamp(0, 1) ** 3
picture = frame * (0.35 + 0.65 * glow)
write_jpeg(picture.round().to(torch.uint8), out, quality=90)
