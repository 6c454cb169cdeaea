"""The pixels of image messages, without ROS: what the node and the bag reader share."""

from __future__ import annotations

import array
import io
import re
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io import cv_bridge
from tasksr_ros.io.frames import ENCODINGS, Frame, check_encoding, check_size, to_bgr, white
from tasksr_ros.io.image_files import ImageFile, read_header

Buffer: TypeAlias = "bytes | bytearray | memoryview | array.array[int] | NDArray[np.uint8]"

_ROWS_LEFT_OUT = "extraneous bytes before marker 0xd9"
"""libjpeg-turbo's warning of what follows the last row that it was asked for."""

_OWN_FILES = DecodingConfig(max_pixels=2**28)

WITHOUT_COLOURS = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "16UC1": "mono16"}
"""What OpenCV holds under types that name no colours."""
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
"""TIFF's tags of them."""
_PNM = ("pgm", "ppm")
_BETWEEN = rb"\s(?:\s|#[^\n]*\n)*"
_PNM_HEADER = re.compile(rb"P[2356]" + 3 * (_BETWEEN + rb"(\d{1,9})") + rb"\s")
_NO_BRIDGE = "cv_bridge, where it is installed, knows more"


def decode_image(
    height: int, width: int, encoding: str, step: int, data: Buffer, big_endian: bool = False
) -> NDArray[Any]:
    """View the pixels of a sensor_msgs/Image; nothing is copied.

    Args:
        height: rows.
        width: columns.
        encoding: one of ``frames.ENCODINGS``.
        step: bytes per row, padding included; nv12 and nv21 have height / 2 rows of chroma more.
        data: the message's bytes; bytes, memoryview, array or ndarray.
        big_endian: of samples of 16 bits, the higher byte comes first.

    Returns:
        As ``Frame.image``, in the message's own encoding; rows may be padded.

    Raises:
        ImageError: where the encoding is unknown or the header contradicts the data.
    """
    check_encoding(encoding)
    check_size(width, height, encoding)
    known = ENCODINGS[encoding]
    row = width * known.bytes_per_pixel
    if step < row:
        raise ImageError(
            f"step of a {width} px wide {encoding} image must be at least {row} bytes, got {step}"
        )
    rows = known.rows(height)
    if step * rows != len(data):
        raise ImageError(
            f"data of a {encoding} image of {width}x{height} px must hold step x rows = "
            f"{step} x {rows} = {step * rows} bytes, got {len(data)}"
        )
    dtype = np.dtype(f"{'>' if big_endian else '<'}u{known.bits // 8}")
    strides = (step, known.bytes_per_pixel, dtype.itemsize)
    pixels: NDArray[Any] = np.ndarray(
        (rows, width, known.channels), dtype, np.frombuffer(data, np.uint8), 0, strides
    )
    return pixels


