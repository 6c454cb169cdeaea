"""A model on disk: ``model.yaml``, ``weights.safetensors`` and a card, checked by hash.

A bundle may come from anywhere. No pickle is ever loaded from one: weights are safetensors, the
description is plain YAML whose every value is checked before anything is made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tasksr_ros import safe_yaml
from tasksr_ros.bundle_schema import checked, has_detector
from tasksr_ros.errors import BundleError

if TYPE_CHECKING:
    from torch import nn

    from tasksr_ros.networks.tdsr import TDSR

NetworkT = TypeVar("NetworkT", bound="nn.Module")

DESCRIPTION, WEIGHTS, CARD = "model.yaml", "weights.safetensors", "README.md"

MAX_WEIGHTS_BYTES = 2**31


@dataclass(frozen=True, kw_only=True)
class SuperResolutionBundle:
    """A super-resolution network's description.

    Attributes:
        name: the bundle's name.
        sr: name of the super-resolution network, as `networks.build_sr` takes it.
        scale_factor: 2, 4 or 8.
        weights_sha256: hex digest of the weights file.
        folder: where the bundle lies.
        recipe: how the weights were trained; free-form.
        sr_options: arguments of the network's class in place of the named variant's.
    """

    name: str
    sr: str
    scale_factor: int
    weights_sha256: str
    folder: Path
    recipe: Mapping[str, Any] = field(default_factory=dict)
    sr_options: Mapping[str, int] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """Path of the weights file."""
        return self.folder / WEIGHTS

    def load_sr(self) -> nn.Module:
        """Build the super-resolution network and load its weights, in eval mode on the CPU.

        Raises:
            BundleError: if the weights are not the described ones, or do not fit the network
                that the description names.
        """
        from tasksr_ros.networks import build_sr

        return self._loaded(lambda: build_sr(self.sr, self.scale_factor, **self.sr_options))

    def _loaded(self, build: Callable[[], NetworkT]) -> NetworkT:
        """A network with the bundle's weights, in eval mode on the CPU."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load as load_weights

        try:
            with torch.device("meta"):
                network = build()
            state = load_weights(self._verified())
            _check_values(state, network.state_dict())
            network.load_state_dict(state, assign=True)
        except (ValueError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BundleError(
                f"{self.weights}: weights do not fit {DESCRIPTION}: {reason}"
            ) from None
        return network.eval().requires_grad_(False)

    def _verified(self) -> bytes:
        """The weights file, read once, so that what is checked is what is used."""
        check_weights(self)
        try:
            data = self.weights.read_bytes()
        except OSError as error:
            raise BundleError(f"{self.weights}: not readable: {error}") from None
        _check_hash(self, hashlib.sha256(data).hexdigest())
        return data


@dataclass(frozen=True, kw_only=True)
class Bundle(SuperResolutionBundle):
    """A description of super-resolution and detector in series: what the engines run.

    Attributes:
        detector_width: `networks.detector.Detector`'s width.
        classes: class names, by class_id.
        region_size: (width, height) of an engine's region in region px.
        score_threshold: least score of a detection, unless configured otherwise.
    """

    detector_width: float
    classes: tuple[str, ...]
    region_size: tuple[int, int]
    score_threshold: float

    def load(self) -> TDSR:
        """Build the networks and load their weights, in eval mode on the CPU.

        Raises:
            BundleError: if the weights are not the described ones, or do not fit the networks
                that the description names.
        """
        from tasksr_ros.networks import SR_NAMES, build_sr
        from tasksr_ros.networks.detector import Detector
        from tasksr_ros.networks.tdsr import TDSR

        if self.sr not in SR_NAMES:
            raise BundleError(
                f"{self.folder / DESCRIPTION}: sr must be one of {', '.join(SR_NAMES)} (networks "
                f"for single images), got {self.sr!r}"
            )
        return self._loaded(
            lambda: TDSR(build_sr(self.sr, self.scale_factor), Detector(self.detector_width))
        )

    def load_sr(self) -> nn.Module:
        """Load the super-resolution network alone; see `load`."""
        sr: nn.Module = self.load().sr
        return sr


def models_folders() -> list[Path]:
    """Folders of shipped bundles: the checkout's ``models``, or the installed package's."""
    parents = Path(__file__).resolve().parents
    candidates = [parents[1] / "models"]
    candidates += [parent / "share" / "tasksr_ros" / "models" for parent in parents]
    return [folder for folder in candidates if folder.is_dir()]


def shipped_bundles() -> list[Path]:
    """Folders of the bundles that come with the package, by name."""
    found = {
        path.parent.name: path.parent
        for folder in reversed(models_folders())
        for path in folder.glob(f"*/{DESCRIPTION}")
    }
    return [found[name] for name in sorted(found)]


def find_bundle(path_or_name: str | Path) -> Path:
    """Return the folder of a bundle given by path or by a shipped bundle's name.

    Raises:
        BundleError: if there is none; the shipped ones are named.
    """
    if (Path(path_or_name) / DESCRIPTION).is_file():
        return Path(path_or_name)
    shipped = {path.name: path for path in shipped_bundles()}
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    raise BundleError(
        f"no bundle {str(path_or_name)!r}: expected a folder with {DESCRIPTION}, or one of the "
        f"shipped bundles: {', '.join(shipped) or 'none'}"
    )


def load_bundle(path_or_name: str | Path) -> Bundle:
    """Read the description of a bundle for the engines and verify its weights' hash.

    Raises:
        BundleError: if it is missing, malformed or without a detector, or the weights are not
            the described ones.
    """
    bundle = load_any_bundle(path_or_name)
    if not isinstance(bundle, Bundle):
        raise BundleError(
            f"{bundle.folder / DESCRIPTION}: expected a bundle with a detector, "
            f"got one of super-resolution alone ({bundle.sr})"
        )
    return bundle


def load_any_bundle(path_or_name: str | Path) -> SuperResolutionBundle:
    """Read a bundle's description and verify its weights' hash.

    Returns:
        A `Bundle` where there is a detector.

    Raises:
        BundleError: if it is missing, malformed, or the weights are not the described ones.
    """
    folder = find_bundle(path_or_name)
    path = folder / DESCRIPTION
    try:
        values = safe_yaml.load(path)
    except (OSError, safe_yaml.UnsafeYamlError) as error:
        raise BundleError(f"{path}: not readable: {error}") from None
    bundle = _bundle(checked(values, path), folder)
    check_weights(bundle)
    _check_hash(bundle, sha256(bundle.weights))
    return bundle


def check_weights(bundle: SuperResolutionBundle) -> None:
    """Raise BundleError unless the weights are a file of a size that may be read."""
    if not bundle.weights.is_file():
        raise BundleError(f"{bundle.weights}: missing")
    size = bundle.weights.stat().st_size
    if size > MAX_WEIGHTS_BYTES:
        raise BundleError(
            f"{bundle.weights}: expected at most {MAX_WEIGHTS_BYTES} bytes, got {size}"
        )


def _check_hash(bundle: SuperResolutionBundle, digest: str) -> None:
    if digest != bundle.weights_sha256:
        raise BundleError(
            f"{bundle.weights}: wrong hash: expected sha256 {bundle.weights_sha256[:12]}…, "
            f"got {digest[:12]}…"
        )


def _check_values(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ValueError for weights of another type than the networks', or not finite."""
    for name in state.keys() & expected.keys():
        if state[name].dtype != expected[name].dtype:
            raise ValueError(f"{name} must be {expected[name].dtype}, got {state[name].dtype}")
        if not state[name].isfinite().all():
            raise ValueError(f"{name} has values that are not finite")


def save_bundle(
    folder: Path, network: nn.Module, description: Mapping[str, Any], card: str
) -> None:
    """Write a bundle.

    Args:
        folder: created if needed; an older bundle in it is replaced.
        network: a trained `TDSR`, or a super-resolution network alone; weights are stored as
            float32.
        description: ``model.yaml``'s values except ``weights_sha256``; of super-resolution alone
            those that `SuperResolutionBundle` has.
        card: text of the bundle's README.md.

    Raises:
        BundleError: if the description lacks a value or has one of a wrong type.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    save_file(state, folder / WEIGHTS)
    values = {**description, "weights_sha256": sha256(folder / WEIGHTS)}
    checked(values, folder / DESCRIPTION)
    (folder / DESCRIPTION).write_text(safe_yaml.dump(values), encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _bundle(values: dict[str, Any], folder: Path) -> SuperResolutionBundle:
    if not has_detector(values):
        return SuperResolutionBundle(**values, folder=folder)
    width, height = values["region_size"]
    detector = {
        "classes": tuple(map(str, values["classes"])),
        "region_size": (width, height),
    }
    return Bundle(**{**values, **detector}, folder=folder)
