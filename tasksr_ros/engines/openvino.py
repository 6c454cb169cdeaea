"""The OpenVINO engine: the LR-space form of the networks, compiled for the CPU.

The converted model is kept in the cache folder, so that only the first start needs PyTorch and
the seconds of conversion.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from tasksr_ros import __version__
from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import check_regions
from tasksr_ros.engines.cache import cache_folder
from tasksr_ros.errors import EngineError

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

_MODEL = "model.xml"


class OpenVinoEngine:
    """See `engines.Engine`. Runs in float32; a batch is run region by region on all threads."""

    name = "openvino"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._bundle = bundle
        self._config = config
        self._core = ov.Core()
        self._detect = self._compile("detect")
        self._super_resolve: ov.InferRequest | None = None

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `engines.Engine`."""
        check_regions(regions, self.region_size)
        boxes, scores = (
            np.empty((len(regions), *output.shape[1:]), np.float32)
            for output in self._detect.model_outputs
        )
        for index in range(len(regions)):
            self._infer(self._detect, regions[index : index + 1])
            boxes[index] = self._detect.get_output_tensor(0).data[0]
            scores[index] = self._detect.get_output_tensor(1).data[0]
        return boxes, scores

    def super_resolve(self, regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `engines.Engine`. Compiled at the first call."""
        check_regions(regions, self.region_size)
        if self._super_resolve is None:
            self._super_resolve = self._compile("super_resolve")
        images = []
        for index in range(len(regions)):
            self._infer(self._super_resolve, regions[index : index + 1])
            images.append(self._super_resolve.get_output_tensor(0).data[0].copy())
        return np.stack(images)

    @staticmethod
    def _infer(request: ov.InferRequest, region: NDArray[np.uint8]) -> None:
        try:
            request.infer([np.ascontiguousarray(region)], share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"openvino failed: {str(error).splitlines()[0]}") from None

    def _compile(self, task: str) -> ov.InferRequest:
        folder = cache_folder(self._config) / self._key(task)
        model = self._read(folder)
        if model is None:
            model = self._convert(task, folder)
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if self._config.threads:
            properties["INFERENCE_NUM_THREADS"] = self._config.threads
        return self._core.compile_model(model, "CPU", properties).create_infer_request()

    def _key(self, task: str) -> str:
        """What a converted model depends on."""
        width, height = self.region_size
        library = ov.get_version().split("-")[0]
        digest = self._bundle.weights_sha256[:16]
        return f"openvino-{library}-{__version__}-{digest}-{width}x{height}-{task}"

    def _read(self, folder: Path) -> ov.Model | None:
        """The converted model from the cache; None if there is none or it is unreadable."""
        if not folder.is_dir():
            return None
        try:
            return self._core.read_model(folder / _MODEL)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            logger.warning("%s: unreadable, converting again: %s", folder, reason)
            return None

    def _convert(self, task: str, folder: Path) -> ov.Model:
        width, height = self.region_size
        logger.info("converting %s for regions of %dx%d px", self._bundle.name, width, height)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its internals
            exported = _exported(self._bundle, task)
            model = ov.convert_model(exported, input=[1, height, width, 3])
        try:
            _save(model, folder)
        except OSError as error:
            logger.warning("%s: the converted model is not kept: %s", folder, error)
        return model


def _exported(bundle: Bundle, task: str) -> Any:
    """The bundle's networks in LR-space form as a torch ExportedProgram."""
    import torch

    from tasksr_ros.networks.dbpn import DBPN
    from tasksr_ros.networks.lr_space import to_lr_space
    from tasksr_ros.networks.tdsr import TDSR, RegionDetector, RegionSuperResolver

    width, height = bundle.region_size
    tdsr = bundle.load()
    sr = to_lr_space(tdsr.sr, (height, width)) if isinstance(tdsr.sr, DBPN) else tdsr.sr
    tasks: dict[str, type[nn.Module]] = {
        "detect": RegionDetector,
        "super_resolve": RegionSuperResolver,
    }
    module = tasks[task](TDSR(sr, tdsr.detector)).eval()
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    return torch.export.export(module, (example,))


def _save(model: ov.Model, folder: Path) -> None:
    """Write the model so that a reader sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        ov.save_model(model, partial / _MODEL, compress_to_fp16=False)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
