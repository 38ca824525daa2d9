"""Detection of a video's projection, tested on every shared panorama in ERP, EAC and other projections."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.panoramas import as_eac, v360
from helpers.tracks import video_track
from PIL import Image

from avsa_fast.data.projection import Projection, view_of
from avsa_fast.data.projection_detection import FlatVideo, detect_projection, seam_match
from avsa_fast.data.spherical_metadata import VideoGeometry, read_spherical_metadata
from avsa_fast.data.video import read_frames
from avsa_fast.errors import ClipError
from avsa_fast.scenes.procedural_images import draw_panorama


@pytest.fixture(scope="module")
def panoramas(assets: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted((assets / "panoramas").glob("*.jpg"))]


def detect(declared: VideoGeometry, images: torch.Tensor) -> Projection:
    projection, evidence = detect_projection(declared, lambda: images)
    assert evidence
    return projection


def mismatch(images: torch.Tensor, projection: Projection) -> float:
    return seam_match(images, projection).mismatch


def frames(panorama: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(panorama.copy())[None]


def test_every_panorama_is_recognised(panoramas: list[np.ndarray]) -> None:
    """The right projection fits, and the wrong one is far above the threshold of 0.3."""
    assert len(panoramas) == 13
    for panorama in panoramas:
        erp, cubemap = frames(panorama), frames(as_eac(panorama))
        assert detect(VideoGeometry(), erp) == "erp"
        assert detect(VideoGeometry(), cubemap) == "eac"
        assert mismatch(erp, "erp") < 0.2 < 0.7 < mismatch(erp, "eac")
        assert mismatch(cubemap, "eac") < 0.1 < 0.7 < mismatch(cubemap, "erp")


def test_every_panorama_squeezed_and_over_under_is_recognised(panoramas: list[np.ndarray]) -> None:
    for panorama in panoramas:
        W = panorama.shape[1]
        squeezed = np.asarray(Image.fromarray(panorama).resize((W, W * 9 // 16)))
        assert detect(VideoGeometry(), frames(squeezed)) == "erp"
        over_under = frames(np.concatenate([panorama, np.roll(panorama, W // 200, axis=1)]))
        assert detect(VideoGeometry(), over_under) == "erp_top"
        assert torch.equal(view_of(over_under[0], "erp_top"), frames(panorama)[0])
        beside = frames(np.concatenate([panorama, np.roll(panorama, W // 200, axis=1)], axis=1))
        assert detect(VideoGeometry(), beside) == "erp_left"
        assert torch.equal(view_of(beside[0], "erp_left"), frames(panorama)[0])


def test_procedural_panoramas_are_recognised() -> None:
    for seed in range(20):
        panorama = draw_panorama(np.random.default_rng(seed), 160, 320)
        assert detect(VideoGeometry(), frames(panorama)) == "erp"
        assert detect(VideoGeometry(), frames(as_eac(panorama))) == "eac"


def test_perspective_images_are_refused(panoramas: list[np.ndarray]) -> None:
    """At least nine of ten perspective views are refused; the others show only sky at both edges."""
    refused = 0
    for panorama in panoramas:
        for yaw in (-144, -72, 0, 72, 144):
            flat = v360(panorama, f"e:flat:yaw={yaw}:pitch={yaw // 9}:h_fov=80:v_fov=50:w=640:h=360")
            try:
                detect(VideoGeometry(), frames(flat))
            except ClipError:
                refused += 1
    assert refused > 0.9 * 5 * len(panoramas)


def test_fisheye_circles_are_refused(panoramas: list[np.ndarray]) -> None:
    for panorama in panoramas:
        for kind, W in (("dfisheye", 512), ("fisheye", 256)):
            image = v360(panorama, f"e:{kind}:w={W}:h=256:h_fov=190:v_fov=190")
            row, column = (np.indices((256, W)) + 0.5) / 128 - 1
            image = np.where(np.hypot(row, (column + 1) % 2 - 1)[..., None] < 1, image, 0).astype(np.uint8)
            with pytest.raises(ClipError, match="fisheye"):
                detect(VideoGeometry(), frames(np.maximum(image, 3)))


def test_metadata_takes_precedence_over_content(panoramas: list[np.ndarray]) -> None:
    erp, cubemap = frames(panoramas[0]), frames(as_eac(panoramas[0]))
    flat = frames(v360(panoramas[0], "e:flat:h_fov=80:v_fov=50:w=640:h=360"))
    assert detect(VideoGeometry("equirectangular"), flat) == "erp"
    assert detect(VideoGeometry("equirectangular", "top-bottom"), erp) == "erp_top"
    assert detect(VideoGeometry("equirectangular", "left-right"), erp) == "erp_left"
    assert detect(VideoGeometry("mesh", "mono"), cubemap) == "eac"
    for declared, image in (
        (VideoGeometry("mesh"), erp), (VideoGeometry("cubemap"), erp), (VideoGeometry("mesh", "top-bottom"), cubemap),
        (VideoGeometry("fisheye"), erp), (VideoGeometry("half-equirectangular"), erp),
        (VideoGeometry("rectilinear"), erp),
        (VideoGeometry("unknown"), erp), (VideoGeometry("equirectangular", "unknown"), erp),
    ):  # fmt: skip
        with pytest.raises(ClipError):
            detect(declared, image)


def test_black_frames_are_equirectangular() -> None:
    assert detect(VideoGeometry(), torch.zeros(2, 64, 128, 3, dtype=torch.uint8)) == "erp"


@pytest.mark.parametrize(
    ("name", "source"),
    [("kqAZkf5Odyw-80", "erp"), ("richoh1_erp_mono_audio", "erp"), ("congo_overunder_stereo_audio", "erp_top")],
)
def test_real_videos(assets: Path, name: str, source: str) -> None:
    path = assets / "video" / f"{name}.mp4"
    images = read_frames(video_track(path), 5, count=3, fps=0.5, max_height=640)
    assert detect(read_spherical_metadata(path).video, images) == source
    assert detect(VideoGeometry(), images) == source
    assert mismatch(images, source) < 0.29  # type: ignore[arg-type]


def barred(picture: np.ndarray, pixels: int, axis: int, level: int) -> torch.Tensor:
    """A picture between bars of one colour at the left and right (axis 1), or at the top and bottom (axis 0)."""
    width = [(0, 0), (0, 0), (0, 0)]
    width[axis] = (pixels, pixels)
    return frames(np.pad(picture, width, constant_values=level))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_bars_at_the_sides_are_no_picture(panoramas: list[np.ndarray], level: int) -> None:
    """Neither of flat films, nor of complete spheres, whose azimuths they would shift."""
    for panorama in panoramas:
        height, width = panorama.shape[:2]
        for picture in (panorama, panorama[:, : height * 4 // 3]):
            with pytest.raises(FlatVideo, match="bars of one colour at the left and right"):
                detect(VideoGeometry(), barred(picture, width // 12, 1, level))


def test_letterboxed_spheres_are_refused_and_uniform_poles_are_not(panoramas: list[np.ndarray]) -> None:
    for panorama in panoramas:
        height = panorama.shape[0]
        with pytest.raises(FlatVideo, match="bars of one colour at the top and bottom"):
            detect(VideoGeometry(), barred(panorama, height // 8, 0, 0))
        capped = panorama.copy()
        capped[: height // 10] = capped[-height // 10 :] = 0  # a camera that sees neither pole
        assert detect(VideoGeometry(), frames(capped)) == "erp"


def test_edges_without_texture_prove_nothing() -> None:
    """A flat film on a bright ground that darkens slowly, with no bars of exactly one colour."""
    film = np.broadcast_to(np.linspace(215, 240, 90)[:, None, None], (90, 160, 3)).astype(np.uint8)
    film[20:70, 40:120] = np.random.default_rng(0).integers(0, 255, (50, 80, 3))
    with pytest.raises(FlatVideo, match="no texture"):
        detect(VideoGeometry(), frames(film))


OFFER = "--projection erp"


def refusal(declared: VideoGeometry, images: torch.Tensor) -> str:
    with pytest.raises(ClipError) as caught:
        detect(declared, images)
    assert caught.value.state == "refused"
    return str(caught.value)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blocks of random colours, whose edges continue nowhere."""
    blocks = np.random.default_rng(seed).integers(30, 226, (height // 16, width // 16, 3)).astype(np.uint8)
    return np.kron(blocks, np.ones((16, 16, 1), np.uint8))


@pytest.mark.parametrize(("height", "width"), [(128, 256), (144, 256), (192, 256)])
def test_the_override_is_offered_where_the_frame_may_be_a_sphere(height: int, width: int) -> None:
    line = refusal(VideoGeometry(), frames(noise(height, width)))
    assert line.startswith("not a 360° video: its edges do not continue into each other")
    assert OFFER in line


@pytest.mark.parametrize("declared", ["half-equirectangular", "fisheye", "rectilinear", "mesh", "cubemap", "unknown"])
def test_the_override_is_not_offered_for_declared_projections(declared: str) -> None:
    assert OFFER not in refusal(VideoGeometry(declared, "mono"), frames(noise(128, 256)))


def test_one_track_of_a_cubemap_in_two_is_not_offered_the_override() -> None:
    """Three faces side by side, as in each track of a GoPro .360, are no whole sphere."""
    line = refusal(VideoGeometry(), frames(noise(128, 384)))
    assert "wider than twice its height" in line
    assert OFFER not in line


def test_half_spheres_side_by_side_are_not_offered_the_override() -> None:
    eye = noise(256, 256)
    line = refusal(VideoGeometry(), frames(np.concatenate([eye, np.roll(eye, 1, axis=1)], axis=1)))
    assert "VR180" in line
    assert OFFER not in line


@pytest.mark.parametrize("stacked", [False, True])
def test_dual_fisheye_is_not_offered_the_override(stacked: bool) -> None:
    row, column = (np.indices((128, 128)) + 0.5) / 64 - 1
    circles = [np.where(np.hypot(row, column)[..., None] < 1, noise(128, 128, seed), 3) for seed in (1, 2)]
    line = refusal(VideoGeometry(), frames(np.concatenate(circles, axis=0 if stacked else 1).astype(np.uint8)))
    assert line.startswith("fisheye video (circles on black)")
    assert OFFER not in line


def test_bars_are_to_be_cropped() -> None:
    for images in (barred(noise(128, 192), 32, 1, 0), barred(noise(128, 256), 32, 0, 0)):
        line = refusal(VideoGeometry(), images)
        assert "crop the video to its picture first" in line
        assert OFFER not in line
