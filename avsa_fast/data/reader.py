"""Reading of described media: frames of one view, and first-order ambisonic sound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from avsa_fast.errors import UserError

from .channels import to_ambisonic
from .describe import Description
from .frame_conversion import Limits, Planes, Size
from .sound import read_sound
from .tracks import SAMPLE_RATE, SoundTrack, VideoTrack
from .video import read_frames, read_planes, read_windows, sample_frames

Modality = Literal["video", "audio"]


@dataclass(frozen=True)
class MediaReader:
    """Reads a clip as its description says; all commands read media through it.

    Times are in seconds from the zero of the clip's tracks.

    Attributes:
        description: The clip's tracks, projection and channels.
    """

    description: Description

    @property
    def video(self) -> VideoTrack:
        """The video track. Raises UserError if there is none."""
        if self.description.video is None:
            raise UserError(f"{self._name}: no video in this file")
        return self.description.video

    @property
    def sound(self) -> SoundTrack:
        """The audio track. Raises UserError if there is none."""
        if self.description.sound is None:
            raise UserError(f"{self._name}: no audio in this file")
        return self.description.sound

    @property
    def _name(self) -> str:
        track = self.description.video or self.description.sound
        return str(track.path) if track else "the clip"

    @property
    def modalities(self) -> list[Modality]:
        """Modalities that the clip has."""
        tracks: dict[Modality, VideoTrack | SoundTrack | None] = {
            "video": self.description.video,
            "audio": self.description.sound,
        }
        return [modality for modality, track in tracks.items() if track is not None]

    @property
    def is_flat(self) -> bool:
        """Whether the video is not a 360° video."""
        return self.description.projection is None

    def track(self, modality: Modality) -> VideoTrack | SoundTrack:
        """Returns the track of a modality. Raises UserError if there is none."""
        return self.video if modality == "video" else self.sound

    def is_directional(self, modality: Modality) -> bool:
        """Returns whether a modality can be viewed in any direction (360° video, ambisonic sound)."""
        return not self.is_flat if modality == "video" else bool(self.description.layout.channel_map)

    def frames(self, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None) -> Tensor:
        """Reads frames around a point in time; see `video.read_frames`.

        Args:
            centre: Centre time.
            count: Number of frames.
            fps: Frames per second at which the video is sampled.
            max_height: Maximum number of rows of one eye's view. None: no limit.

        Returns:
            uint8 [count, H, W, 3], RGB, both eyes of stereoscopic video.

        Raises:
            UserError: The file is unreadable, or truncated before a requested time.
        """
        return read_frames(self.video, centre, count, fps, self._rows(max_height))

    def planes(self, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None) -> Planes:
        """Reads the same frames as YUV 4:2:0 planes; see `video.read_planes`.

        Args:
            centre: Centre time.
            count: Number of frames.
            fps: Frames per second at which the video is sampled.
            max_height: Maximum number of rows of one eye's view. None: no limit.

        Returns:
            The planes, of both eyes of stereoscopic video.

        Raises:
            UserError: As for `frames`, or the colour matrix or range changes between the frames.
        """
        return read_planes(self.video, centre, count, fps, self._rows(max_height))

    def windows(
        self, centres: Sequence[float], count: int = 8, fps: float = 16.0, max_height: int | None = None
    ) -> Iterator[Tensor]:
        """Reads frames around several points in time in one decoding pass; otherwise like `frames`.

        Args:
            centres: Centre times, increasing by at least count / fps.
            count: Frames per window.
            fps: Frames per second at which the video is sampled.
            max_height: Maximum number of rows of one eye's view. None: no limit.

        Returns:
            Iterator of uint8 [count, H, W, 3] RGB for each centre.

        Raises:
            UserError: As for `frames`.
        """
        return read_windows(self.video, centres, count, fps, self._rows(max_height))

    def sampled(
        self,
        fps: float,
        max_size: Limits = (None, None),
        begin: float = 0.0,
        length: float | None = None,
        multiples: Size | None = None,
    ) -> Iterator[tuple[float, Tensor]]:
        """Samples the video at a constant rate in one decoding pass; see `video.sample_frames`.

        Args:
            fps: Frames per second at which the video is sampled.
            max_size: Maximum width and height of one eye's view.
            begin: Time of the first frame.
            length: Seconds to sample; None: until the end of the track.
            multiples: Numbers that the output width and height are multiples of.

        Returns:
            Iterator of the seconds from `begin`, and the left eye's view displayed then, uint8 [H, W, 3] RGB.

        Raises:
            UserError: As for `frames`.
        """
        projection = self.description.projection or "erp"
        return sample_frames(self.video, fps, max_size, begin, length, projection, multiples)

    def scene(self, centre: float, seconds: float = 1.0, rate: int = SAMPLE_RATE) -> Tensor:
        """Reads sound around a point in time as first-order ambisonics.

        Args:
            centre: Centre time.
            seconds: Duration.
            rate: Sample rate in Hz that the sound is resampled to.

        Returns:
            float32 [4, round(seconds * rate)], channels W, Y, Z, X in SN3D; for sound without direction W is the mean
            of all channels, and the others are zero.

        Raises:
            UserError: As for `sound.read_sound`, or the file has fewer channels than the layout needs.
        """
        layout = self.description.layout
        sound = read_sound(self.sound, centre, seconds, rate)
        if layout.channel_map and max(layout.channel_map) >= len(sound):
            raise UserError(
                f"{self.sound.path}: {len(sound)} channels, but index.parquet's channel map is "
                f"{list(layout.channel_map)}; delete that file to rebuild it"
            )
        return to_ambisonic(sound, layout.channel_map, layout.gains)

    def _rows(self, max_height: int | None) -> int | None:
        """Maximum number of rows of whole frames."""
        doubled = max_height is not None and self.description.projection == "erp_top"
        return max_height * 2 if doubled and max_height is not None else max_height
