"""What a detector must be before anything is learnt from it: the same, alive, differentiable."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_training.adapt.frozen import ForeignNetwork, Frozen
from tasksr_training.adapt.onnx_module import blocking
from tasksr_training.errors import TrainingError

MOST_DIFFERENCE = 2e-3
"""Of an output of the torch module from that of the file, relative to the output's range or 1."""
LEAST_DIFFERENCE = 1e-5
"""Of scores that depend on the image, as a share of the highest."""
"""Of scores on different images."""


def check_detector(frozen: Frozen, bundle: Bundle, images: Tensor) -> list[str]:
    """Refuse a detector that super-resolution cannot be adapted to.

    Args:
        frozen: the detector.
        bundle: whose detector it is.
        images: (N, 3, H, W) RGB in [0, 1], N of 2 or more: different crops, with people.

    Returns:
        What was found, for people.

    Raises:
        TrainingError: if its outputs are not those of the file, are not finite, do not depend on
            the image, or have no gradient.
    """
    lines = []
    described = bundle.detector
    if isinstance(frozen, ForeignNetwork) and isinstance(described, ForeignDetector):
        path = bundle.folder / described.model
        lines.append(compare_with_file(frozen, path, images[:1]))
    _check_alive(frozen, bundle, images)
    _check_gradient(frozen, bundle, images)
    return lines


def compare_with_file(frozen: ForeignNetwork, path: Path, image: Tensor) -> str:
    """Compare the outputs of a torch module with those of the detector's file.

    Returns:
        The largest difference, for people.

    Raises:
        TrainingError: if it is more than ``MOST_DIFFERENCE``.
    """
    given = frozen.prepared(image)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = {name: v.double().numpy() for name, v in frozen.outputs(given).items()}
    runtime, theirs = _run(path, given.numpy(), (image.shape[3], image.shape[2]))
    worst, where = 0.0, ""
    for name, value in theirs.items():
        if name not in ours or ours[name].shape != value.shape:
            got = f"{name} {ours[name].shape}" if name in ours else ", ".join(ours)
            raise TrainingError(
                f"{path}: expected the torch module's output {name} {value.shape}, got {got}"
            )
        if not np.isfinite(value).all():
            raise TrainingError(
                f"{path}: its output {name} is not finite on the recording's images"
            )
        extent = max(1.0, float(np.abs(value).max(initial=0)))
        difference = float(np.abs(ours[name] - value).max(initial=0)) / extent
        if not difference <= worst:
            worst, where = difference, name
    if not worst <= MOST_DIFFERENCE:
        raise TrainingError(
            f"{path}: expected the torch module to give what {runtime} gives, within "
            f"{MOST_DIFFERENCE:g}; output {where} differs by {worst:.2g}"
        )
    return f"the torch module gives what {runtime} gives, within {worst:.1e} of each output's range"


def _run(
    path: Path, given: NDArray[np.float32], size: tuple[int, int]
) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """Name of the runtime, and the file's outputs by name."""
    if path.suffix.lower() != ".onnx":
        from tasksr_ros.engines.openvino_detector import read_detector

        detector = read_detector(path, size)
        values = detector.run(given)
        names = list(detector.signature.outputs)
        return "OpenVINO", {n: v.astype(float) for n, v in zip(names, values, strict=True)}
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {
        value.name: given if len(value.shape) == 4 else np.array([size], np.int64)
        for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    values = session.run(names, inputs)
    return "ONNX Runtime", {n: v.astype(float) for n, v in zip(names, values, strict=True)}


@torch.no_grad()
def _check_alive(frozen: Frozen, bundle: Bundle, images: Tensor) -> None:
    seen = frozen(images)
    for name, values in (("scores", seen.scores), ("boxes", seen.boxes)):
        if not torch.isfinite(values).all():
            raise TrainingError(
                f"{bundle.name}: expected finite {name} of the detector, got NaN or infinite ones "
                f"on {len(images)} crops of the recordings"
            )
    spread = float((seen.scores - seen.scores[:1]).abs().max()) if seen.scores.numel() else 0.0
    highest = float(seen.scores.max()) if seen.scores.numel() else 0.0
    if not spread > LEAST_DIFFERENCE * highest:
        raise TrainingError(
            f"{bundle.name}: expected scores that depend on the image, the detector's are the same "
            f"on {len(images)} different crops (largest difference {spread:.1e})"
        )


def _check_gradient(frozen: Frozen, bundle: Bundle, images: Tensor) -> None:
    given = images.clone().requires_grad_()
    scores = frozen(given).scores
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(scores.sum(), given, allow_unused=True)
    if gradient is not None and torch.isfinite(gradient).all() and float(gradient.abs().max()) > 0:
        return
    got = "none" if gradient is None else "one that is zero or not finite"
    told, described = "", bundle.detector
    if isinstance(described, ForeignDetector) and described.model.lower().endswith(".onnx"):
        path = bundle.folder / described.model
        told = f"; operators of {path.name} that stop it: {blocking(path)}"
    raise TrainingError(
        f"{bundle.name}: expected a gradient from the detector's scores to the image, got {got}"
        f"{told}"
    )
