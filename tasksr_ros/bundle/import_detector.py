"""A detector that others made becomes a bundle: ``tasksr import-detector``."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.bundle.description import SuperResolutionBundle
from tasksr_ros.bundle.files import find_bundle, load_any_bundle, load_bundle
from tasksr_ros.bundle.labels import read_labels
from tasksr_ros.bundle.save import save_bundle
from tasksr_ros.engines.openvino_detector import Detector, check_finite, read_detector
from tasksr_ros.errors import BundleError, ConfigError, EngineError
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.decoders import DECODERS, build_decoder, fitting

logger = logging.getLogger(__name__)

REGION = (640, 384)
"""Size in SR px of what a detector for any size sees at once, unless its owner says otherwise."""
_MULTIPLE = 32


@dataclass(frozen=True, kw_only=True)
class Import:
    """What a detector's owner says of it.

    Attributes:
        file: ONNX, or OpenVINO's .xml beside its .bin.
        decoder: name of what makes boxes of its outputs.
        classes: the names of its classes; see `labels.read_labels`.
        keep: those that count; empty: all.
        out: folder of the bundle.
        sr: what lies before it: none, the name of a super-resolution network without weights
            (bicubic), or a bundle whose network is taken.
        scale_factor: of bicubic.
        region: (width, height) in region px of what it sees at once; None: its own size, or
            ``REGION``.
        channels: rgb or bgr; empty: as detectors of this decoder take them.
        mean: of each channel, 0 to 255; None: likewise.
        std: of each channel; None: likewise.
        score_threshold: least score of a detection.
        decoder_options: of the decoder, as texts.
        command: as typed, for the card.
    """

    file: Path
    decoder: str
    classes: str
    out: Path
    keep: Sequence[str] = ()
    sr: str = "none"
    scale_factor: float = 2.0
    region: tuple[int, int] | None = None
    channels: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    score_threshold: float = 0.3
    decoder_options: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


def import_detector(what: Import) -> str:
    """Write a bundle of another's detector, and run it once.

    Returns:
        What was found in the file, for people.

    Raises:
        BundleError: if the file or what was said of it does not serve; one line.
        EngineError: if it cannot be run here.
        ConfigError: for unknown classes or options.
    """
    if what.decoder not in DECODERS:
        known = ", ".join(DECODERS)
        raise ConfigError(f"decoder must be one of {known}, got {what.decoder!r}")
    names = read_labels(what.classes)
    kept = list(what.keep) or list(names.values())
    for name in kept:
        if name not in names.values():
            raise ConfigError(f"keep must be of {what.classes}'s classes, got {name!r}")
    labels = [next(number for number, n in names.items() if n == name) for name in kept]
    with tempfile.TemporaryDirectory() as folder:
        files, detector = _prepared(what.file, Path(folder))
        options = _options(what.decoder_options)
        options, reads = _decoder(what, detector, labels, options, names)
        before = _super_resolution(what)
        description = _described(what, detector, before, kept, labels, options)
        sr = None if before is None else _network(before)
        save_bundle(what.out, description, _card(what, detector, reads), sr=sr, detector=files)
    return _tried(what.out, reads)


def _prepared(file: Path, folder: Path) -> tuple[list[Path], Detector]:
    """The files to keep, in ``folder``, and the graph; made to take any size where that works."""
    if file.suffix.lower() == ".xml":
        weights = file.with_suffix(".bin")
        for path in (file, weights):
            if not path.is_file():
                raise BundleError(f"{path}: missing")
        detector = read_detector(file)
        check_finite(detector, file)
        return [file, weights], detector
    if file.suffix.lower() != ".onnx":
        raise BundleError(f"{file}: expected an .onnx file, or OpenVINO's .xml, got another")
    import onnx

    from tasksr_ros.bundle.onnx_file import free_size, image_input, read_onnx

    model = read_onnx(file)
    try:
        image_input(model)
    except BundleError as error:
        raise BundleError(f"{file}: {error}") from None
    target = folder / file.name
    onnx.save(model, target)
    own = read_detector(target)
    if own.fixed:
        freed = folder / f"free-{file.name}"
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        free_size(copy)
        onnx.save(copy, freed)
        if _takes_any_size(freed, own):
            freed.replace(target)
            own = read_detector(target, own.size)
    return [target], own


def _takes_any_size(file: Path, own: Detector) -> bool:
    """Whether a freed network gives what it gave at its own size, and runs at another."""
    width, height = own.size
    try:
        again = read_detector(file, own.size)
        larger = read_detector(file, (width + 2 * _MULTIPLE, height + _MULTIPLE))
        image = np.full(again.shape, 114, np.float32)
        before, after = own.run(image), again.run(image)
        larger.run(np.full(larger.shape, 114, np.float32))
    except (EngineError, RuntimeError):
        return False
    same = all(np.allclose(a, b, atol=1e-3) for a, b in zip(before, after, strict=True))
    return same and larger.signature.outputs != own.signature.outputs


def _options(given: Mapping[str, str]) -> dict[str, Any]:
    """Options of a decoder from texts."""
    known = {"true": True, "false": False}
    found: dict[str, Any] = {}
    for name, text in given.items():
        try:
            found[name] = known[text] if text in known else float(text)
        except ValueError:
            found[name] = text
        if isinstance(found[name], float) and found[name].is_integer():
            found[name] = int(found[name])
    return found


def _decoder(
    what: Import,
    detector: Detector,
    labels: Sequence[int],
    options: dict[str, Any],
    names: Mapping[int, str],
) -> tuple[dict[str, Any], str]:
    """The decoder's options, and what it read from the outputs."""
    try:
        decoder = build_decoder(what.decoder, detector.signature, labels, options)
    except ValueError as error:
        fit = fitting(detector.signature, len(names))
        others = [name for name in fit if name != what.decoder]
        would = f"; decoders that would fit: {', '.join(others) or 'none'}"
        raise BundleError(f"{what.file}: decoder {what.decoder} {error}{would}") from None
    if decoder.num_labels and decoder.num_labels != len(names):
        raise BundleError(
            f"{what.file}: expected {decoder.num_labels} classes, as its outputs have, "
            f"got {len(names)} of {what.classes}"
        )
    if what.decoder == "yolox" and "decoded" not in options:
        options["decoded"] = _is_decoded(detector)
    return options, decoder.reads