class CompressedFrame(Frame):
    """A frame whose file is decoded when its pixels are asked for, as far down as they are.

    Args:
        data: the file.
        format: the message's format field, for example "jpeg" or "bgr8; png compressed bgr8".
        config: limits, and how much of a JPEG is decoded.
        stamp_ns: acquisition time in nanoseconds.
        frame_id: the camera's coordinate frame.

    Raises:
        ImageError: where the file's header shows that it may not be decoded; `image` and
            `decoded` raise it where the file is damaged.
    """

    def __init__(
        self,
        data: Buffer,
        format: str = "",
        config: DecodingConfig | None = None,
        stamp_ns: int = 0,
        frame_id: str = "",
    ) -> None:
        config = config or DecodingConfig()
        if "compressedDepth" in format:
            raise ImageError(f"a colour image is expected, got format {format[:64]!r}")
        content = bytes(data)
        file = read_header(content, config.max_pixels)
        bits = config.significant_bits
        encoding = _encoding(file, format)
        check_size(file.width, file.height, encoding)
        # Frame is frozen: its attributes are set here once, but for the image.
        vars(self).update(stamp_ns=stamp_ns, frame_id=frame_id, encoding=encoding)
        vars(self).update(significant_bits=bits, from_16_bits=file.bits == 16)
        vars(self).update(_data=content, _file=file, _partly=config.needed_rows_only)

    _data: bytes
    _file: ImageFile
    _partly: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in image px, as the file claims; `decoded` keeps it to that."""
        return self._file.width, self._file.height

    @cached_property
    def image(self) -> NDArray[Any]:
        """The whole image, decoded when first asked for."""
        if self._file.codec == "jpeg":
            return _decode_jpeg(self._data, self._file, self._file.height)
        return _decode_other(self._data, self._file, ENCODINGS[self.encoding].bits, self.white)

    def decoded(self, bottom: int | None = None) -> Frame:
        """The frame with its pixels, at least those of the rows above ``bottom``; None: all.

        Raises:
            ImageError: where the file is damaged, or is not what its header claims.
        """
        if self._partly and bottom is not None and _rows(self._file, bottom) < self._file.height:
            pixels = _decode_jpeg(self._data, self._file, bottom)
        else:
            pixels = self.image
        place = (self.stamp_ns, self.frame_id, self.encoding)
        return Frame(pixels, *place, self.significant_bits, self.from_16_bits)


def decode_compressed(format: str, data: Buffer, config: DecodingConfig | None = None) -> Frame:
    """Decode an image file of the user's own to a frame of encoding bgr8.

    Args:
        format: jpeg, png and webp are read as from a camera, but for the limit of their size;
            others as OpenCV reads them.
        data: the file.
        config: the bits of 16 that count.

    Raises:
        ImageError: where the file is damaged or cannot be read.
    """
    bits = config.significant_bits if config else 0
    if format in ("jpeg", "png", "webp"):
        limits = replace(_OWN_FILES, significant_bits=bits)
        frame = CompressedFrame(data, format, limits).decoded()
        return Frame(to_bgr(frame), encoding="bgr8", from_16_bits=frame.from_16_bits)
    content, largest = bytes(data), None
    if format in ("tif", "tiff"):
        content = _plain_tiff(content)
    elif format in _PNM:
        largest = _largest_of_pnm(content)
    image = _imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    deep = image is not None and image.dtype == np.uint16
    if image is not None and not deep:
        image = _imdecode(content, cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(
            f"image file must be of a kind that OpenCV reads, got {len(data)} unreadable bytes of "
            f"format {format!r}"
        )
    if deep:
        image = cv2.convertScaleAbs(image, alpha=255 / min(white(bits), largest or white(bits)))
    elif largest is not None and content[:2] in (b"P5", b"P6"):  # OpenCV scales P2 and P3
        image = cv2.convertScaleAbs(image, alpha=255 / largest)
    return Frame(np.asarray(image, np.uint8), encoding="bgr8", from_16_bits=deep)


def _plain_tiff(data: bytes) -> bytes:
    """A TIFF without the transparency of 8 bits, by which OpenCV would darken its colours.

    Raises:
        ImageError: where it is no still of grey or colour, as of the other kinds. What is
            unreadable is OpenCV's to say.
    """
    plain = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            pages, mode, inverted = image.n_frames, image.mode, _is_inverted(image)
            if pages == 1 and mode == "RGBA" and set(image.tag_v2.get(_BITS_PER_SAMPLE)) == {8}:
                image.convert("RGB").save(plain, "TIFF")
    except Exception:  # broken files make the parser raise nearly anything
        return data
    if pages > 1:
        raise ImageError(f"image must be a still, got a TIFF of {pages} pages")
    if mode == "CMYK":
        raise ImageError("TIFF must be grey or colour, got CMYK")
    if inverted:
        raise ImageError("TIFF of 16 bits must have 0 for black, got 0 for white (WhiteIsZero)")
    return plain.getvalue() or data


def _is_inverted(image: Any) -> bool:
    """Whether 0 is white in a TIFF of 16 bits: OpenCV knows that only of fewer."""
    return image.tag_v2.get(_PHOTOMETRIC) == 0 and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())


def _largest_of_pnm(data: bytes) -> int | None:
    """The value of white that the header of a PGM or PPM states; None where it has none."""
    match = _PNM_HEADER.match(data)
    return int(match.group(3)) if match and 0 < int(match.group(3)) <= white(0) else None


def stamp_ns(header: Any) -> int:
    """A message header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def decode_message(message: Any, config: DecodingConfig | None = None) -> Frame:
    """A sensor_msgs Image or CompressedImage as a frame.

    A raw image's pixels stay where they are; a compressed one's file is decoded when its pixels
    are asked for. Of encodings that are not known here, cv_bridge makes rgb8 where it is installed.

    Args:
        message: of rclpy or of rosbags, whose messages have the same fields.
        config: limits, how much of a JPEG is decoded, and what is assumed.

    Raises:
        ImageError: where the image is unreadable or contradicts its own header.
    """
    stamp, frame_id = stamp_ns(message.header), str(message.header.frame_id)
    if hasattr(message, "format"):
        return CompressedFrame(message.data, str(message.format), config, stamp, frame_id)
    config = config or DecodingConfig()
    encoding = _known_encoding(str(message.encoding), config)
    bits = config.significant_bits
    if encoding not in ENCODINGS:
        rgb = cv_bridge.to_rgb(message, bits)
        return Frame(rgb, stamp, frame_id, "rgb8", from_16_bits="16" in encoding)
    pixels = decode_image(
        message.height,
        message.width,
        encoding,
        message.step,
        message.data,
        bool(message.is_bigendian),
    )
    return Frame(pixels, stamp, frame_id, encoding, bits)


