"""What the yardstick measures: public detectors, imported as anyone would, and bundles."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tasksr_ros.bundle import Bundle, ForeignDetector, load_bundle
from tasksr_ros.bundle.import_detector import Import, import_detector
from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import Value

logger = logging.getLogger(__name__)

View = Literal["whole", "tiles", "node"]
"""How images are seen: each as one region; in tiles of the bundle's region size; or as by the node
with its default settings, the band in tiles and the whole image in the near pass."""


@dataclass(frozen=True)
class Public:
    """A detector that anyone can download, and how it is imported.

    Attributes:
        name: in tables.
        file: of the folder of public weights.
        decoder: see ``tasksr import-detector``.
        scale_factor: of the bicubic enlargement before it.
        classes: likewise; one name: the only class.
    """

    name: str
    file: str
    decoder: str
    scale_factor: float = 1.0
    classes: str = "coco"


PICODET = ("picodet_s_416_coco.onnx", "picodet")
PUBLIC = (
    Public("PicoDet-S x1", *PICODET),
    Public("PicoDet-S x1.5", *PICODET, 1.5),
    Public("PicoDet-S x2", *PICODET, 2.0),
    Public("YOLOX-nano x1", "yolox_nano_coco.onnx", "yolox"),
    Public("person-detection-0203", "person-detection-0203.xml", "boxes", classes="person"),
    Public("DEIMv2-Femto", "deimv2_hgnetv2_femto_coco.onnx", "detr"),
)
FUSED = (
    ("PicoDet-S x1.5", "PicoDet-S x2"),
    ("person-detection-0203", "PicoDet-S x2"),
)
"""Fixed beforehand, not chosen by what the yardstick measures: the best single network at its two
best scales, and two networks of different make and training data."""


@dataclass(frozen=True)
class Runner:
    """What is replayed.

    Attributes:
        name: in tables.
        bundle: name or folder.
        ours: whether it is no public row.
        view: how images are seen.
    """

    name: str
    bundle: str
    ours: bool
    view: View


def public_runners(weights: Path, folder: Path) -> list[Runner]:
    """Import the public files, those that are not yet in ``folder``.

    Raises:
        ConfigError: if one of the files is missing.
        TaskSRError: if one cannot be imported.
    """
    missing = [p.file for p in PUBLIC if not (weights / p.file).is_file()]
    if missing:
        raise ConfigError(f"weights must be a folder with {missing[0]}, got {weights}")
    return [Runner(p.name, str(imported(p, weights, folder)), False, "whole") for p in PUBLIC]


def own_runners(bundles: Sequence[str]) -> list[Runner]:
    """Bundles as ``NAME`` or ``FOLDER``, with ``@tiles`` or ``@node`` behind it for another view.

    Raises:
        ConfigError: if two have one name.
    """
    runners = []
    for text in filter(None, bundles):
        view = next((v for v in get_args(View) if text.endswith(f"@{v}")), "whole")
        bundle = text.removesuffix(f"@{view}")
        name = load_bundle(bundle).name + (", as the node" if view == "node" else "")
        runners.append(Runner(name, bundle, True, view))
    names = [r.name for r in runners] + [p.name for p in PUBLIC]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"bundles must have names of their own, got {twice} twice")
    return runners


def imported(public: Public, weights: Path, folder: Path) -> Path:
    """The folder of its bundle, made if it is not there yet."""
    out = folder / slug(public.name)
    if (out / "model.yaml").is_file():
        return out
    classes = public.classes
    if classes != "coco":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classes.txt").write_text(f"{classes}\n", encoding="utf-8")
        classes = str(folder / "classes.txt")
    enlarged = public.scale_factor != 1
    what = Import(
        file=weights / public.file,
        decoder=public.decoder,
        classes=classes,
        keep=("person",),
        sr="bicubic" if enlarged else "none",
        scale_factor=public.scale_factor if enlarged else 2.0,
        out=out,
        command=f"python -m benchmarks.yardstick (tasksr import-detector {public.file})",
    )
    logger.info("%s", import_detector(what))
    return out


def slug(name: str) -> str:
    """A name for files."""
    return name.lower().replace(",", "").replace(" ", "-").replace("+", "and")


def engine_values(runner: Runner, bundle: Bundle, image_size: tuple[int, int]) -> dict[str, Value]:
    """Options for images of at most (width, height): one region, as large as it must be.

    Detectors of one size see tiles, and the whole image reduced to one more in the near pass; what
    is asked to be seen in tiles or as by the node does so as the bundle says.
    """
    if runner.view == "node":
        return {"region.mode": "fixed"}
    fixed = isinstance(bundle.detector, ForeignDetector) and bundle.detector.input.size is not None
    if fixed or runner.view == "tiles":
        return {} if fixed else {"near.width": 0}
    width, height = (region_side(side, bundle.scale_factor) for side in image_size)
    return {"engine.region_width": width, "engine.region_height": height, "near.width": 0}


def region_side(least: int, scale_factor: float) -> int:
    """The smallest side of a region, px, that holds ``least`` and whose SR px the networks take."""
    sides: Iterator[int] = itertools.count(least)
    return next(side for side in sides if side * scale_factor % SIZE_MULTIPLE == 0)
