"""The detector as a module that does not learn, whose gradients go to its input."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.networks.detectors.decoders import build_decoder
from tasksr_ros.networks.detectors.decoders.common import Decoder, Signature
from tasksr_ros.networks.detectors.levels import LevelOutput, decode
from tasksr_ros.networks.foreign import DetectorInput
from tasksr_training.adapt.config import PEOPLE
from tasksr_training.adapt.onnx_module import read_module
from tasksr_training.errors import TrainingError

RANKED = ("detr", "ssd", "boxes")
"""Decoders of detectors that sort their boxes: the k-th box is not that of one place."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a detector says of images.

    Attributes:
        boxes: (N, A, 4) xyxy px of the images.
        scores: (N, A) in [0, 1], of people.
        bins: (N, A, 4, B) logits of the distances as distributions, where the detector has them.
        ranked: whether the boxes are sorted, so that the k-th is not that of one place.
        features: outputs of the named modules.
        levels: of a detector of ours.
    """

    boxes: Tensor
    scores: Tensor
    bins: Tensor | None = None
    ranked: bool = False
    features: list[Tensor] = field(default_factory=list)
    levels: list[LevelOutput] | None = None


class Frozen(nn.Module):
    """A detector that does not learn.

    Args:
        detector: the network.
        layers: names of its modules whose outputs are wanted.

    Raises:
        TrainingError: for layers that it lacks.
    """

    def __init__(self, detector: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.detector = detector.eval().requires_grad_(False)
        self._features: list[Tensor] = []
        modules = dict(detector.named_modules())
        for name in layers:
            if name not in modules:
                known = ", ".join(n for n in list(modules)[1:40])
                raise TrainingError(f"loss.layers: expected modules such as {known}, got {name}")
            modules[name].register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._features += [v for v in _leaves(output) if v.is_floating_point()]

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode: running statistics are the detector's own."""
        del mode
        return super().train(False)

    def forward(self, images: Tensor) -> Seen:
        """(N, 3, H, W) RGB in [0, 1] -> what it sees in them."""
        self._features = []
        seen = self._see(images)
        seen.features.extend(self._features)
        self._features = []
        return seen

    @abstractmethod
    def _see(self, images: Tensor) -> Seen: ...


class OwnDetector(Frozen):
    """A detector of this package; ``classes`` are the ids of people."""

    def __init__(self, detector: nn.Module, classes: Sequence[int], layers: Sequence[str]) -> None:
        super().__init__(detector, layers)
        self._classes = list(classes)

    def _see(self, images: Tensor) -> Seen:
        levels: list[LevelOutput] = [
            level._replace(logits=level.logits[:, self._classes])
            for level in self.detector.levels(images)
        ]
        boxes, scores, _ = decode(levels)
        parts = [v.distributions for v in levels]
        bins = None
        if all(part is not None for part in parts):
            bins = torch.cat([p.flatten(3).permute(0, 3, 1, 2) for p in parts], 1)
        return Seen(boxes, scores, bins, levels=levels)


class ForeignNetwork(Frozen):
    """Another's detector, between the form that it takes and its decoder.

    Args:
        network: image (1, 3, H, W) or (1, H, W, 3), and (1, 2) width, height where it has a second
            input -> its outputs, by name or in the order of its file.
        names: of the outputs in that order; empty: as the network names them.
        described: the bundle's section.
        classes: ids of people in the bundle's classes.
        wants_size: whether it has a second input.
        layers: names of modules whose outputs are wanted.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        described: ForeignDetector,
        classes: Sequence[int],
        wants_size: bool = False,
        layers: Sequence[str] = (),
    ) -> None:
        super().__init__(network, layers)
        taken = described.input
        self._input = DetectorInput(None, taken.channels, taken.mean, taken.std, taken.layout)
        self._names = list(names)
        self._labels = [described.labels[k] for k in classes]
        self._decoder = partial(
            build_decoder,
            described.decoder,
            labels=self._labels,
            options=described.decoder_options,
        )
        self._ranked = described.decoder in RANKED
        self._wants_size = wants_size
        self._decoders: dict[tuple[int, int], Decoder] = {}

    def outputs(self, given: Tensor) -> dict[str, Tensor]:
        """Of the network for what it takes, by name.

        Raises:
            TrainingError: for another number of outputs than the file has.
        """
        height, width = given.shape[1:3] if self._input.layout == "nhwc" else given.shape[2:]
        more = [torch.tensor([[width, height]], device=given.device)] if self._wants_size else []
        found = self.detector(given, *more)
        if isinstance(found, dict):
            return {str(name): value for name, value in found.items()}
        values = list(_leaves(found))
        if len(values) != len(self._names):
            raise TrainingError(
                f"expected {len(self._names)} outputs of the detector ({', '.join(self._names)}), "
                f"got {len(values)}"
            )
        return dict(zip(self._names, values, strict=True))

    def prepared(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] as the network takes them."""
        taken: Tensor = self._input(images.permute(0, 2, 3, 1) * 255)[0]
        return taken

    def _see(self, images: Tensor) -> Seen:
        # One by one: exported graphs are of one image.
        seen = [self._see_one(image) for image in inside(images).split(1)]
        boxes, scores = (torch.cat([getattr(s, k) for s in seen]) for k in ("boxes", "scores"))
        bins = None if seen[0].bins is None else torch.cat([s.bins for s in seen])  # type: ignore[misc]
        return Seen(boxes, scores, bins, self._ranked)

    def _see_one(self, image: Tensor) -> Seen:
        height, width = image.shape[2:]
        outputs = self.outputs(self.prepared(image))
        decoder = self._decoders.get((width, height))
        if decoder is None:
            shapes = {name: tuple(value.shape) for name, value in outputs.items()}
            try:
                decoder = self._decoder(Signature(shapes, (width, height)))
            except ValueError as error:
                raise TrainingError(f"the detector's outputs: {error}") from None
            self._decoders[width, height] = decoder
        decoder = decoder.to(image.device)
        taken = [outputs[name] for name in decoder.outputs]
        boxes, scores, _ = decoder(*taken)
        return Seen(boxes, scores, _bins(decoder, taken))


