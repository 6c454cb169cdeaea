"""A model on disk: ``model.yaml``, ``weights.safetensors`` and a card, checked by hash.

No pickle is ever loaded from a bundle: weights are safetensors, the description is safe YAML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.errors import BundleError

if TYPE_CHECKING:
    from tasksr_ros.networks.tdsr import TDSR

DESCRIPTION, WEIGHTS, CARD = "model.yaml", "weights.safetensors", "README.md"

_FIELDS: dict[str, type] = {
    "name": str,
    "sr": str,
    "detector_width": float,
    "scale_factor": int,
    "classes": list,
    "region_size": list,
    "score_threshold": float,
    "recipe": dict,
    "weights_sha256": str,
}


@dataclass(frozen=True)
class Bundle:
    """A model's description.

    Attributes:
        name: the bundle's name.
        sr: name of the super-resolution network, as `networks.build_sr` takes it.
        detector_width: `networks.detector.Detector`'s width.
        scale_factor: 2, 4 or 8.
        classes: class names, by class_id.
        region_size: (width, height) of an engine's region in region px.
        score_threshold: least score of a detection, unless configured otherwise.
        weights_sha256: hex digest of the weights file.
        folder: where the bundle lies.
        recipe: how the weights were trained; free-form.
    """

    name: str
    sr: str
    detector_width: float
    scale_factor: int
    classes: tuple[str, ...]
    region_size: tuple[int, int]
    score_threshold: float
    weights_sha256: str
    folder: Path
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """Path of the weights file."""
        return self.folder / WEIGHTS

    def load(self) -> TDSR:
        """Build the networks and load their weights, in eval mode on the CPU.

        Raises:
            BundleError: if the weights do not fit the networks that the description names.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from tasksr_ros.networks import SR_NAMES, build_sr
        from tasksr_ros.networks.detector import Detector
        from tasksr_ros.networks.tdsr import TDSR

        if self.sr not in SR_NAMES:
            raise BundleError(
                f"{self.folder / DESCRIPTION}: sr must be one of {', '.join(SR_NAMES)} (networks "
                f"for single images), got {self.sr!r}"
            )
        try:
            with torch.device("meta"):
                tdsr = TDSR(build_sr(self.sr, self.scale_factor), Detector(self.detector_width))
            tdsr.load_state_dict(load_file(self.weights), assign=True)
        except (ValueError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BundleError(
                f"{self.weights}: weights do not fit {DESCRIPTION}: {reason}"
            ) from None
        return tdsr.eval().requires_grad_(False)


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
    """Read a bundle's description and verify its weights' hash.

    Raises:
        BundleError: if it is missing, malformed, or the weights are not the described ones.
    """
    folder = find_bundle(path_or_name)
    path = folder / DESCRIPTION
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(f"{path}: not readable: {' '.join(str(error).split())}") from None
    bundle = _bundle(_checked(values, path), folder)
    if not bundle.weights.is_file():
        raise BundleError(f"{bundle.weights}: missing")
    digest = sha256(bundle.weights)
    if digest != bundle.weights_sha256:
        raise BundleError(
            f"{bundle.weights}: wrong hash: expected sha256 {bundle.weights_sha256[:12]}…, "
            f"got {digest[:12]}…"
        )
    return bundle


def save_bundle(folder: Path, tdsr: TDSR, description: Mapping[str, Any], card: str) -> None:
    """Write a bundle.

    Args:
        folder: created if needed; an older bundle in it is replaced.
        tdsr: the trained networks; weights are stored as float32.
        description: ``model.yaml``'s values except ``weights_sha256``.
        card: text of the bundle's README.md.

    Raises:
        BundleError: if the description lacks a value or has one of a wrong type.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in tdsr.state_dict().items()
    }
    save_file(state, folder / WEIGHTS)
    values = {**description, "weights_sha256": sha256(folder / WEIGHTS)}
    _checked(values, folder / DESCRIPTION)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checked(values: object, path: Path) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected a mapping, got {type(values).__name__}")
    wrong = sorted(map(str, set(values) ^ set(_FIELDS)))
    if wrong:
        missing = [k for k in wrong if k in _FIELDS]
        unknown = [k for k in wrong if k not in _FIELDS]
        raise BundleError(f"{path}: missing keys: {missing}, unknown keys: {unknown}")
    for name, type_ in _FIELDS.items():
        if type(values[name]) is not type_:
            raise BundleError(
                f"{path}: {name} must be of type {type_.__name__}, got {values[name]!r}"
            )
    if len(values["region_size"]) != 2 or not all(
        type(n) is int and n > 0 for n in values["region_size"]
    ):
        raise BundleError(
            f"{path}: region_size must be [width, height] in px, got {values['region_size']!r}"
        )
    sides = [side * values["scale_factor"] for side in values["region_size"]]
    if any(side % SIZE_MULTIPLE for side in sides):
        raise BundleError(
            f"{path}: region_size times scale_factor must be multiples of {SIZE_MULTIPLE} SR px, "
            f"got {sides}"
        )
    return values


def _bundle(values: dict[str, Any], folder: Path) -> Bundle:
    width, height = values["region_size"]
    return Bundle(
        **{
            **values,
            "classes": tuple(map(str, values["classes"])),
            "region_size": (width, height),
            "folder": folder,
        }
    )
