"""The OpenVINO engine: the LR-space form of the networks, compiled for the CPU.

The converted model is kept in the cache folder, so that only the first start needs PyTorch and
the seconds of conversion.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.cache import cache_folder, code_sha256, is_trusted, written_whole
from tasksr_ros.engines.clips import Regions, inputs
from tasksr_ros.engines.found import Found, joined
from tasksr_ros.engines.openvino_library import openvino_core, ov
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

_MODEL = "model.xml"
_CALIBRATION = "calibration.txt"
"""Beside an int8 model: the images that it was fitted to."""


class OpenVinoEngine:
    """See `engines.Engine`. Regions are run one by one on all threads, or side by side."""

    name = "openvino"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._neighbours = len(bundle.neighbours)
        cache = cache_folder(config)
        core = openvino_core()
        check_precision(core, config.precision)
        int8 = config.precision == "int8"
        folder = cache / (_key(bundle) + ("-sr-int8" if int8 else ""))
        source = str(Path(config.calibration).resolve()) if int8 and config.calibration else ""
        model = _read(core, folder, source)
        if model is None:
            model = _quantised(bundle, source) if int8 else _convert(bundle)
            _keep(model, folder, source)
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": config.hint.upper(),
            "INFERENCE_PRECISION_HINT": "bf16" if config.precision == "bf16" else "f32",
        }
        if config.threads:
            properties["INFERENCE_NUM_THREADS"] = config.threads
        compiled = core.compile_model(model, "CPU", properties)
        together = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.runs_batches = together > 1
        self._requests = [compiled.create_infer_request() for _ in range(together)]

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        arrays = inputs(regions, self.region_size, self._neighbours)  # the requests share them
        found: list[Found] = []
        try:
            for first in range(0, len(regions), len(self._requests)):
                some = range(first, min(first + len(self._requests), len(regions)))
                for index, request in zip(some, self._requests, strict=False):
                    one = [array[index : index + 1] for array in arrays]
                    request.start_async(one, share_inputs=True)
                for _, request in zip(some, self._requests, strict=False):
                    request.wait()
                    found.append(_found(request))
        except RuntimeError as error:
            raise EngineError(f"openvino failed: {str(error).splitlines()[0]}") from None
        return joined(found)


def _found(request: ov.InferRequest) -> Found:
    """Copies of a request's outputs; its next run overwrites them."""
    outputs = (request.get_output_tensor(k).data for k in range(len(request.model_outputs)))
    boxes, scores, class_ids, *kernels = outputs
    copies = (kernel.copy() for kernel in kernels)
    return Found(boxes.copy(), scores.copy(), class_ids.astype(np.int32), *copies)


def check_precision(core: ov.Core, precision: str) -> None:
    """Raise EngineError unless the CPU has instructions for ``precision``."""
    if precision == "fp16":
        raise EngineError("engine openvino runs in fp32, bf16, int8, got engine.precision fp16")
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capabilities:
        raise EngineError(
            "engine.precision bf16 needs a CPU with AVX512_BF16 or AMX instructions, got one with "
            f"{', '.join(capabilities)}"
        )


def _key(bundle: Bundle) -> str:
    """Name of what a converted model depends on: networks and weights, code, region, library."""
    width, height = bundle.region_size
    library = ov.get_version().split("-")[0]
    return (
        f"openvino-{library}-{bundle.name}-{bundle.sha256[:16]}-{code_sha256(bundle)[:8]}-"
        f"{width}x{height}"
    )


def _read(core: ov.Core, folder: Path, calibration: str) -> ov.Model | None:
    """The converted model from the cache; None if there is none that may or can be read.

    An int8 model that other images than those named made is not taken.
    """
    try:
        if not folder.is_dir() or not is_trusted(folder):
            return None
        if calibration and (folder / _CALIBRATION).read_text() != calibration:
            logger.info("%s: made with other calibration images, making it again", folder)
            return None
        return core.read_model(folder / _MODEL)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        logger.warning("%s: unreadable, converting again: %s", folder, reason)
        return None


def _convert(bundle: Bundle) -> ov.Model:
    """The bundle's networks, super-resolution in LR-space form, as an OpenVINO model."""
    from tasksr_ros.engines import openvino_detector
    from tasksr_ros.engines.graphs import example_inputs, load_graph
    from tasksr_ros.networks.tdsr import RegionDetector

    width, height = bundle.region_size
    logger.info("converting %s for regions of %dx%d px", bundle.name, width, height)
    if isinstance(bundle.detector, ForeignDetector):
        return openvino_detector.joined(bundle, bundle.detector)
    module = RegionDetector(load_graph(bundle, "lr_space"))
    return openvino_detector.converted(module, example_inputs(bundle), {})


def _quantised(bundle: Bundle, calibration: str) -> ov.Model:
    """The bundle's networks in int8, fitted to regions of the calibration images."""
    if bundle.sr is not None and bundle.estimates_blur:
        raise EngineError(
            f"engine.precision int8 is for super-resolution that does not estimate the blur, got "
            f"{bundle.sr.network}; fp32 and bf16 run it"
        )
    if bundle.neighbours:
        raise EngineError(
            f"engine.precision int8 is of super-resolution of single images, got {bundle.name} of "
            f"video, which runs in fp32 and bf16"
        )
    if not calibration:
        raise EngineError(
            "engine.precision int8 needs engine.calibration (a folder of images, a video or a "
            "bag) to make the model for this bundle once, got none"
        )
    from tasksr_ros.engines.quantisation import (
        calibration_regions,
        check_installed,
        detector_operations,
        quantise,
    )

    check_installed()
    regions = calibration_regions(calibration, bundle.region_size)
    model = _convert(bundle)
    return quantise(model, [region[None] for region in regions], detector_operations(model))


def _keep(model: ov.Model, folder: Path, calibration: str) -> None:
    """Put the model into the cache; an engine runs without it too."""
    try:
        _save(model, folder, calibration)
    except (OSError, RuntimeError) as error:  # OpenVINO tells of a full disk with the latter
        logger.warning("%s: the converted model is not kept: %s", folder, error)


def _save(model: ov.Model, folder: Path, calibration: str) -> None:
    """Write the model so that a reader sees all of it or nothing."""
    with written_whole(folder) as partial:
        ov.save_model(model, partial / _MODEL, compress_to_fp16=False)
        (partial / _CALIBRATION).write_text(calibration)
