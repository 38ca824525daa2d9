"""PrepareOptions that affect how a clip is prepared."""

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from avsa_fast.data.channels import Gains, is_fuma
from avsa_fast.data.projection import Projection
from avsa_fast.detect.boxes import Detector
from avsa_fast.detect.sphere import DetectorViews, SphereDetector, on_sphere
from avsa_fast.detect.weights import DEFAULT_WEIGHTS, find_weights
from avsa_fast.detect.yolo import MIN_CONFIDENCE, YoloDetector
from avsa_fast.errors import UserError

VERSION = 2  # increment when the same clip and options give a different result
MIN_HEIGHT, MAX_HEIGHT = 64, 4096  # of transcoded videos, pixels


@dataclass(frozen=True)
class PrepareOptions:
    """How clips are prepared.

    Raises:
        UserError: If an option is out of range.
    """

    channels: tuple[int, ...] | None = None  # indices of decoded channels W, Y, Z, X; None: from the file
    gains: Gains | None = None  # ambisonic normalisation ("fuma" implies FuMa's channel order); None: from the file
    projection: Projection | None = None  # of every video; None: from the file
    ignore_pose: bool = False  # assume that picture and sound share their axes, whatever pose the file states
    detector: str | None = DEFAULT_WEIGHTS  # YOLO weights, or module:factory; None: no detection
    views: DetectorViews = "erp"
    detect_fps: float = 2.0
    classes: tuple[str, ...] = ()
    confidence: float = MIN_CONFIDENCE
    trust_weights: bool = False
    transcode: bool = False
    height: int = 512  # maximum number of rows of transcoded frames, of one eye

    def __post_init__(self) -> None:
        if not 0 < self.detect_fps <= 120:
            raise UserError(f"{self.detect_fps:g} frames a second cannot be searched for objects; 2 can")
        if not 0 < self.confidence < 1:
            raise UserError(f"--confidence {self.confidence:g} must be within (0, 1)")
        if not MIN_HEIGHT <= self.height <= MAX_HEIGHT or self.height % 2:
            raise UserError(f"--height {self.height} must be even, {MIN_HEIGHT} to {MAX_HEIGHT}")
        if self.gains and not self.transcode:
            raise UserError(f"--gains {self.gains}: the sound has to be converted, which takes --transcode")

    def gains_of(self, sound: Path) -> Gains:
        """Returns the ambisonic normalisation of a sound file."""
        return self.gains or ("fuma" if is_fuma(sound) else "sn3d")

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
            UserError: If the detector is not available.
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
        return on_sphere(detector, self.views)


def _from_module(name: str) -> Detector:
    module, _, factory = name.partition(":")
    try:
        detector = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"--detector {name}: no such detector ({error}); expected MODULE:FACTORY") from error
    if not callable(getattr(detector, "detect", None)):
        raise UserError(f"--detector {name}: makes {type(detector).__name__}, which has no method detect(images)")
    return cast(Detector, detector)
