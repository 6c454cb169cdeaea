"""The forms in which a super-resolution network can run on a CPU, for `networks`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import EngineError

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

Form = Literal[
    "torch reference",
    "torch reference, channels last",
    "torch reference, compiled",
    "torch LR space",
    "torch LR space, channels last",
    "torch LR space, compiled",
    "openvino reference",
    "openvino LR space",
    "openvino LR space, bf16",
    "openvino LR space, int8",
]
FORMS: tuple[Form, ...] = get_args(Form)
"""In the order of the steps; the others are compared with the first."""

Images: TypeAlias = NDArray[np.float32]
"""(1, 3, H, W) RGB in [0, 1]."""
Run: TypeAlias = Callable[[Images], Images]


def build_forms(
    network: nn.Module,
    region_hw: tuple[int, int],
    threads: int,
    wanted: Sequence[str],
    calibration: Sequence[Images],
) -> dict[str, Run]:
    """What runs each form; one that cannot run here is left out, and the reason logged.

    Args:
        network: a DBPN, RBPN or KBPN in eval mode; its output is clipped nowhere.
        region_hw: height and width of the LR region, px.
        threads: CPU threads; torch's number must be set already.
        wanted: of ``FORMS``.
        calibration: LR regions; none: no int8.

    Raises:
        TypeError: if the network has no LR-space form.
    """
    import torch

    from benchmarks.of_image import OfImage
    from tasksr_ros.networks.super_resolution.lr_space import to_lr_space

    lr = torch.rand(1, 3, *region_hw)
    graphs = {
        "reference": OfImage(network, region_hw),
        "LR space": OfImage(to_lr_space(network, region_hw), region_hw),
    }
    runs: dict[str, Run] = {}
    for form in wanted:
        engine, _, rest = form.partition(" ")
        graph, _, how = rest.partition(", ")
        try:
            if engine == "torch":
                runs[form] = _torch(graphs[graph], lr, how)
            else:
                runs[form] = _openvino(graphs[graph], lr, how, threads, calibration)
        except EngineError as error:
            logger.warning("%s is left out: %s", form, error)
    return runs


def _torch(network: nn.Module, lr: Tensor, how: str) -> Run:
    import copy

    import torch

    own = copy.deepcopy(network)
    layout = torch.contiguous_format if not how else torch.channels_last
    own = own.to(memory_format=layout)  # type: ignore[call-overload]
    call: Callable[[Tensor], Tensor] = own
    if how == "compiled":
        torch._dynamo.reset()  # an older compilation may be for another number of threads
        call = torch.compile(own, options={"freezing": True})

    def run(images: Images) -> Images:
        with torch.inference_mode(how != "compiled"), torch.no_grad():
            sr = call(torch.from_numpy(images).contiguous(memory_format=layout))
            return np.asarray(sr.numpy(), np.float32)

    if how == "compiled":
        try:
            run(lr.numpy())
        except Exception as error:  # whatever the compiler's installation lacks
            raise EngineError(f"torch.compile failed: {str(error).splitlines()[0]}") from None
    return run


def _openvino(
    network: nn.Module, lr: Tensor, how: str, threads: int, calibration: Sequence[Images]
) -> Run:
    import torch

    from tasksr_ros.engines.openvino import check_precision
    from tasksr_ros.engines.openvino_library import openvino_core, ov
    from tasksr_ros.engines.quantisation import quantise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its internals
        model = ov.convert_model(torch.export.export(network, (lr,)), input=list(lr.shape))
    if how == "int8":
        model = quantise(model, calibration)
    core = openvino_core()
    check_precision(core, how or "fp32")
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if how == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = core.compile_model(model, "CPU", properties).create_infer_request()

    def run(images: Images) -> Images:
        result = request.infer([images], share_inputs=True, share_outputs=True)
        return np.asarray(result[0], np.float32)

    return run
