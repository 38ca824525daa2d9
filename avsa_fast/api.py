"""A trained network by its path: embeddings, maps and alignment of video and sound files, as the commands compute them.

run = avsa_fast.load("runs/first")
run.embed("clip.mp4")["video"].embeddings       # [n, K, E]: n moments, K directions
run.localise("clip.mp4").objects                # a table: time, object, direction, score
run.align("clip.mp4").scores                    # [n, 4, 4]: which sound goes with which crop?
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, pi
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsa_fast.choices import DEFAULT_WEIGHTS, MapKind
from avsa_fast.data.describe import Overrides, describe
from avsa_fast.data.one_clip import prepared_description, require_spatial, sound_of
from avsa_fast.data.reader import MediaReader, Modality
from avsa_fast.detect.tracks import Tracker
from avsa_fast.embed.encode import FRONT, dense_centres, embed_windows, window_seconds
from avsa_fast.errors import UserError
from avsa_fast.export.reading import load_network
from avsa_fast.localise.moments import MomentReader
from avsa_fast.localise.objects import ObjectOptions, object_finder
from avsa_fast.localise.table import moments_table
from avsa_fast.maps.grid import erp_grid
from avsa_fast.run import Run

Directions = Sequence[tuple[float, float]]  # azimuth and elevation, radians
QUARTERS: Directions = ((0.0, 0.0), (pi / 2, 0.0), (-pi, 0.0), (-pi / 2, 0.0))  # front, left, back, right


class Embedded(NamedTuple):
    """Embeddings of one modality of a clip.

    Attributes:
        times: float64 [n], centres of the windows, seconds from the start of the clip.
        directions: float32 [K, 2], azimuth and elevation, radians.
        embeddings: float32 [n, K, E].
    """

    times: NDArray[np.float64]
    directions: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Localised(NamedTuple):
    """Where what sounds in a clip.

    Attributes:
        times: float64 [n], seconds from the start of the clip.
        directions: float32 [H, W, 2], azimuth and elevation of the maps' cells, radians.
        maps: float32 [n, H, W], as `python -m avsa_fast.localise` draws them.
        objects: Table of the columns time, object, class, track, azimuth, elevation, score, peak_azimuth and
            peak_elevation, with a row for each object at each time, and one, whose object is null, for the map's
            maximum.
    """

    times: NDArray[np.float64]
    directions: NDArray[np.float32]
    maps: NDArray[np.float32]
    objects: pa.Table


class Aligned(NamedTuple):
    """How well crops and sound views match.

    Attributes:
        times: float64 [n], seconds from the start of the clip.
        directions: float32 [K, 2], azimuth and elevation, radians.
        scores: float32 [n, K, K], similarity in [-1, 1] of each crop (rows) to each sound view (columns).
    """

    times: NDArray[np.float64]
    directions: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class LoadedRun:
    """A trained network, for files.

    All methods take the path of a video or sound file. Its sound is the file of its name in audio/, for video/NAME.mp4
    of a dataset folder, or beside it, or else the sound in it. Files are opened in this process, which a damaged one
    could crash; the commands open them in another one.

    Attributes:
        run: The network and its configuration, for samples and batches.
    """

    run: Run

    def embed(
        self, path: str | Path, *, sound: str | Path | None = None, directions: Directions = ((0.0, 0.0),),
        hop: float = 1.0, modality: Literal["both", "video", "audio"] = "both", overrides: Overrides = Overrides(),
    ) -> dict[Modality, Embedded]:  # fmt: skip
        """Embeds a clip, as `python -m avsa_fast.embed` does.

        Args:
            path: Video or sound file.
            sound: File with the sound, if it is not where it is looked for.
            directions: K directions of the views, azimuth and elevation in radians. Flat video, stereo and mono sound
                have only the front.
            hop: Seconds from one window to the next.
            modality: What to embed of a clip that has both.
            overrides: What is known about the file, instead of what it declares.

        Returns:
            The embeddings by modality.

        Raises:
            UserError: If a file cannot be read, or a direction or the hop is out of range.
        """
        media = _open(path, sound, overrides)
        wanted = [each for each in media.modalities if modality in ("both", each)]
        return {each: self._embed(media, each, self._centres(media, [each], hop), directions) for each in wanted}

    def localise(
        self, path: str | Path, *, sound: str | Path | None = None, rate: float = 2.0, map: MapKind = "embeddings",
        detections: str | Path | None = None, detector: str | None = DEFAULT_WEIGHTS,
        overrides: Overrides = Overrides(),
    ) -> Localised:  # fmt: skip
        """Computes where the sounds of a 360° video with ambisonic sound are, as `python -m avsa_fast.localise` does.

        Args:
            path: Video file.
            sound: File with the sound, if it is not where it is looked for.
            rate: Maps per second, 0.1 to 30.
            map: What maps show: similarity of the objects' embeddings to those of the sound, or the sound's energy.
            detections: A detections.parquet with the objects; default: that of the video's dataset folder, if any.
            detector: YOLO weights, used if there are no detections; None: no objects.
            overrides: What is known about the file, instead of what it declares.

        Returns:
            The maps, and the objects with how much each sounds.

        Raises:
            UserError: If the clip cannot be read or is not a 360° video with ambisonic sound, or the rate is out of
                range.
        """
        if not 0.1 <= rate <= 30:
            raise UserError(f"rate {rate} must be within 0.1 and 30")
        media = _open(path, sound, overrides)
        require_spatial(media.description, Path(path))
        options = ObjectOptions(None if detections is None else Path(detections), detector)
        reader = MomentReader(self.run, media, map, rate, object_finder(options, media))
        moments = list(reader.read(0, reader.count, Tracker()))
        maps = np.stack([moment.heat.numpy() for moment in moments])
        times = np.array([moment.time for moment in moments])
        size = (int(maps.shape[1]), int(maps.shape[2]))
        return Localised(times, erp_grid(size).numpy(), maps, moments_table(moments))

    def align(
        self, video: str | Path, audio: str | Path | None = None, *, directions: Directions = QUARTERS,
        hop: float = 1.0, overrides: Overrides = Overrides(),
    ) -> Aligned:  # fmt: skip
        """Compares the crops of a video with the views of a sound, moment by moment.

        Args:
            video: Video file.
            audio: File with the sound; default: that of the video.
            directions: K directions of crops and sound views; runs of both stages are trained with 4 a quarter turn
                apart. If the video is flat or the sound has no direction, only the front is compared.
            hop: Seconds from one moment to the next.
            overrides: What is known about the files, instead of what they declare.

        Returns:
            The similarities; for runs of both stages, each modality is compared with its prediction from the other.

        Raises:
            UserError: If a file cannot be read or lacks picture or sound, or a direction or the hop is out of range.
        """
        media = _open(video, audio, overrides)
        centres = self._centres(media, ["video", "audio"], hop)
        if not (media.is_directional("video") and media.is_directional("audio")):
            directions = ((0.0, 0.0),)
        pictured, heard = (self._embed(media, each, centres, directions) for each in ("video", "audio"))
        device = self.run.device
        embeddings = (torch.from_numpy(each.embeddings).to(device) for each in (pictured, heard))
        return Aligned(pictured.times, pictured.directions, self.run.alignment(*embeddings).cpu().numpy())

    def _centres(self, media: MediaReader, modalities: Sequence[Modality], hop: float) -> list[float]:
        """Centres of the windows that all modalities are embedded at."""
        if not 0.001 <= hop <= 3600:
            raise UserError(f"hop {hop} must be within 0.001 and 3,600 seconds")
        end = min(media.track(each).end for each in modalities)
        return dense_centres(end, hop, max(window_seconds(self.run, each) for each in modalities))

    def _embed(
        self, media: MediaReader, modality: Modality, centres: Sequence[float], directions: Directions
    ) -> Embedded:
        """Embeddings of a modality at given times."""
        views = _checked(directions) if media.is_directional(modality) else FRONT
        batches: Iterator[Tensor] = embed_windows(self.run, media, modality, centres, views)
        return Embedded(np.array(centres), views.numpy(), torch.cat(list(batches)).numpy())


def load(source: str | Path, device: str | torch.device | None = None) -> LoadedRun:
    """Loads a trained network. Nothing is downloaded.

    Args:
        source: Folder of a run; folder that `python -m avsa_fast.export` wrote; or the id, user/repository, of one in
            the local cache of the Hugging Face hub.
        device: Device of the network. Default: the GPU if there is one, else the CPU.

    Returns:
        The network, with methods for files.

    Raises:
        UserError: There is no such folder or id, the training is not finished, or a file is damaged.
    """
    return LoadedRun(load_network(source, None if device is None else torch.device(device)))


def _open(path: str | Path, sound: str | Path | None, overrides: Overrides) -> MediaReader:
    """Reader of a clip. Raises UserError if it cannot be read."""
    video = Path(path)
    heard = Path(sound) if sound is not None else sound_of(video)
    known = prepared_description(video, heard, overrides)
    return MediaReader(known or describe(video, heard, overrides))


def _checked(directions: Directions) -> Tensor:
    """Directions as float32 [K, 2]. Raises UserError if there are none, or they are no directions."""
    for direction in directions:
        if len(direction) != 2 or not (isfinite(direction[0]) and abs(direction[1]) <= pi / 2 + 1e-6):
            raise UserError(f"directions: {tuple(direction)} must be azimuth and elevation (within ±π/2), in radians")
    if not len(directions):
        raise UserError("directions: at least one is needed")
    return torch.tensor([tuple(direction) for direction in directions], dtype=torch.float32)
