"""What a bundle holds: networks by name and options, files by hash.

Nothing in a bundle is code, and loading one runs none: weights are safetensors, detectors of others
are ONNX or OpenVINO files, the description is plain YAML whose every value is checked before
anything is made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasksr_ros.bundle.on_disk import DESCRIPTION
from tasksr_ros.errors import BundleError
from tasksr_ros.networks.super_resolution.frames import NUM_FRAMES, neighbour_offsets

if TYPE_CHECKING:
    from torch import nn

    from tasksr_ros.networks.tdsr import TDSR


@dataclass(frozen=True, kw_only=True)
class SuperResolution:
    """A super-resolution network.

    Attributes:
        network: name, as `networks.build_sr` takes it.
        scale_factor: SR px per region px.
        options: arguments of the network's class in place of the named variant's.
        weights: file with its weights; empty for a network without any.
        prefix: of its names in that file.
    """

    network: str
    scale_factor: float
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    prefix: str = ""

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Frames that it looks at beside the target, relative to it; () of single images."""
        if self.network not in NUM_FRAMES:
            return ()
        number = self.options.get("num_frames", NUM_FRAMES[self.network])
        return neighbour_offsets(number, past_only=bool(self.options.get("past_only", False)))


@dataclass(frozen=True, kw_only=True)
class OwnDetector:
    """A detector of this package.

    Attributes:
        network: name, as `networks.build_detector` takes it.
        options: arguments of the network's class in place of the named variant's.
        weights: file with its weights.
        prefix: of its names in that file.
    """

    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """What another's detector takes.

    Attributes:
        channels: rgb or bgr.
        mean: of each of these channels, 0 to 255; subtracted first.
        std: of each of these channels; divided by.
        layout: nchw or nhwc.
        size: (width, height) px, where it is fixed; None: any.
        size_multiple: px that any other width and height must be multiples of.
    """

    channels: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: str = "nchw"
    size: tuple[int, int] | None = None
    size_multiple: int = 1


@dataclass(frozen=True, kw_only=True)
class ForeignDetector:
    """A detector that others made.

    Attributes:
        model: its file: ONNX, or OpenVINO's .xml, whose .bin lies beside it.
        decoder: name of what makes boxes of its outputs; see `networks.detectors.decoders`.
        decoder_options: what that was found to need.
        labels: its number of each of the bundle's classes.
        input: what it takes.
    """

    model: str
    decoder: str
    labels: tuple[int, ...]
    input: InputFormat
    decoder_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SuperResolutionBundle:
    """Super-resolution alone, or with a detector: see `Bundle`.

    Attributes:
        name: the bundle's name.
        folder: where it lies.
        sr: the super-resolution network; None: regions go to the detector as they are.
        files: sha256 of each file by its name.
        recipe: how the weights came about; free-form.
    """

    name: str
    folder: Path
    sr: SuperResolution | None
    files: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scale_factor(self) -> float:
        """SR px per region px."""
        return 1 if self.sr is None else self.sr.scale_factor

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Frames that super-resolution looks at beside the target; () of single images."""
        return () if self.sr is None else self.sr.neighbours

    def load_sr(self) -> nn.Module:
        """Build the super-resolution network and load its weights, in eval mode on the CPU.

        Raises:
            BundleError: if there is none, or the weights are not the described ones or do not fit
                the network that the description names.
        """
        from tasksr_ros.bundle.networks import with_weights
        from tasksr_ros.networks import build_sr

        sr = self.sr
        if sr is None:
            raise BundleError(f"{self.folder}: expected a bundle with super-resolution, got none")
        build = partial(build_sr, sr.network, sr.scale_factor, **sr.options)
        return with_weights(build, self.folder, self.files, sr.weights, sr.prefix)


@dataclass(frozen=True, kw_only=True)
class Bundle(SuperResolutionBundle):
    """What the engines run: super-resolution, if any, and a detector in series.

    Attributes:
        detector: ours or another's.
        classes: class names, by class_id.
        region_size: (width, height) of an engine's region in region px.
        score_threshold: least score of a detection, unless configured otherwise.
        weak_threshold: score from which somebody may be there who is worth another look; between
            0 and ``score_threshold``. None: not known.
    """

    detector: OwnDetector | ForeignDetector
    classes: tuple[str, ...]
    region_size: tuple[int, int]
    score_threshold: float
    weak_threshold: float | None = None

    @property
    def estimates_blur(self) -> bool:
        """Whether the engines give the kernels that blurred the regions beside what they find."""
        from tasksr_ros.networks import BLIND_SR_NAMES

        return self.sr is not None and self.sr.network in BLIND_SR_NAMES

    @property
    def sr_size(self) -> tuple[int, int]:
        """(width, height) of what the detector sees of a region, SR px."""
        width, height = self.region_size
        return round(width * self.scale_factor), round(height * self.scale_factor)

    @property
    def sha256(self) -> str:
        """Hex digest of all that decides what is found in a region of this size."""
        what = {
            "sr": None if self.sr is None else asdict(self.sr),
            "detector": asdict(self.detector),
            "classes": self.classes,
            "files": dict(sorted(self.files.items())),
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def load(self) -> TDSR:
        """Build the networks and load their weights, in eval mode on the CPU.

        Raises:
            BundleError: if the detector is another's, or the weights are not the described ones
                or do not fit the networks that the description names.
        """
        from torch import nn

        from tasksr_ros.bundle.networks import with_weights
        from tasksr_ros.networks import BLIND_SR_NAMES, SR_NAMES, VIDEO_SR_NAMES, build_detector
        from tasksr_ros.networks.tdsr import TDSR

        own, where = self.detector, self.folder / DESCRIPTION
        if isinstance(own, ForeignDetector):
            raise BundleError(
                f"{where}: expected a detector of this package, got {own.model}, which runs in "
                f"the engines openvino and onnxruntime"
            )
        known = (*SR_NAMES, *VIDEO_SR_NAMES, *BLIND_SR_NAMES)
        if self.sr is not None and self.sr.network not in known:
            raise BundleError(
                f"{where}: sr must be one of {', '.join(known)}, got {self.sr.network!r}"
            )
        options = {**own.options, "num_classes": len(self.classes)}
        build = partial(build_detector, own.network, **options)
        detector = with_weights(build, self.folder, self.files, own.weights, own.prefix)
        return TDSR(nn.Identity() if self.sr is None else self.load_sr(), detector).eval()
