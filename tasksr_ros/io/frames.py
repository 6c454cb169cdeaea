"""One camera image, as the camera sent it, and the conversion of its crops to RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie in memory, and which pixels of it make one of RGB.

    Attributes:
        channels: samples of each pixel in ``Frame.image``.
        to_rgb: OpenCV's conversion code, None for RGB itself.
        bits: 8 or 16 of each sample.
        period: px after which the pattern of colours repeats; 1 where each pixel has them all.
        reach: px around a pixel that its RGB depends on, within the pattern.
        multiple: px that the image's (width, height) must be multiples of.
        least: px that the image's width and height must at least have.
        two_planes: the chroma follows in rows of its own, half as many as the image's.
    """

    channels: int
    to_rgb: int | None
    bits: int = 8
    period: int = 1
    reach: int = 0
    multiple: tuple[int, int] = (1, 1)
    least: int = 1
    two_planes: bool = False

    @property
    def bytes_per_pixel(self) -> int:
        """Of a row."""
        return self.channels * self.bits // 8

    @property
    def whole_pixels(self) -> bool:
        """Whether each pixel has all of its colours, in 8 bits each."""
        return self.period == 1 and self.bits == 8

    def rows(self, height: int) -> int:
        """Rows of ``Frame.image`` for an image of ``height`` px."""
        return height * 3 // 2 if self.two_planes else height

    def height(self, rows: int) -> int:
        """The inverse of `rows`."""
        return rows * 2 // 3 if self.two_planes else rows


def _packed(code: int) -> Encoding:
    return Encoding(2, code, period=2, multiple=(2, 1))


def _two_planes(code: int) -> Encoding:
    return Encoding(1, code, period=2, multiple=(2, 2), two_planes=True)


