"""Stands for cv_bridge where it cannot be had: its Python half with its known faults.

Rows are taken as so many whole pixels, big-endian samples are swapped by what NumPy 2 no longer
has, and unknown encodings end in a TypeError, as in cv_bridge 4.1 (core.py, cv_bridge.cpp).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS = {
    "rgb8": ("uint8", 3), "bgr8": ("uint8", 3), "mono8": ("uint8", 1), "rgb16": ("uint16", 3),
    "bgr16": ("uint16", 3), "rgba16": ("uint16", 4), "bgra16": ("uint16", 4),
    "32FC1": ("float32", 1),
}  # fmt: skip
CODES = {
    "rgb16": None, "bgr16": cv2.COLOR_BGR2RGB, "rgba16": cv2.COLOR_RGBA2RGB,
    "bgra16": cv2.COLOR_BGRA2RGB, "bgr8": cv2.COLOR_BGR2RGB,
}  # fmt: skip


class CvBridgeError(TypeError):
    """As cv_bridge's."""


class CvBridge:
    """As cv_bridge's, for a few encodings."""

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        if encoding not in KINDS:
            raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
        return KINDS[encoding]

    def imgmsg_to_cv2(self, message: Any, desired: str) -> NDArray[Any]:
        kind, channels = self.encoding_to_dtype_with_channels(message.encoding)
        dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
        width = int(message.step / dtype.itemsize / channels)  # shears padded rows
        image = np.ndarray((message.height, width, channels), dtype, message.data)
        image = np.ascontiguousarray(image[:, : message.width])
        if message.is_bigendian:
            image = image.byteswap().newbyteorder()  # type: ignore[attr-defined]
        if message.encoding not in CODES or desired != "rgb8":
            raise CvBridgeError(f"[{message.encoding}] is not a color format")
        code = CODES[message.encoding]
        image = image if code is None else np.asarray(cv2.cvtColor(image, code))
        alpha = 255 / 65535 if kind == "uint16" else 1.0
        return np.asarray(cv2.convertScaleAbs(image, alpha=alpha))

    def cv2_to_imgmsg(self, image: NDArray[Any], encoding: str) -> Any:
        data = image.tobytes()
        return SimpleNamespace(
            height=image.shape[0], width=image.shape[1], encoding=encoding, is_bigendian=0,
            step=len(data) // image.shape[0], data=data, header=None,
        )  # fmt: skip
