import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.render import draw_sprite, make_sprite

H, W = 128, 256
BACKGROUND = 10

angles = st.tuples(st.floats(-np.pi, np.pi), st.floats(-np.pi / 2, np.pi / 2))


def pixel_directions(height: int, width: int) -> np.ndarray:
    azimuth = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    return np.stack(np.meshgrid(azimuth, elevation), axis=-1)  # [H, W, 2]


def draw(image: np.ndarray, size: float, direction: tuple[float, float]) -> np.ndarray:
    frames = np.full((1, H, W, 3), BACKGROUND, np.uint8)
    draw_sprite(frames, make_sprite(image, size, H), np.array([direction]))
    return frames[0]


def picture_of(colour: tuple[int, int, int, int], height: int = 60, width: int = 60) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 4)).copy()


@settings(max_examples=30)
@given(direction=angles, size=st.floats(0.2, 1.2))
def test_centre_and_area_are_correct_everywhere(direction, size):
    frame = draw(picture_of((255, 255, 255, 255)), size, direction)
    cover = (frame[..., 0].astype(float) - BACKGROUND) / (255 - BACKGROUND)
    pixels = pixel_directions(H, W)
    weight = cover * np.cos(pixels[..., 1]) * (np.pi / H) * (2 * np.pi / W)

    centre = (weight[..., None] * unit_vectors(pixels)).sum(axis=(0, 1))
    expected = unit_vectors(np.array(direction))
    angle = np.arctan2(np.linalg.norm(np.cross(centre, expected)), centre @ expected)
    assert angle < 0.15 * np.pi / H  # fraction of an ERP pixel

    half = np.tan(size / 2)
    solid_angle = 4 * np.arcsin(half**2 / (1 + half**2))  # of a square on the tangent plane
    assert weight.sum() == pytest.approx(solid_angle, rel=0.12, abs=2e-3)


@settings(max_examples=30)
@given(direction=angles)
def test_pixels_follow_the_gnomonic_projection(direction):
    """The inverse of CONVENTIONS' projection: from a point of the image to the ERP pixel."""
    rows, columns = np.mgrid[0:80, 0:120]
    image = np.stack([2 * columns, 3 * rows, 250 - columns - rows, np.full_like(rows, 255)], axis=-1).astype(np.uint8)
    frame = draw(image, 1.0, direction).astype(float)

    half_width = np.tan(0.5)
    y = -((columns + 0.5) / 120 * 2 - 1) * half_width
    z = -((rows + 0.5) / 80 * 2 - 1) * half_width * 80 / 120
    azimuth, elevation = direction
    x, z = np.cos(elevation) - z * np.sin(elevation), np.sin(elevation) + z * np.cos(elevation)
    x, y = x * np.cos(azimuth) - y * np.sin(azimuth), x * np.sin(azimuth) + y * np.cos(azimuth)
    u = ((0.5 - np.arctan2(y, x) / (2 * np.pi)) * W - 0.5).round().astype(int) % W
    v = ((0.5 - np.arctan2(z, np.hypot(x, y)) / np.pi) * H - 0.5).round().astype(int).clip(0, H - 1)

    inside = (slice(8, -8), slice(8, -8))
    error = np.abs(frame[v[inside], u[inside]] - image[(*inside, slice(3))])
    # Half an ERP pixel is at most 1.7 texels, which is 5 colour steps.
    assert np.median(error) <= 3
    assert error.max() <= 9


def test_orientation_of_the_image():
    image = picture_of((0, 0, 255, 255))
    image[:, :30, :3] = (255, 0, 0)  # left half red
    image[:15, :, :3] = (0, 255, 0)  # top green
    frame = draw(image, 0.8, (np.pi / 2, 0.2))
    rows, columns = np.nonzero(frame[..., 0] > 200)
    assert columns.mean() < W / 4 - 3  # azimuth 90° is at a quarter of the width from the left
    assert np.nonzero(frame[..., 2] > 200)[1].mean() > W / 4 + 3
    assert np.nonzero(frame[..., 1] > 200)[0].mean() < rows.mean() - 5


@settings(max_examples=20)
@given(direction=angles, size=st.floats(0.3, 1.2))
def test_pixels_outside_the_sprite_are_unchanged(direction, size):
    frame = draw(picture_of((255, 255, 255, 255), height=30), size, direction)
    radius = np.arctan(np.hypot(1, 0.5) * np.tan(size / 2))
    distance = np.arccos(np.clip(unit_vectors(pixel_directions(H, W)) @ unit_vectors(np.array(direction)), -1, 1))
    assert (frame[distance > radius + 1.5 * np.pi / H] == BACKGROUND).all()
    assert (frame[distance < radius / 3] == 255).all()


def test_transparency_is_blended_and_transparent_margins_are_cropped():
    image = picture_of((200, 100, 0, 0))
    image[10:30, 20:60] = (200, 100, 0, 128)
    sprite = make_sprite(image, 0.9, H)
    assert sprite.angular_size == pytest.approx((0.9, 2 * np.arctan(np.tan(0.45) / 2)))
    frame = draw(image, 0.9, (0, 0))
    np.testing.assert_allclose(frame[H // 2, W // 2], np.array([200, 100, 0]) * 0.502 + BACKGROUND * 0.498, atol=1)


def test_a_fine_pattern_does_not_alias():
    image = picture_of((0, 0, 0, 255), 400, 400)
    image[(np.indices((400, 400)).sum(axis=0) % 2) == 0, :3] = 255
    frame = draw(image, 0.6, (0.3, 0.1)).astype(float)
    inside = np.arccos(unit_vectors(pixel_directions(H, W)) @ unit_vectors(np.array([0.3, 0.1]))) < 0.2
    assert np.ptp(frame[inside]) <= 4
