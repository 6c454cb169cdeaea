"""What the headers of JPEG, PNG and WebP files claim, read before any decoder takes memory.

Only what a camera sends is let through: still images of grey or colour, whose claimed size the
file can hold. The decoders of `decoding` see no other file.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from tasksr_ros.errors import ImageError

MAX_SEGMENTS = 1000
"""Of a JPEG or PNG header, chunks included."""

MAX_SCANS = 100
"""Of a progressive JPEG: each runs over the whole image, whatever its few bytes say."""

DEFLATE_RATIO = 1032
"""Bytes that one byte of a PNG's compressed pixels can become at most."""

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_BASELINE = (0xC0, 0xC1)
_PROGRESSIVE = 0xC2
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD8)}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR = {0: False, 2: True, 3: True, 4: False, 6: True}


@dataclass(frozen=True)
class ImageFile:
    """What the header of an image file claims.

    Attributes:
        codec: jpeg, png or webp.
        width, height: px.
        colour: False where all is grey.
        bits: 8 or 16 of each sample.
        block_rows: rows of a JPEG's blocks where they come one after another from the top and
            without restart markers, so that the lower ones need not be decoded; else 0.
        height_at: where in a JPEG its height stands, two bytes, the higher first.
    """

    codec: str
    width: int
    height: int
    colour: bool
    bits: int = 8
    block_rows: int = 0
    height_at: int = 0


def read_header(data: bytes, max_pixels: int) -> ImageFile:
    """What a JPEG, PNG or WebP file claims to be, if it is one that may be decoded.

    Raises:
        ImageError: where it is none of these, is truncated within the header, claims more than
            ``max_pixels`` or more than its bytes can hold, or is not a still of grey or colour.
    """
    try:
        if data[:2] == bytes((0xFF, _SOI)):
            file = _read_jpeg(data)
        elif data[:8] == _PNG:
            file = _read_png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            file = _read_webp(data)
        else:
            raise ImageError(
                f"compressed image must be a JPEG, PNG or WebP file, got {len(data)} bytes that "
                f"begin with {data[:8].hex(' ') or 'nothing'}"
            )
    except (struct.error, IndexError):
        raise ImageError(f"header of an image file is truncated: got {len(data)} bytes") from None
    if not file.width or not file.height:
        raise ImageError(f"image must not be empty, got {file.width}x{file.height} px")
    if file.width * file.height > max_pixels:
        raise ImageError(
            f"image must have at most {max_pixels} px (decoding.max_pixels), got a {file.codec} "
            f"file that claims {file.width}x{file.height} px"
        )
    _check_can_hold(file, len(data))
    return file


def least_bytes(file: ImageFile) -> int:
    """Bytes that a file of the claimed size has at least; 0 where its codec sets no bound.

    A JPEG's block takes a bit for its mean, and a baseline one's another for its end.
    """
    pixels = file.width * file.height
    if file.codec == "jpeg":
        bits_per_block = 2 if file.block_rows else 1
        return pixels // 64 * bits_per_block // 8
    return pixels // 8 // DEFLATE_RATIO if file.codec == "png" else 0


def _check_can_hold(file: ImageFile, size: int) -> None:
    if size < least_bytes(file):
        raise ImageError(
            f"a {file.codec} file of {file.width}x{file.height} px must have at least "
            f"{least_bytes(file)} bytes, got {size}"
        )


def _read_jpeg(data: bytes) -> ImageFile:
    """Walk the segments up to the first scan (ITU-T T.81, annex B)."""
    position, frame, restarts = 2, None, False
    for _ in range(MAX_SEGMENTS):
        if data[position] != 0xFF:
            raise ImageError(f"JPEG must have a marker at byte {position}, got {data[position]:#x}")
        while data[position] == 0xFF:  # fill bytes may come before a marker
            position += 1
        marker, position = data[position], position + 1
        if marker in _ALONE:
            continue
        if marker in (0x00, _SOI, _EOI):
            raise ImageError(f"JPEG must have a scan, got marker {marker:#x} before it")
        length = struct.unpack_from(">H", data, position)[0]
        if length < 2 or position + length > len(data):
            raise ImageError(f"segment of a JPEG must fit in its {len(data)} bytes, got {length}")
        if marker in _FRAMES:
            if frame is not None:
                raise ImageError("JPEG must hold one frame, got a second")
            frame = _read_jpeg_frame(data, position, length, marker)
        if marker == _SOS:
            return _finish_jpeg(data, position, frame, restarts)
        restarts |= marker == _DRI
        position += length
    raise ImageError(f"JPEG must have at most {MAX_SEGMENTS} segments before its image")


