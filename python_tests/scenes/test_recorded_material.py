import struct
import zlib

import numpy as np
import pytest
import soundfile
from PIL import EpsImagePlugin, Image

from avsa_fast.errors import UserError
from avsa_fast.scenes.recorded_material import CROSSFADE, Objects, Panoramas, loop, read_image
from avsa_fast.scenes.sound import RATE, root_mean_square


def make_object(folder, name, rate=16000, seconds=0.5, image=True):
    time = np.arange(int(rate * seconds)) / rate
    soundfile.write(folder / f"{name}.ogg", 0.3 * np.sin(2 * np.pi * 440 * time), rate)
    if image:
        pixels = np.zeros((20, 30, 4), np.uint8)
        pixels[5:15, 5:25] = (200, 30, 60, 255)
        Image.fromarray(pixels).save(folder / f"{name}.png")


def test_objects_are_pairs_of_image_and_sound(tmp_path, rng):
    make_object(tmp_path, "cat")
    make_object(tmp_path, "dog")
    make_object(tmp_path, "unseen", image=False)
    Image.new("RGBA", (5, 5)).save(tmp_path / "unheard.png")
    sources = Objects(tmp_path).draw(rng, 4, 2 * RATE, 512)
    assert sorted(source.label for source in sources) == ["cat", "dog"]
    for source in sources:
        assert source.signal.shape == (2 * RATE,)
        assert root_mean_square(source.signal) == pytest.approx(1, rel=0.05)
        spectrum = np.abs(np.fft.rfft(source.signal))
        assert np.argmax(spectrum) / 2 == pytest.approx(440, abs=3)  # resampled, not played at another speed
        width, height = source.sprite.angular_size
        assert np.radians(35) <= width <= np.radians(50)
        assert np.tan(height / 2) == pytest.approx(np.tan(width / 2) / 2)


@pytest.mark.parametrize("length", [1, 7, 300, 5000, 50_000])
def test_loop_has_no_discontinuity(length):
    tone = np.sin(np.arange(length) * 0.3).astype(np.float32) + np.float32(2)
    looped = loop(tone, 20_000, 123)
    assert looped.shape == (20_000,)
    assert np.abs(looped).max() <= 3 * 1.42
    if length > 2 * CROSSFADE:
        assert np.abs(np.diff(looped)).max() < 0.4


def test_missing_and_empty_folders(tmp_path):
    for collection, option in ((Objects, "--objects"), (Panoramas, "--panoramas")):
        with pytest.raises(UserError, match=f"{option} .*nowhere: not a readable folder"):
            collection(tmp_path / "nowhere")
        with pytest.raises(UserError, match=f"{option} .*: (no|contains no) "):
            collection(tmp_path)


def test_panorama_is_scaled_and_rotated(tmp_path, rng):
    image = rng.integers(0, 256, (50, 100, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "one.png")
    rotated = Panoramas(tmp_path).draw(rng, 50, 100)
    assert any((np.roll(rotated, shift, axis=1) == image).all() for shift in range(100))
    assert Panoramas(tmp_path).draw(rng, 512, 1024).shape == (512, 1024, 3)


def test_invalid_material_is_reported(tmp_path, rng):
    Image.new("RGB", (300, 300)).save(tmp_path / "square.png")
    with pytest.raises(UserError, match=r"square\.png: 300x300 pixels; .* twice as wide as high"):
        Panoramas(tmp_path).draw(rng, 160, 320)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(UserError, match=r"broken\.png: not a readable PNG or JPEG image"):
        read_image(tmp_path / "broken.png", "RGB")
    make_object(tmp_path, "ghost")
    Image.new("RGBA", (5, 5)).save(tmp_path / "ghost.png")
    with pytest.raises(UserError, match=r"ghost\.png: completely transparent"):
        Objects(tmp_path).draw(rng, 1, RATE, 160)
    make_object(tmp_path, "ghost")
    soundfile.write(tmp_path / "ghost.ogg", np.zeros(RATE), RATE)
    with pytest.raises(UserError, match=r"ghost\.ogg: silent"):
        Objects(tmp_path).draw(rng, 1, RATE, 160)


def test_only_png_and_jpeg_are_opened(tmp_path, monkeypatch):
    """Pillow would hand an EPS to Ghostscript, whatever its name."""
    called = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **options: called.append(args))
    image = Image.new("RGB", (20, 10), "red")
    for suffix, format in ((".png", "PNG"), (".jpg", "JPEG"), (".png", "JPEG")):
        image.save(tmp_path / f"good{suffix}", format)
        assert read_image(tmp_path / f"good{suffix}", "RGB").shape == (10, 20, 3)
    for format in ("EPS", "GIF", "BMP", "TIFF", "PPM", "WEBP", "PDF"):
        image.save(tmp_path / "p.png", format)
        with pytest.raises(UserError, match=r"p\.png: not a readable PNG or JPEG image: cannot identify"):
            read_image(tmp_path / "p.png", "RGB")
    assert not called


def test_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 50_000, 8, 2, 0, 0, 0)
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(10)))
    with pytest.raises(UserError, match=r"p\.png: "):
        read_image(tmp_path / "p.png", "RGB")
