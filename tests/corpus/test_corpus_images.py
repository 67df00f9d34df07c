"""The decoder: pixels worked out by hand, against what Pillow's own helper does, and on broken files."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from pictures import encoded, picture
from PIL import Image, ImageOps

from core.corpus import images
from core.corpus.images import BadImage, load_image, thumbnail

HALVES = [[0, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_pillows(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(1), kind, exif=exif)
    upright = load_image(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert upright.size == ((24, 40) if orientation >= 5 else (40, 24))
    assert np.array_equal(upright, expected)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    assert np.asarray(load_image(encoded(Image.fromarray(values))))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    values = np.full((2, 2), 514, dtype=np.uint16)
    assert np.asarray(load_image(encoded(Image.fromarray(values)))).max() == 2


def test_float_grey_in_the_unit_range() -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    assert np.asarray(load_image(encoded(Image.fromarray(values), "TIFF")))[0, :, 1].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_white(mode: str) -> None:
    image = Image.new(mode, (3, 1), 0 if mode == "LA" else (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 128) if mode == "LA" else (0, 0, 0, 128))
    image.putpixel((2, 0), (0, 255) if mode == "LA" else (0, 0, 0, 255))
    assert np.asarray(load_image(encoded(image)))[0, :, 0].tolist() == [255, 127, 0]


def test_palette_with_a_transparent_entry() -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    pixels = np.asarray(load_image(encoded(image, transparency=0)))
    assert pixels[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_transparent_value_of_sixteen_bit_grey() -> None:
    values = np.array([[1000, 2000]], dtype=np.uint16)
    image = Image.fromarray(values)
    image.info["transparency"] = 1000
    assert np.asarray(load_image(encoded(image, transparency=1000)))[0, :, 0].tolist() == [255, 8]


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    kind = "PNG" if mode in {"L", "1", "P"} else "TIFF"
    result = load_image(encoded(picture(2).convert(mode), kind))
    assert result.mode == "RGB" and result.size == (40, 24)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        red, _, blue = load_image(data).getpixel((1, 1))
        assert red > 240 and blue < 15, kind


def _bomb() -> bytes:
    """A PNG of a few bytes that says it has 400 million pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is no picture", "not an image of a known format"),
        (encoded(picture(3), "JPEG")[:-200], "truncated"),
        (encoded(picture(3, 300, 300))[:-9000], "truncated"),
        (_bomb(), "decompression bomb"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n", "not an image of a known format"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        load_image(data)


def test_the_limit_is_ours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 24 - 1)
    with pytest.raises(BadImage, match="40 x 24 pixels"):
        load_image(encoded(picture(4)))


def test_a_path_and_a_missing_path(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture(5)))
    assert np.array_equal(load_image(tmp_path / "a.png"), picture(5))
    with pytest.raises(BadImage, match="no such file"):
        load_image(tmp_path / "b.png")


def test_every_cut_of_a_file_is_an_image_or_a_reason() -> None:
    data = encoded(picture(6), "JPEG")
    for end in range(0, len(data), 7):
        try:
            assert load_image(data[:end]).mode == "RGB"
        except BadImage as error:
            assert str(error)


def test_thumbnails_small_ones_exact_large_ones_small() -> None:
    small = picture(7, 160, 30)
    assert np.array_equal(Image.open(io.BytesIO(thumbnail(small))), small)
    large = Image.open(io.BytesIO(thumbnail(picture(7, 1000, 500))))
    assert large.size == (256, 128) and large.format == "JPEG"