def _read_jpeg_frame(data: bytes, position: int, length: int, marker: int) -> tuple[ImageFile, int]:
    """The frame's header; returns the file and the number of its components."""
    bits, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
    if marker not in (*_BASELINE, _PROGRESSIVE):
        raise ImageError(f"JPEG must be baseline or progressive, got frame type {marker:#x}")
    if bits != 8:
        raise ImageError(f"JPEG must have samples of 8 bits, got {bits}")
    if components not in (1, 3):
        raise ImageError(
            f"JPEG must have 1 (grey) or 3 (colour) components, got {components}"
            f"{' (CMYK)' if components == 4 else ''}"
        )
    if length != 8 + 3 * components:
        raise ImageError(
            f"frame header of a JPEG with {components} components must have "
            f"{8 + 3 * components} bytes, got {length}"
        )
    factors = [data[position + 9 + 3 * component] & 15 for component in range(components)]
    block_rows = 8 * max(factors) if marker in _BASELINE else 0
    file = ImageFile("jpeg", width, height, components > 1, 8, block_rows, height_at=position + 3)
    return file, components


def _finish_jpeg(
    data: bytes, position: int, frame: tuple[ImageFile, int] | None, restarts: bool
) -> ImageFile:
    """Check the scans, of which the first begins at ``position``."""
    if frame is None:
        raise ImageError("JPEG must have a frame header before its first scan, got none")
    file, components = frame
    codes = np.frombuffer(data, np.uint8, offset=position - 2)
    scans = int(np.count_nonzero((codes[:-1] == 0xFF) & (codes[1:] == 0xDA)))
    if scans > MAX_SCANS:
        raise ImageError(f"JPEG must have at most {MAX_SCANS} scans, got {scans}")
    if scans == 1 and data[position + 2] == components and not restarts:
        return file
    return ImageFile("jpeg", file.width, file.height, file.colour)


def _read_png(data: bytes) -> ImageFile:
    """Walk all chunks (W3C PNG, chapters 5 and 11): their checksums tell damage for little."""
    length, kind, width, height, bits, colour_type = struct.unpack_from(">I4sIIBB", data, 8)
    if (length, kind) != (13, b"IHDR") or colour_type not in _PNG_COLOUR:
        raise ImageError(f"PNG must begin with its header, got chunk {kind!r} of {length} bytes")
    view, position, others, pixels = memoryview(data), 8, 0, False
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ImageError(f"chunk {kind!r} of a PNG must match its checksum, got damage")
        if kind == b"acTL":
            raise ImageError("image must be a still, got an animated PNG")
        pixels |= kind == b"IDAT"
        others += kind != b"IDAT"
        if others > MAX_SEGMENTS:
            raise ImageError(f"PNG must have at most {MAX_SEGMENTS} chunks beside its pixels")
        position = end + 4
    if not pixels:
        raise ImageError("PNG must have pixels after its header, got none")
    return ImageFile("png", width, height, _PNG_COLOUR[colour_type], 16 if bits == 16 else 8)


def _read_webp(data: bytes) -> ImageFile:
    """The first chunk says all (RFC 9649, chapter 2)."""
    riff_size, _, kind = struct.unpack_from("<I4s4s", data, 4)
    if riff_size + 8 > len(data):
        raise ImageError(f"WebP must have the {riff_size + 8} bytes it claims, got {len(data)}")
    if kind == b"VP8X":
        flags = data[20]
        if flags & 0x02:
            raise ImageError("image must be a still, got an animated WebP")
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        size = struct.unpack_from("<I", data, 21)[0]
        width, height = (size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageError(f"WebP must begin with VP8, VP8L or VP8X, got chunk {kind!r}")
    return ImageFile("webp", width, height, colour=True)
