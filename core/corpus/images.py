"""One safe decoder for every image file: bytes or a path in, an upright RGB picture out, or `BadImage` with a short
reason.

1. only formats that Pillow decodes by itself (no PostScript, no metafiles: those start other programs);
2. the pixel count is checked before anything is decoded;
3. the first frame of an animation;
4. EXIF (or XMP) rotation applied; broken EXIF counts as none;
5. large images are decoded one at a time, and only where their pixels fit into the free memory;
6. 16-bit grey is scaled to 8 bit, transparency is laid over white, everything else becomes RGB. Colour profiles are
   ignored.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.machine import check_memory, free_memory
from core.paths import NOT_REGULAR, kind

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "PPM", "ICO", "TGA", "JPEG2000")
"""Pillow's names; MPO comes with JPEG, and formats a build of Pillow lacks are left out."""
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".avifs", ".heic", ".heif",
    ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".tga", ".jp2", ".j2k",
})  # fmt: skip
"""What counts as an image file in a folder; those that cannot be decoded here are reported as bad, not overlooked."""
MAX_PIXELS = 178_956_970
"""Width x height above which a file counts as a decompression bomb (Pillow's own hard limit)."""
LARGE_PIXELS = 2**24
"""Width x height from which only one image is decoded at a time, whatever the number of threads."""
BYTES_PER_PIXEL = 12
"""Upper bound of what decoding takes: 4 bytes as decoded, 4 in RGB with transparency, 4 turned upright."""
THUMBNAIL_SIDE = 256
LOSSLESS_SIDE = 160

_DECODER_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's decoders raise on hostile or broken files."""

_ONE_LARGE = threading.Lock()

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


class BadImage(Exception):
    """An image that cannot be used; its text is the short reason."""


def load_image(source: bytes | str | Path, *, side: int | None = None, pixels: int | None = None) -> Image.Image:
    """Decode to RGB, upright, fully in memory.

    `side`: a larger picture is made smaller, to at most so many pixels wide and high; a JPEG is then not even decoded
    at its full size. `pixels`: width x height of the file above which it is refused unread, at most `MAX_PIXELS`.

    Raises:
        BadImage: missing, empty, not an image, truncated, broken, or a decompression bomb.
        TooLarge: its pixels do not fit into the free memory.
    """
    data = source if isinstance(source, bytes) else read_bytes(Path(source))
    if not data:
        raise BadImage("empty file")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on odd files; what matters is raised
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check_size(image, MAX_PIXELS if pixels is None else min(pixels, MAX_PIXELS))
            if side is not None:
                image.draft("RGB", (side, side))  # JPEG alone knows a smaller self
            width, height = image.size
            large = width * height >= LARGE_PIXELS
            with _ONE_LARGE if large else nullcontext():
                if large:  # until here only the header was read; decoding is where the memory goes
                    needed = width * height * BYTES_PER_PIXEL
                    check_memory(f"an image of {width} x {height} pixels", needed, free_memory(), "use a smaller image")
                image.load()
                turn = _TURNS.get(_orientation(image))
                picture = _to_rgb(image if side is None else _smaller(image, side))
                return picture if turn is None else picture.transpose(turn)
    except _DECODER_ERRORS as error:
        raise BadImage(_reason(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"decompression bomb: more than {MAX_PIXELS} pixels") from error


def read_bytes(path: Path) -> bytes:
    """The file's bytes; `BadImage` where there is no such readable file."""
    what = kind(path)
    if what in ("nothing", "other"):
        raise BadImage("no such file" if what == "nothing" else NOT_REGULAR)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from error


def thumbnail(image: Image.Image) -> bytes:
    """At most 256 x 256 pixels, encoded: PNG (exact) up to 160 pixels a side, else JPEG."""
    buffer = io.BytesIO()
    if max(image.size) <= LOSSLESS_SIDE:
        image.save(buffer, "PNG", compress_level=3)
    else:
        small = image.copy()
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
        small.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


@cache
def _formats() -> tuple[str, ...]:
    """The formats that this build of Pillow decodes."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image, pixels: int) -> None:
    width, height = image.size
    if width * height > pixels:
        raise BadImage(f"decompression bomb: {width} x {height} pixels, {pixels} allowed")


def _smaller(image: Image.Image, side: int) -> Image.Image:
    """At most `side` pixels wide and high, in the same shape."""
    if max(image.size) <= side:
        return image
    if image.mode in ("1", "P", "PA"):  # colours of a palette have no mean
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode[0] in "IF":
        image = _grey_to_rgb(image)
    if (factor := max(image.size) // side) > 1:
        image = image.reduce(factor)
    image.thumbnail((side, side))
    return image


def _reason(error: BaseException) -> str:
    """What is wrong with a file, in a few words, from what the decoder raised."""
    text = str(error)
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format, or broken from the start"
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if "truncated" in text.lower():
        return "truncated"
    if "too large" in text.lower():
        return "decompression bomb in its metadata"
    return f"broken: {text or type(error).__name__}"[:120]


def _orientation(image: Image.Image) -> int:
    """The turn that EXIF asks for, 1 to 8; 1 (none) where EXIF is broken."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODER_ERRORS:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: grey of many bits scaled, transparency laid over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey; a single transparent grey value turns white."""
    values = np.asarray(image)
    grey = _to_eight_bit(values.astype(np.float64), sixteen=image.mode.startswith("I;16"))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(values == key, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _to_eight_bit(values: np.ndarray, sixteen: bool) -> np.ndarray:
    """16 bit: v / 257. Else the range is what the largest value says: 1.0, 255, 65535, or itself."""
    values = np.nan_to_num(values)
    largest = values.max(initial=0.0)
    top = 65535.0 if sixteen else next((t for t in (1.0, 255.0, 65535.0) if largest <= t), largest)
    return np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