def _known_encoding(encoding: str, config: DecodingConfig) -> str:
    """The encoding, or the one that is assumed for it, or one that cv_bridge may know.

    Raises:
        ImageError: if it is none of these.
    """
    assumed = WITHOUT_COLOURS.get(encoding)
    if assumed and config.assume_colours:
        return assumed
    if encoding in ENCODINGS or cv_bridge.convertible(encoding):
        return encoding
    try:
        check_encoding(encoding)
    except ImageError as error:
        hint = f"decoding.assume_colours takes it as {assumed}" if assumed else _NO_BRIDGE
        raise ImageError(f"{error}; {hint}") from None
    return encoding


def _encoding(file: ImageFile, format: str) -> str:
    """The encoding of the decoded pixels, by the rules of compressed_image_transport.

    Its format field reads "ENCODING; CODEC compressed TARGET". A PNG without a target holds a
    mosaic as it came from the sensor; a target of RGB says that red and blue are interchanged.
    """
    source, _, target = format.partition(";")
    source, target = source.strip(), target.partition("compressed")[2].strip()
    if not file.colour:
        if source.startswith("bayer_") and target in ("", source):
            check_encoding(source)
            return _mosaic(file, source)
        return "mono8"
    return "rgb8" if target.startswith("rgb") else "bgr8"


def _mosaic(file: ImageFile, source: str) -> str:
    """The encoding of a mosaic, whose file must have as many bits."""
    if file.codec != "png" or ENCODINGS[source].bits != file.bits:
        raise ImageError(
            f"a {source} mosaic must come in a PNG of {ENCODINGS[source].bits} bits, got a "
            f"{file.codec} file of {file.bits} bits"
        )
    return source


def _rows(file: ImageFile, bottom: int) -> int:
    """How many rows libjpeg-turbo has to decode for those above ``bottom``.

    One row of blocks more: the colours of the last wanted row depend on the next.
    """
    if not file.block_rows:
        return file.height
    return min((bottom // file.block_rows + 2) * file.block_rows, file.height)


def _decode_jpeg(data: bytes, file: ImageFile, bottom: int) -> NDArray[np.uint8]:
    """(rows, W, 3) BGR or (rows, W, 1) grey; all rows, or those above ``bottom``.

    libjpeg-turbo decodes as many rows as the header says.
    """
    rows = _rows(file, bottom)
    if rows < file.height:
        at = file.height_at
        data = b"".join((data[:at], rows.to_bytes(2, "big"), data[at + 2 :]))
    else:
        bottom = file.height
    pixels = np.empty((rows, file.width, 3 if file.colour else 1), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, "BGR" if file.colour else "GRAY", buffer=pixels)
    except ValueError as error:
        if rows == file.height or _ROWS_LEFT_OUT not in str(error):
            raise ImageError(f"JPEG is damaged: {error}") from None
    return pixels[:bottom]


def _decode_other(data: bytes, file: ImageFile, bits: int, white: int) -> NDArray[Any]:
    """(H, W, 3) BGR or (H, W, 1) grey of a PNG or WebP file, in as many bits as asked for."""
    channels, flags = (3, cv2.IMREAD_COLOR) if file.colour else (1, cv2.IMREAD_GRAYSCALE)
    image = _imdecode(data, flags | cv2.IMREAD_ANYDEPTH)
    if image is None or image.size != file.width * file.height * channels:
        raise ImageError(
            f"{file.codec} file of {file.width}x{file.height} px is damaged: got {len(data)} "
            f"bytes that cannot be decoded"
        )
    if bits < file.bits:
        image = cv2.convertScaleAbs(image, alpha=255 / white)
    return np.asarray(image).reshape(file.height, file.width, channels)


def _imdecode(data: bytes, flags: int) -> NDArray[Any] | None:
    """The image, None where OpenCV cannot read it."""
    try:
        # The camera's pixels as they are: a rotation flag would swap width and height.
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