def _is_decoded(detector: Detector) -> bool:
    """Whether YOLOX's boxes are in px: then the centres of an empty image spread over all of it."""
    (output,) = detector.run(np.full(detector.shape, 114, np.float32))
    return bool(np.ptp(output[0, :, 0]) > detector.size[0] / 2)


def _super_resolution(what: Import) -> SuperResolutionBundle | float | None:
    """A bundle whose network is taken, bicubic's scale factor, or None."""
    if what.sr == "none":
        return None
    if what.sr == "bicubic":
        if not 1 < what.scale_factor <= 8:
            raise ConfigError(
                f"scale-factor must be more than 1 and at most 8, got {what.scale_factor:g}"
            )
        return float(what.scale_factor)
    bundle = load_any_bundle(find_bundle(what.sr))
    if bundle.sr is None:
        raise BundleError(
            f"sr must be none, bicubic or a bundle with super-resolution, got {what.sr}, which has "
            "none"
        )
    return bundle


def _network(before: SuperResolutionBundle | float) -> Any:
    return build_sr("bicubic", before) if isinstance(before, float) else before.load_sr()


def _described(
    what: Import,
    detector: Detector,
    before: SuperResolutionBundle | float | None,
    kept: Sequence[str],
    labels: Sequence[int],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    usual = DECODERS[what.decoder]
    taken: dict[str, Any] = {
        "channels": what.channels or usual.channels,
        "mean": list(what.mean or usual.mean),
        "std": list(what.std or usual.std),
        "layout": detector.layout,
    }
    taken |= {"size": list(detector.size)} if detector.fixed else {"size_multiple": _MULTIPLE}
    sr: Any = "none"
    factor = 1.0
    if isinstance(before, float):
        sr, factor = {"network": "bicubic", "scale_factor": before}, before
    elif before is not None and before.sr is not None:
        factor = before.sr.scale_factor
        sr = {
            "network": before.sr.network,
            "scale_factor": factor,
            "options": dict(before.sr.options),
        }
    seen = detector.size if detector.fixed else REGION
    return {
        "name": what.out.resolve().name,
        "sr": sr,
        "detector": {
            "decoder": what.decoder,
            "decoder_options": dict(options),
            "labels": list(labels),
            "input": taken,
        },
        "classes": list(kept),
        "region_size": list(what.region or (_side(side, factor, detector) for side in seen)),
        "score_threshold": float(what.score_threshold),
        "recipe": {"imported_from": what.file.name, "command": what.command},
    }


def _side(seen: int, factor: float, detector: Detector) -> int:
    """Region px of about ``seen`` SR px, as many as the detector takes of where it takes any."""
    most = int(seen / factor)
    fitting = (side for side in range(most, 0, -1) if side * factor % _MULTIPLE == 0)
    return most if detector.fixed else next(fitting, most)


def _card(what: Import, detector: Detector, reads: str) -> str:
    size = "x".join(map(str, detector.size)) if detector.fixed else "any multiple of 32"
    return f"""# {what.out.resolve().name}

The detector `{what.file.name}`, which others made, with decoder `{what.decoder}` ({reads}); images
of {size} px; before it: {what.sr}. Its licence and its data are its owner's to say.

```
{what.command or "tasksr import-detector"}
```
"""


def _tried(folder: Path, reads: str) -> str:
    """Run the bundle once; what it is, for people."""
    from tasksr_ros.model import load_model

    try:
        model = load_model(folder)
    except EngineError as error:
        raise BundleError(f"{folder}: written, but it does not run here: {error}") from None
    bundle = load_bundle(folder)
    width, height = bundle.region_size
    sr = bundle.sr
    before = "no super-resolution" if sr is None else f"{sr.network} x{sr.scale_factor:g}"
    return (
        f"{folder}: {reads}; keeps {', '.join(bundle.classes)}; {before}; "
        f"regions of {width}x{height} px; runs in {model.engine.name}"
    )
