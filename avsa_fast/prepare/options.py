"""Options that affect how a clip is prepared."""

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from avsa_fast.data.channels import Gains
from avsa_fast.data.describe import Overrides
from avsa_fast.data.projection import Projection
from avsa_fast.detect.boxes import Detector
from avsa_fast.detect.sphere import DetectorViews, SphereDetector, sphere_detector
from avsa_fast.detect.weights import DEFAULT_WEIGHTS, find_weights
from avsa_fast.detect.yolo import MIN_CONFIDENCE, YoloDetector
from avsa_fast.errors import UserError

VERSION = 3  # increment when the same clip and options give a different result
MIN_HEIGHT, MAX_HEIGHT = 64, 4096  # of transcoded videos, pixels


@dataclass(frozen=True)
class PrepareOptions:
    """How clips are prepared.

    Attributes:
        channels: Decoded channels that hold W, Y, Z, X; None: determined from the file.
        gains: Ambisonic normalisation ("fuma" implies FuMa's channel order); None: determined from the file.
        projection: Projection of every video; None: determined from the file.
        ignore_pose: Whether to assume that video and sound have the same axes, whatever pose the file declares.
        detector: YOLO weights, or module:factory; None: no detection.
        views: Images to search for objects: the whole frame, or perspective views.
        detect_fps: Frames per second that are searched for objects.
        classes: Classes of objects to detect; empty: all.
        confidence: Minimum score of an object.
        trust_weights: Whether to load weights of unknown checksum.
        transcode: Whether to write media that are cheap to decode, instead of links.
        height: Maximum number of rows of transcoded frames, of one eye.

    Raises:
        UserError: An option is out of range.
    """

    channels: tuple[int, ...] | None = None
    gains: Gains | None = None
    projection: Projection | None = None
    ignore_pose: bool = False
    detector: str | None = DEFAULT_WEIGHTS
    views: DetectorViews = "erp"
    detect_fps: float = 2.0
    classes: tuple[str, ...] = ()
    confidence: float = MIN_CONFIDENCE
    trust_weights: bool = False
    transcode: bool = False
    height: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.detect_fps <= 120:
            raise UserError(f"--detect-fps {self.detect_fps:g} must be within (0, 120]")
        if not 0 < self.confidence < 1:
            raise UserError(f"--confidence {self.confidence:g} must be within (0, 1)")
        if not MIN_HEIGHT <= self.height <= MAX_HEIGHT or self.height % 2:
            raise UserError(f"--height {self.height} must be even, {MIN_HEIGHT} to {MAX_HEIGHT}")

    @property
    def overrides(self) -> Overrides:
        """What the user states about the files."""
        return Overrides(self.channels, self.gains, self.projection)

    def digest(self) -> str:
        """Returns a hash of the options and of the detector's weights; equal hashes mean equal results."""
        values = asdict(self) | {"version": VERSION}
        if self.detector and ":" not in self.detector:
            weights = find_weights(self.detector, trust_weights=self.trust_weights)
            values["detector"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def make_detector(self) -> SphereDetector | None:
        """Returns the requested detector, or None for no detection.

        Raises:
            UserError: The detector is not available.
        """
        if self.detector is None:
            return None
        detector: Detector
        if ":" in self.detector and not Path(self.detector).exists():
            detector = _from_module(self.detector)
        else:
            detector = YoloDetector(
                self.detector, classes=self.classes, confidence=self.confidence, trust_weights=self.trust_weights
            )
        return sphere_detector(detector, self.views)


def _from_module(name: str) -> Detector:
    module, _, factory = name.partition(":")
    try:
        detector = getattr(importlib.import_module(module), factory)()
    except Exception as error:  # of the user's own module
        raise UserError(f"--detector {name}: no such detector ({error}); expected MODULE:FACTORY") from error
    if not callable(getattr(detector, "detect", None)):
        raise UserError(f"--detector {name}: returns {type(detector).__name__}, which has no method detect(images)")
    return cast(Detector, detector)
