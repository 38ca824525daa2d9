"""Maps of a video's sound, one after another, and how much each of its objects sounds at that moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from avsa_fast.choices import MapKind
from avsa_fast.data.projection import PROJECTIONS
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.detect.boxes import SphereBox
from avsa_fast.detect.tracks import Tracker
from avsa_fast.embed.encode import frame_windows
from avsa_fast.maps import intensity_map, search_maps
from avsa_fast.maps.grid import peak_direction, value_at
from avsa_fast.run import Run

from .objects import Finder

Direction = tuple[float, float]  # azimuth and elevation, radians
# Directions whose crops stand for the picture where no object is known.
HORIZON = torch.tensor([[azimuth * pi / 2, 0.0] for azimuth in range(4)])


@dataclass(frozen=True)
class SoundingObject:
    """An object at a moment.

    Attributes:
        track: Number that identifies the object over time.
        box: Where it is.
        score: How much it sounds: similarity, in [-1, 1], of its crop to the sound from its direction; for maps of the
            energy, their value, in [0, 1], in its direction.
        peak: Direction of the maximum of the object's own map, or of the map of the energy.
    """

    track: int
    box: SphereBox
    score: float
    peak: Direction


@dataclass(frozen=True)
class Moment:
    """A map and the objects at a moment.

    Attributes:
        time: Seconds from the clip's start.
        heat: float32 [H, W] over the ERP frame: the largest similarity of any object's crop to the sound from each
            direction, or the energy.
        objects: The objects.
    """

    time: float
    heat: Tensor
    objects: list[SoundingObject]


@dataclass(frozen=True)
class MomentReader:
    """Computes the maps of a clip.

    Attributes:
        run: Trained run.
        media: Reader of a 360° video with ambisonic sound.
        kind: What maps show.
        rate: Maps per second.
        objects: Finds the objects.
    """

    run: Run
    media: MediaReader
    kind: MapKind
    rate: float
    objects: Finder

    @property
    def count(self) -> int:
        """Number of moments in the clip."""
        return max(1, round(self.media.description.end * self.rate))

    def read(self, first: int, count: int, tracker: Tracker) -> Iterator[Moment]:
        """Computes consecutive moments; moment number m is at (m + 1/2) / rate seconds.

        Args:
            first: Number of the first moment.
            count: Number of moments.
            tracker: Knows the objects before the first moment, and learns those of the others.

        Yields:
            The moments.

        Raises:
            UserError: If the file is damaged.
        """
        end = self.media.description.end  # before the middle of a clip's only moment, if it is short
        centres = [min((first + number + 0.5) / self.rate, end) for number in range(count)]
        found = self.objects(centres[0], count, self.rate)
        if self.kind == "energy":
            for centre, boxes in zip(centres, found, strict=True):
                yield self._energy(centre, boxes, tracker.add(boxes))
            return
        windows = frame_windows(self.run, self.media, centres)
        for centre, boxes, frames in zip(centres, found, windows, strict=True):
            yield self._similarity(centre, boxes, tracker.add(boxes), frames)

    def _energy(self, centre: float, boxes: list[SphereBox], tracks: list[int]) -> Moment:
        """Moment with the map of the sound's energy."""
        heat = intensity_map(self._sound(centre), SAMPLE_RATE)
        peak = peak_direction(heat)
        objects = [
            SoundingObject(track, box, value_at(heat, (box.azimuth, box.elevation)), peak)
            for track, box in zip(tracks, boxes, strict=True)
        ]
        return Moment(centre, heat, objects)

    def _similarity(self, centre: float, boxes: list[SphereBox], tracks: list[int], frames: Tensor) -> Moment:
        """Moment with the map of the embeddings' similarity."""
        directions = torch.tensor([(box.azimuth, box.elevation) for box in boxes]) if boxes else HORIZON
        projection = self.media.description.projection or PROJECTIONS[0]
        found = search_maps(self.run, frames, self._sound(centre), directions, projection=projection)
        objects = [
            SoundingObject(track, box, score, peak_direction(heat))
            for track, box, score, heat in zip(tracks, boxes, found.scores.tolist(), found.maps, strict=False)
        ]  # without boxes, the maps of HORIZON belong to no object
        return Moment(centre, found.maps.amax(dim=0), objects)

    def _sound(self, centre: float) -> Tensor:
        """[4, T], the sound around a moment."""
        return self.media.scene(centre, self.run.config.samples.seconds)
