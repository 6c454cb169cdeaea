"""Post-training quantisation of OpenVINO models to int8, by NNCF on regions of real images.

NNCF (with SciPy and scikit-learn, some 200 MB) is not among the requirements: it is needed where
an int8 model is made, not where a made one runs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.config import RegionConfig
from tasksr_ros.errors import EngineError
from tasksr_ros.io.recording import Readable, Recording, length
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.regions import distant_band, tiles

if TYPE_CHECKING:
    from tasksr_ros.engines.openvino_library import ov

logger = logging.getLogger(__name__)

NUM_REGIONS = 32
"""That are looked at: NNCF takes some seconds for each, and more change nothing."""


def calibration_regions(
    source: str | Path, region_size: tuple[int, int], number: int = NUM_REGIONS
) -> NDArray[np.uint8]:
    """Regions of the size and from where the pipeline cuts them by default.

    Args:
        source: folder of images, video or bag.
        region_size: (width, height) of a region in px.
        number: how many at most, spread over the source and over the tiles of an image.

    Returns:
        (N, height, width, 3) uint8 RGB, N ≥ 1.

    Raises:
        RecordingError: if the source holds no images.
    """
    recording = open_recording(source)
    config = RegionConfig()
    found: list[NDArray[np.uint8]] = []
    frames = Readable(recording, lambda item: item.load())
    for index, frame in enumerate(frames):
        if index % _step(recording, number):
            continue
        places = tiles(distant_band(frame.size, config, None), frame.size, region_size, 0)
        found.append(places[len(found) % len(places)].pixels(frame, region_size))
        if len(found) == number:
            break
    frames.tell()
    return np.stack(found)


def _step(recording: Recording, number: int) -> int:
    return max(1, (length(recording) or 0) // number)


def check_installed() -> None:
    """Raise EngineError without NNCF."""
    if not importlib.util.find_spec("nncf"):
        raise EngineError(
            "int8 needs the Python package nncf (pip install nncf), which is not installed"
        )


def quantise(
    model: ov.Model, inputs: Sequence[NDArray[np.generic]], ignored: Sequence[str] = ()
) -> ov.Model:
    """The model with its convolutions in int8.

    Args:
        model: of one input.
        inputs: what it may be given, each with the batch's axis.
        ignored: names of operations that stay as they are.

    Raises:
        EngineError: without NNCF, or without inputs.
    """
    if not len(inputs):
        raise EngineError("int8 needs calibration images: give a folder, video or bag of them")
    check_installed()
    import nncf

    logger.info("quantising with %d regions: this takes a minute or two", len(inputs))
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=list(ignored), validate=False),
        )


def detector_operations(model: ov.Model) -> list[str]:
    """Names of what comes after the super-resolved image: of its first convolution, and on.

    They stay as they are: in int8 the detector costs most of what int8 costs in detection, and it
    takes a quarter of the time.

    Args:
        model: of one input, (1, height, width, 3) uint8: super-resolution, then the detector.

    Raises:
        EngineError: if nothing in it sees an image larger than the input.
    """
    width = model.inputs[0].get_partial_shape().to_shape()[2]
    todo = [op for op in model.get_ordered_ops() if _sees_larger_image(op, width)]
    if not todo:
        raise EngineError("int8 needs a bundle with super-resolution, got one without")
    found: set[str] = set()
    while todo:
        operation = todo.pop()
        if operation.get_friendly_name() not in found:
            found.add(operation.get_friendly_name())
            todo += [i.get_node() for o in operation.outputs() for i in o.get_target_inputs()]
    return sorted(found)


def _sees_larger_image(operation: ov.Node, width: int) -> bool:
    if operation.get_type_name() != "Convolution":
        return False
    channels, _, seen = operation.input_value(0).get_partial_shape().to_shape()[1:]
    return bool(channels == 3 and seen > width)
