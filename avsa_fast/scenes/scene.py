"""One scene: a panorama, sources that move in it, and what a camera and a microphone at its centre record."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes import looks, procedural
from avsa_fast.scenes.collection import Objects, Panoramas
from avsa_fast.scenes.motion import Track, draw_tracks
from avsa_fast.scenes.render import place
from avsa_fast.scenes.sound import Room, diffuse_noise, encode
from avsa_fast.scenes.source import Source
from avsa_fast.scenes.write import FPS, RATE

SMALL, LARGE = (160, 320), (512, 1024)  # rows and columns of ERP frames: procedural, with real pictures
PEAK = 0.1  # of the loudest sample of a scene: room for gain, and small files
CHUNK = 16  # frames rendered at once


@dataclass(frozen=True)
class Material:
    """What scenes are made of; None: made from the seed, and for the room a free field."""

    objects: Objects | None = None
    panoramas: Panoramas | None = None
    room: Room | None = None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Rows and columns of the ERP frames."""
        return SMALL if self.objects is None and self.panoramas is None else LARGE


@dataclass(frozen=True)
class Scene:
    panorama: NDArray[np.uint8]  # [H, W, 3]
    sources: list[Source]
    tracks: list[Track]  # a source each
    gains: list[float]  # from each source's signal, of RMS 1, to its direct sound in W
    sound: NDArray[np.float32]  # [4, T] at RATE, ACN/SN3D
    times: NDArray[np.float64]  # [N] of the frames, seconds

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The video, in chunks [<= CHUNK, H, W, 3]."""
        for times in np.split(self.times, range(CHUNK, len(self.times), CHUNK)):
            chunk = np.repeat(self.panorama[None], len(times), axis=0)
            for source, track in zip(self.sources, self.tracks, strict=True):
                place(chunk, source.sprite, track.at(times))
            yield chunk


def draw_scene(rng: np.random.Generator, frame_count: int, material: Material) -> Scene:
    """A scene of frame_count frames and as much sound, the same for the same generator and material."""
    height, width = material.frame_size
    samples = frame_count * RATE // FPS
    if material.panoramas is None:
        panorama = looks.panorama(rng, height, width)
    else:
        panorama = material.panoramas.draw(rng, height, width)
    if material.objects is None:
        sources = procedural.draw_sources(rng, 4, samples, height)
    else:
        sources = material.objects.draw(rng, int(rng.integers(3, 5)), samples, height)
    tracks = draw_tracks(rng, len(sources), frame_count / FPS)

    levels = 10 ** (rng.uniform(-3, 3, len(sources)) / 20)
    sound = diffuse_noise(rng, samples, 10 ** (rng.uniform(-25, -20) / 20))
    instants = np.arange(samples) / RATE
    for source, track, level in zip(sources, tracks, levels, strict=True):
        record = encode if material.room is None else material.room.record
        sound += record(source.signal * np.float32(level), track.at(instants))
    scale = PEAK / float(np.abs(sound).max())
    gains = [float(level) * scale for level in levels]
    return Scene(panorama, sources, tracks, gains, sound * np.float32(scale), np.arange(frame_count) / FPS)