def _mosaic(bits: int, code: int) -> Encoding:
    # OpenCV copies the outermost ring of pixels from its neighbours: a crop needs one ring more.
    return Encoding(1, code, bits=bits, period=2, reach=2, least=3)


ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(3, None),
    "bgr8": Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding(1, cv2.COLOR_GRAY2RGB),
    "mono16": Encoding(1, cv2.COLOR_GRAY2RGB, bits=16),
    "yuv422": _packed(cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _packed(cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _packed(cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _packed(cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _two_planes(cv2.COLOR_YUV2RGB_NV12),
    "nv21": _two_planes(cv2.COLOR_YUV2RGB_NV21),
    # ROS names a mosaic by its first two rows from the upper left, OpenCV by the second and third
    # pixel of its second row: rggb is OpenCV's BG.
    **{
        f"bayer_{pattern}{bits}": _mosaic(bits, code)
        for bits in (8, 16)
        for pattern, code in {
            "rggb": cv2.COLOR_BayerBG2RGB,
            "bggr": cv2.COLOR_BayerRG2RGB,
            "gbrg": cv2.COLOR_BayerGR2RGB,
            "grbg": cv2.COLOR_BayerGB2RGB,
        }.items()
    },
}
"""Encodings by the names of sensor_msgs/image_encodings.hpp, and nv12, which it lacks."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One camera image. The pixels stay in the camera's encoding; only crops are converted.

    Attributes:
        image: (H, W, C), C as ``encoding`` says; uint8, or uint16 of either byte order for the
            encodings of 16 bits; nv12 and nv21 have (H + H / 2, W, 1): luma, then pairs of
            chroma. May be a read-only or strided view.
        stamp_ns: acquisition time in nanoseconds.
        frame_id: the camera's coordinate frame.
        encoding: one of ``ENCODINGS``.
        significant_bits: of samples of 16, counted from the lowest; 0: all.
        from_16_bits: whether a file of samples of 16 bits was made one of 8.
    """

    image: NDArray[Any]
    stamp_ns: int = 0
    frame_id: str = ""
    encoding: str = "rgb8"
    significant_bits: int = 0
    from_16_bits: bool = False

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        encoding, image = ENCODINGS[self.encoding], self.image
        if not isinstance(image, np.ndarray):
            raise ImageError(
                f"an image must be a NumPy array, got {type(image).__name__}: was its file read?"
            )
        wanted = f"uint{encoding.bits}"
        if image.ndim != 3 or image.shape[2] != encoding.channels or image.dtype.name != wanted:
            raise ImageError(
                f"a {self.encoding} image must be {wanted} of shape (height, width, "
                f"{encoding.channels}), got {image.dtype} of shape {image.shape}"
            )
        check_size(*self.size, self.encoding)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in image px."""
        return self.image.shape[1], ENCODINGS[self.encoding].height(self.image.shape[0])

    @property
    def white(self) -> int:
        """The largest sample of 16 bits that counts."""
        return white(self.significant_bits)

    def decoded(self, bottom: int | None = None) -> Frame:
        """The frame with its pixels at hand, at least those of the rows above ``bottom``."""
        return self


def white(significant_bits: int) -> int:
    """The largest sample of 16 bits of which so many count; 0: all."""
    return (1 << (significant_bits or 16)) - 1


def check_encoding(encoding: str) -> None:
    """Raise ImageError for an unknown encoding."""
    if encoding not in ENCODINGS:
        raise ImageError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding[:64]!r}")


def check_size(width: int, height: int, encoding: str) -> None:
    """Raise ImageError for a size (px) that an image of this encoding cannot have."""
    if width <= 0 or height <= 0:
        raise ImageError(f"image must not be empty, got {width}x{height} px")
    known = ENCODINGS[encoding]
    if width % known.multiple[0] or height % known.multiple[1]:
        sides = "width and height" if known.multiple[1] > 1 else "width"
        raise ImageError(
            f"{sides} of a {encoding} image must be even, since two pixels share their chroma, "
            f"got {width}x{height} px"
        )
    if min(width, height) < known.least:
        raise ImageError(
            f"a {encoding} image must have at least {known.least}x{known.least} px, "
            f"got {width}x{height} px"
        )


def crop_rgb(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
    """Return the pixels [y0, y1) x [x0, x1) as (h, w, 3) uint8 RGB.

    They equal those of the whole image's conversion, at all borders. The rectangle must lie
    inside the image. An rgb8 crop is a view; others are converted, and nothing around them but
    what their colours depend on.
    """
    width, height = frame.size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"crop ({x0}, {y0}, {x1}, {y1}) does not lie inside {width}x{height}")
    encoding = ENCODINGS[frame.encoding]
    left, right = _around(x0, x1, width, encoding)
    top, bottom = _around(y0, y1, height, encoding)
    rgb = _to_rgb(_cut(frame.image, left, top, right, bottom, encoding), encoding, frame.white)
    return rgb[y0 - top : y1 - top, x0 - left : x1 - left]


def reduced_rgb(
    frame: Frame, rect: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the pixels x0, y0, x1, y1 reduced by area to (w, h) px, as (h, w, 3) uint8 RGB."""
    encoding = ENCODINGS[frame.encoding]
    if not encoding.whole_pixels:
        reduced = cv2.resize(crop_rgb(frame, *rect), size, interpolation=cv2.INTER_AREA)
        return np.asarray(reduced, np.uint8)
    crop = _cut(frame.image, *rect, encoding)[0]
    reduced = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return _to_rgb((np.asarray(reduced).reshape(size[1], size[0], -1),), encoding, frame.white)


def to_bgr(frame: Frame) -> NDArray[np.uint8]:
    """The whole image as (H, W, 3) BGR, as OpenCV writes it; bgr8 stays a view."""
    if frame.encoding == "bgr8":
        return frame.image
    rgb = crop_rgb(frame, 0, 0, *frame.size)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def with_whole_pixels(frame: Frame) -> Frame:
    """The frame with (H, W, C) uint8 pixels of all colours each: itself, or converted to rgb8."""
    if ENCODINGS[frame.encoding].whole_pixels:
        return frame
    return Frame(crop_rgb(frame, 0, 0, *frame.size), frame.stamp_ns, frame.frame_id)


def _around(first: int, last: int, limit: int, encoding: Encoding) -> tuple[int, int]:
    """[first, last) widened to what its colours depend on, inside [0, limit)."""
    period, reach = encoding.period, encoding.reach
    start = max(0, first - reach) // period * period
    end = -(-(last + reach) // period) * period
    return start, min(limit, end)


def _cut(
    image: NDArray[Any], x0: int, y0: int, x1: int, y1: int, encoding: Encoding
) -> tuple[NDArray[Any], ...]:
    """Views of the planes of a rectangle: one, or luma and (h / 2, w / 2, 2) chroma."""
    plane = image[y0:y1, x0:x1]
    if not encoding.two_planes:
        return (plane,)
    luma_rows = encoding.height(image.shape[0])
    chroma = image[luma_rows + y0 // 2 : luma_rows + y1 // 2, x0:x1]
    return plane, chroma.reshape((y1 - y0) // 2, (x1 - x0) // 2, 2)


def _to_rgb(planes: tuple[NDArray[Any], ...], encoding: Encoding, white: int) -> NDArray[np.uint8]:
    """Planes of `_cut` -> (h, w, 3) RGB by OpenCV's definition; rgb8 stays a view."""
    if encoding.to_rgb is None:
        return planes[0]
    if encoding.two_planes:
        return np.asarray(cv2.cvtColorTwoPlane(planes[0], planes[1], encoding.to_rgb), np.uint8)
    if encoding.bits == 8:
        return np.asarray(cv2.cvtColor(planes[0], encoding.to_rgb), np.uint8)
    rgb16 = cv2.cvtColor(planes[0].astype(np.uint16), encoding.to_rgb)  # in this byte order
    return np.asarray(cv2.convertScaleAbs(rgb16, alpha=255 / white), np.uint8)