def inside(images: Tensor) -> Tensor:
    """Images clipped to [0, 1], as the deployed graph clips them; gradients go on as they are."""
    return images + (images.clamp(0, 1) - images).detach()


def people_of(bundle: Bundle, wanted: Sequence[str] = ()) -> list[int]:
    """Ids of the bundle's classes that are people.

    Args:
        bundle: of the detector.
        wanted: names of these classes; none: those of ``PEOPLE`` that it has.

    Raises:
        TrainingError: if it has none of them.
    """
    names = [name.lower() for name in (wanted or PEOPLE)]
    found = [k for k, name in enumerate(bundle.classes) if name.lower() in names]
    if not found or (wanted and len(found) < len(set(names))):
        raise TrainingError(
            f"{bundle.name}: expected a detector with a class {' or '.join(wanted or PEOPLE)}, "
            f"it has {', '.join(bundle.classes)}; name its class of people: --classes '[NAME]'"
        )
    return found


def frozen_detector(
    bundle: Bundle,
    classes: Sequence[int],
    size: tuple[int, int],
    layers: Sequence[str] = (),
    network: str = "",
) -> Frozen:
    """The detector of a bundle, for training.

    Args:
        bundle: whose detector it is.
        classes: ids of people.
        size: (width, height) px of the images that it is to see.
        layers: names of its modules whose outputs are wanted.
        network: ``module:factory`` of a function without arguments that gives it as a torch module;
            empty: the bundle's own file.

    Raises:
        TrainingError: if it cannot be made a torch module.
    """
    described = bundle.detector
    if not isinstance(described, ForeignDetector):
        if network:
            raise TrainingError("--network is for detectors of others, this one is ours: leave it")
        return OwnDetector(bundle.load().detector, classes, layers)
    path = bundle.folder / described.model
    if network:
        return ForeignNetwork(
            _made(network), _names(bundle), described, classes, _wants_size(bundle), layers
        )
    if path.suffix.lower() != ".onnx":
        raise TrainingError(
            f"{path}: expected an ONNX file, for gradients, got OpenVINO's form; name the detector "
            "as a torch module: --network MODULE:FACTORY"
        )
    module = read_module(path, size)
    return ForeignNetwork(module, _names(bundle), described, classes, _wants_size(bundle), layers)


def _made(network: str) -> nn.Module:
    module, _, factory = network.partition(":")
    try:
        make: Callable[[], Any] = getattr(importlib.import_module(module), factory)
        made = make()
    except Exception as error:  # anything that the user's own code raises
        raise TrainingError(
            f"--network: expected MODULE:FACTORY that gives a torch module, got {network}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(made, nn.Module):
        raise TrainingError(
            f"--network: expected a torch module of {network}, got {type(made).__name__}"
        )
    return made


def _names(bundle: Bundle) -> list[str]:
    from tasksr_ros.engines.openvino_detector import read_detector

    assert isinstance(bundle.detector, ForeignDetector)
    return list(read_detector(bundle.folder / bundle.detector.model).signature.outputs)


def _wants_size(bundle: Bundle) -> bool:
    from tasksr_ros.engines.openvino_detector import read_detector

    assert isinstance(bundle.detector, ForeignDetector)
    return len(read_detector(bundle.folder / bundle.detector.model).model.inputs) > 1


def _bins(decoder: Decoder, outputs: Sequence[Tensor]) -> Tensor | None:
    """(1, A, 4, B) distributions of the distances, of PicoDet's and NanoDet's kin."""
    number = getattr(decoder, "num_bins", 0)
    if not number:
        return None
    if len(outputs) == 1:
        return outputs[0][..., decoder.num_labels :].unflatten(2, (4, number))
    return torch.cat(list(outputs[len(outputs) // 2 :]), 1).unflatten(2, (4, number))


def _leaves(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, (list, tuple)):
        return [leaf for part in output for leaf in _leaves(part)]
    return []
