"""Detection of a video's projection, tested on every shared panorama in ERP, EAC and other projections."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.panoramas import as_eac, v360
from PIL import Image

from avsa_fast.data.projection import decide_source, fit, view_of
from avsa_fast.data.spherical import Picture, read_spherical
from avsa_fast.data.video import read_frames
from avsa_fast.errors import ClipError
from avsa_fast.scenes.looks import panorama


@pytest.fixture(scope="module")
def panoramas(assets: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted((assets / "panoramas").glob("*.jpg"))]


def frames(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy())[None]


def test_every_panorama_is_recognised(panoramas: list[np.ndarray]) -> None:
    """The right projection fits, and the wrong one exceeds the threshold by a factor of three."""
    assert len(panoramas) == 13
    for picture in panoramas:
        erp, cubemap = frames(picture), frames(as_eac(picture))
        assert decide_source(Picture(), erp) == "erp"
        assert decide_source(Picture(), cubemap) == "eac"
        assert fit(erp, "erp") < 0.1 < 3 * 0.1 < fit(erp, "eac")
        assert fit(cubemap, "eac") < 0.1 < 3 * 0.1 < fit(cubemap, "erp")


def test_every_panorama_squeezed_and_over_under_is_recognised(panoramas: list[np.ndarray]) -> None:
    for picture in panoramas:
        W = picture.shape[1]
        squeezed = np.asarray(Image.fromarray(picture).resize((W, W * 9 // 16)))
        assert decide_source(Picture(), frames(squeezed)) == "erp"
        over_under = frames(np.concatenate([picture, np.roll(picture, W // 200, axis=1)]))
        assert decide_source(Picture(), over_under) == "erp_top"
        assert torch.equal(view_of(over_under[0], "erp_top"), frames(picture)[0])
        beside = frames(np.concatenate([picture, np.roll(picture, W // 200, axis=1)], axis=1))
        assert decide_source(Picture(), beside) == "erp_left"
        assert torch.equal(view_of(beside[0], "erp_left"), frames(picture)[0])


def test_procedural_panoramas_are_recognised() -> None:
    for seed in range(20):
        picture = panorama(np.random.default_rng(seed), 160, 320)
        assert decide_source(Picture(), frames(picture)) == "erp"
        assert decide_source(Picture(), frames(as_eac(picture))) == "eac"


def test_flat_pictures_are_refused(panoramas: list[np.ndarray]) -> None:
    """At least nine of ten perspective views are refused; the others show only sky at both edges."""
    refused = 0
    for picture in panoramas:
        for yaw in (-144, -72, 0, 72, 144):
            flat = v360(picture, f"e:flat:yaw={yaw}:pitch={yaw // 9}:h_fov=80:v_fov=50:w=640:h=360")
            try:
                decide_source(Picture(), frames(flat))
            except ClipError:
                refused += 1
    assert refused > 0.9 * 5 * len(panoramas)


def test_fisheye_circles_are_refused(panoramas: list[np.ndarray]) -> None:
    for picture in panoramas:
        for kind, W in (("dfisheye", 512), ("fisheye", 256)):
            image = v360(picture, f"e:{kind}:w={W}:h=256:h_fov=190:v_fov=190")
            row, column = (np.indices((256, W)) + 0.5) / 128 - 1
            image = np.where(np.hypot(row, (column + 1) % 2 - 1)[..., None] < 1, image, 0).astype(np.uint8)
            with pytest.raises(ClipError, match="fisheye"):
                decide_source(Picture(), frames(np.maximum(image, 3)))


def test_metadata_counts_more_than_content(panoramas: list[np.ndarray]) -> None:
    erp, cubemap = frames(panoramas[0]), frames(as_eac(panoramas[0]))
    flat = frames(v360(panoramas[0], "e:flat:h_fov=80:v_fov=50:w=640:h=360"))
    assert decide_source(Picture("equirectangular"), flat) == "erp"
    assert decide_source(Picture("equirectangular", "top-bottom"), erp) == "erp_top"
    assert decide_source(Picture("equirectangular", "left-right"), erp) == "erp_left"
    assert decide_source(Picture("mesh", "mono"), cubemap) == "eac"
    for picture, image in (
        (Picture("mesh"), erp), (Picture("cubemap"), erp), (Picture("mesh", "top-bottom"), cubemap),
        (Picture("fisheye"), erp), (Picture("half-equirectangular"), erp), (Picture("rectilinear"), erp),
        (Picture("unknown"), erp), (Picture("equirectangular", "unknown"), erp),
    ):  # fmt: skip
        with pytest.raises(ClipError):
            decide_source(picture, image)


def test_black_frames_are_equirectangular() -> None:
    assert decide_source(Picture(), torch.zeros(2, 64, 128, 3, dtype=torch.uint8)) == "erp"


@pytest.mark.parametrize(
    ("name", "source"),
    [("kqAZkf5Odyw-80", "erp"), ("richoh1_erp_mono_audio", "erp"), ("congo_overunder_stereo_audio", "erp_top")],
)
def test_real_videos(assets: Path, name: str, source: str) -> None:
    path = assets / "video" / f"{name}.mp4"
    images = read_frames(path, 5, count=3, fps=0.5, max_height=640)
    assert decide_source(read_spherical(path).picture, images) == source
    assert decide_source(Picture(), images) == source
    assert fit(images, source) < 0.1  # type: ignore[arg-type]
