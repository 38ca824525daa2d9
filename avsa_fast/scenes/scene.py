"""A scene: a panorama with moving sources, as recorded by a camera and a microphone at its centre."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsa_fast.data.encode_video import FPS
from avsa_fast.scenes.motion import Track, draw_tracks
from avsa_fast.scenes.procedural_images import draw_panorama
from avsa_fast.scenes.procedural_objects import CLASSES, draw_sources
from avsa_fast.scenes.recorded_material import Objects, Panoramas
from avsa_fast.scenes.render import draw_sprite
from avsa_fast.scenes.sound import RATE, Room, diffuse_noise, encode
from avsa_fast.scenes.source import Source

SMALL, LARGE = (160, 320), (512, 1024)  # rows and columns of ERP frames, for procedural and recorded images
PEAK = 0.1  # peak amplitude of a scene: leaves headroom for gain, and keeps files small
CHUNK = 16  # maximum frames rendered at once
SOURCES = 4  # in a scene, at most; each has an azimuth quadrant of its own
DISTANCE = 2.0  # metres of a source of RMS 1; others are as near as their level, which falls with distance, says


@dataclass(frozen=True)
class Material:
    """Recorded material for scenes.

    Attributes:
        objects: Photographs with sounds; None: procedural objects.
        panoramas: Panoramas; None: procedural ones.
        room: Measured room; None: a free field.
        distance: Distance of the sources, as a fraction of that at which the room was measured.
        sources: Number of sources; None: 4 procedural ones, or 3 or 4 recorded ones.
    """

    objects: Objects | None = None
    panoramas: Panoramas | None = None
    room: Room | None = None
    distance: float = 1.0
    sources: int | None = None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Rows and columns of the ERP frames."""
        return SMALL if self.objects is None and self.panoramas is None else LARGE

    @property
    def classes(self) -> list[str]:
        """Names of the classes of sources."""
        if self.objects is None:
            return [each.name for each in CLASSES]
        return [image.stem for image, _ in self.objects.pairs]


@dataclass(frozen=True)
class Scene:
    """A scene's content and its ground truth.

    Attributes:
        panorama: Background, RGB [H, W, 3].
        sources: Objects.
        tracks: Their motion.
        gains: For each source, the gain from its signal, of RMS 1, to its direct sound in W.
        distances: Distance of each source, metres.
        sound: W, Y, Z, X [4, T] at RATE, SN3D.
        times: Times of the frames [N], seconds.
    """

    panorama: NDArray[np.uint8]
    sources: list[Source]
    tracks: list[Track]
    gains: list[float]
    distances: list[float]
    sound: NDArray[np.float32]
    times: NDArray[np.float64]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Renders the video.

        Yields:
            Frames, uint8 RGB [H, W, 3].
        """
        for times in np.split(self.times, range(CHUNK, len(self.times), CHUNK)):
            chunk = np.repeat(self.panorama[None], len(times), axis=0)
            for source, track in zip(self.sources, self.tracks, strict=True):
                draw_sprite(chunk, source.sprite, track.at(times))
            yield from chunk


def draw_scene(rng: np.random.Generator, frame_count: int, material: Material) -> Scene:
    """Draws a random scene, which is determined by the generator's state and the material.

    Args:
        rng: Random generator.
        frame_count: Number of video frames; the sound has the same duration.
        material: Recorded material to use.

    Returns:
        The scene.
    """
    height, width = material.frame_size
    samples = frame_count * RATE // FPS
    if material.panoramas is None:
        panorama = draw_panorama(rng, height, width)
    else:
        panorama = material.panoramas.draw(rng, height, width)
    if material.objects is None:
        sources = draw_sources(rng, material.sources or SOURCES, samples, height)
    else:
        sources = material.objects.draw(rng, material.sources or int(rng.integers(3, 5)), samples, height)
    tracks = draw_tracks(rng, len(sources), frame_count / FPS)

    levels = 10 ** (rng.uniform(-3, 3, len(sources)) / 20)
    sound = diffuse_noise(rng, samples, 10 ** (rng.uniform(-25, -20) / 20))
    instants = np.arange(samples) / RATE
    for source, track, level in zip(sources, tracks, levels, strict=True):
        record = encode if material.room is None else material.room.record
        sound += record(source.signal * np.float32(level), track.at(instants))
    scale = PEAK / float(np.abs(sound).max())
    gains = [float(level) * scale for level in levels]
    distances = [DISTANCE * material.distance / float(level) for level in levels]
    return Scene(panorama, sources, tracks, gains, distances, sound * np.float32(scale), np.arange(frame_count) / FPS)
