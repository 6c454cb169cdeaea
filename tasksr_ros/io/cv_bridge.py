"""ROS 2's cv_bridge, where it is installed, for what the region-wise path does not know.

Two faults of its Python half are kept away: it shears rows whose padding is not a multiple of a
pixel, and swaps bytes by what NumPy 2 no longer has. It gets whole rows in this machine's order.
One that was built for NumPy 1 ends Python with a segmentation fault at the first image where there
is NumPy 2: a process of its own tries it first.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import signal
import subprocess
import sys
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError

logger = logging.getLogger(__name__)

_WITHOUT_COLOURS = re.compile(r"(8|16|32|64)[USF]C[1-4]?")
"""Encodings that say how samples are stored, not what they show; cv_bridge makes no RGB of them."""


_TRIAL = """
import numpy
from cv_bridge import CvBridge
message = CvBridge().cv2_to_imgmsg(numpy.full((1, 1, 3), (1, 2, 3), numpy.uint8), "bgr8")
assert CvBridge().imgmsg_to_cv2(message, "rgb8").tolist() == [[[3, 2, 1]]], "wrong pixels"
"""
_TRIAL_S = 60.0
"""For a process that imports NumPy and OpenCV."""


@cache
def bridge() -> Any | None:
    """A CvBridge; None where it is not installed, or was built for another NumPy or OpenCV."""
    if importlib.util.find_spec("cv_bridge") is None:
        return None
    if problem := _problem():
        logger.warning("cv_bridge is installed, but cannot be used: %s", problem)
        return None
    return importlib.import_module("cv_bridge").CvBridge()


@cache
def _problem() -> str:
    """Why an installed cv_bridge cannot be used, or ""."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TRIAL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if trial.returncode < 0:
        ended, ours = signal.Signals(-trial.returncode).name, np.__version__
        return f"an image ends Python with {ended} (was it built for another NumPy than {ours}?)"
    said = trial.stderr.strip().splitlines() or ["no reason"]
    return said[-1] if trial.returncode else ""


def convertible(encoding: str) -> bool:
    """Whether cv_bridge is there and may know this encoding's colours."""
    return not _WITHOUT_COLOURS.fullmatch(encoding) and bridge() is not None


def to_rgb(message: Any, significant_bits: int = 0) -> NDArray[np.uint8]:
    """The whole image of a sensor_msgs/Image as (H, W, 3) uint8 RGB.

    Args:
        message: the image, in any encoding that cv_bridge knows.
        significant_bits: of samples of 16 bits, counted from the lowest; 0: all.

    Raises:
        ImageError: where cv_bridge does not know the encoding, or the header contradicts the data.
    """
    known = bridge()
    assert known is not None, "see `convertible`"
    encoding = str(message.encoding)
    try:
        kind, channels = known.encoding_to_dtype_with_channels(encoding)
    except Exception as error:  # CvBridgeError, KeyError, RuntimeError, by its version
        raise ImageError(
            f"cv_bridge does not know the encoding {encoding[:64]!r}: {error}"
        ) from None
    samples = _samples(message, np.dtype(kind), int(channels))
    if samples.dtype == np.uint16 and significant_bits:
        full = 65535 / ((1 << significant_bits) - 1)
        samples = np.minimum(np.rint(samples * full), 65535).astype(np.uint16)
    plain = SimpleNamespace(
        height=message.height,
        width=message.width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=samples.strides[0],
        data=samples.tobytes(),
    )
    try:
        image = np.asarray(known.imgmsg_to_cv2(plain, "rgb8"))
    except Exception as error:
        raise ImageError(f"cv_bridge cannot make rgb8 of {encoding}: {error}") from None
    if image.shape != (message.height, message.width, 3) or image.dtype != np.uint8:
        raise ImageError(
            f"cv_bridge must make {message.width}x{message.height} px of rgb8 of {encoding}, got "
            f"{image.dtype} of shape {image.shape}"
        )
    return image


def _samples(message: Any, dtype: np.dtype[Any], channels: int) -> NDArray[Any]:
    """(H, W * channels) samples in this machine's byte order, without the rows' padding."""
    row = message.width * channels * dtype.itemsize
    data = np.frombuffer(message.data, np.uint8)
    if not message.width or not message.height:
        raise ImageError(f"image must not be empty, got {message.width}x{message.height} px")
    if message.step < row or message.step * message.height != len(data):
        raise ImageError(
            f"data of a {message.encoding} image of {message.width}x{message.height} px must hold "
            f"rows of at least {row} bytes, step x rows bytes in all, got step {message.step} and "
            f"{len(data)} bytes"
        )
    rows = np.ascontiguousarray(data.reshape(message.height, message.step)[:, :row])
    sent = rows.view(dtype.newbyteorder(">" if message.is_bigendian else "<"))
    return np.ascontiguousarray(sent.astype(dtype))


def to_message(image: NDArray[np.uint8], encoding: str) -> Any | None:
    """(H, W, C) uint8 as an image message without header; None where cv_bridge does not make it."""
    known = bridge()
    if known is None:
        return None
    try:
        message = known.cv2_to_imgmsg(np.ascontiguousarray(image), encoding)
    except Exception as error:
        _tell(f"cv_bridge cannot make a message of a {encoding} image: {error}")
        return None
    height, width, channels = image.shape
    whole = (message.height, message.width, message.step) == (height, width, width * channels)
    return message if whole and len(message.data) == image.size else None


@cache
def _tell(text: str) -> None:
    """Once: images come many times a second."""
    logger.warning(text)
