"""What makes boxes of the outputs of detectors that others made; one file a family.

A decoder is chosen by name and reads sizes, strides and the number of classes from the shapes of
the outputs; shapes that are not its own it refuses. It is a module without weights, so that it
becomes a part of the compiled graph.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasksr_ros.networks.detectors.decoders.common import Decoder, Signature

_BGR_IMAGENET = ("bgr", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
_BYTES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_UNIT = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)


@dataclass(frozen=True)
class Format:
    """What detectors of a family take, unless their owner says otherwise.

    Attributes:
        channels: rgb or bgr.
        mean: of each channel, 0 to 255.
        std: of each channel.
    """

    channels: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


DECODERS: dict[str, Format] = {
    "yolox": Format("bgr", *_BYTES),
    "picodet": Format("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "nanodet": Format(*_BGR_IMAGENET),
    "yolov8": Format("rgb", *_UNIT),
    "rtmdet": Format(*_BGR_IMAGENET),
    "detr": Format("rgb", *_UNIT),
    "ssd": Format("bgr", *_BYTES),
    "boxes": Format("bgr", *_BYTES),
}
"""By name, with what their families' detectors take; each is a module of this package."""


def build_decoder(
    name: str, signature: Signature, labels: Sequence[int], options: Mapping[str, Any]
) -> Decoder:
    """A decoder for a detector's outputs.

    Args:
        name: one of ``DECODERS``.
        signature: shapes of the detector's outputs, and the size of its input.
        labels: the detector's numbers of the classes that are kept, in the order of their ids.
        options: of the decoder.

    Raises:
        ValueError: for an unknown name or option, outputs of other shapes, or labels beyond the
            detector's classes; one line.
    """
    if name not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, got {name!r}")
    code = importlib.import_module(f"{__name__}.{name}")
    try:
        decoder: Decoder = code.Decoder(signature, labels, **options)
    except TypeError as error:
        raise ValueError(f"decoder {name}: {error}") from None
    return decoder


def fitting(signature: Signature, num_labels: int = 0) -> list[str]:
    """Names of the decoders that take outputs of these shapes, of so many labels; 0: of any."""
    found = []
    for name in DECODERS:
        try:
            decoder = build_decoder(name, signature, [0], {})
        except ValueError:
            continue
        if not num_labels or decoder.num_labels in (0, num_labels):
            found.append(name)
    return found
