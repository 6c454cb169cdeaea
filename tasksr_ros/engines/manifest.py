"""What a compiled engine was made from, where and with what: the manifest beside its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 2
_MAX_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The GPU and the libraries that an engine is compiled for.

    Attributes:
        gpu: the GPU's name.
        compute_capability: for example "9.0".
        torch: version.
        torch_tensorrt: version.
        tensorrt: version.
    """

    gpu: str
    compute_capability: str
    torch: str
    torch_tensorrt: str
    tensorrt: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Everything that a compiled engine depends on; with any of it changed it is another engine.

    Attributes:
        bundle: its name.
        bundle_sha256: of its networks, options and weights.
        code_sha256: of the code that defines the networks.
        region_width: in region px.
        region_height: in region px.
        graph: form of the super-resolution network: reference or lr_space.
        precision: fp32, fp16, bf16 or int8.
        max_batch: of the batch sizes that were asked for.
        machine: that it was made on.
    """

    bundle: str
    bundle_sha256: str
    code_sha256: str
    region_width: int
    region_height: int
    graph: str
    precision: str
    max_batch: int
    machine: Machine

    def differences(self, other: Origin) -> list[str]:
        """What of ``other`` is not as here, each as "gpu NVIDIA H200, got Orin"."""
        mine, theirs = _flat(self), _flat(other)
        return [
            f"{name} {_short(mine[name])}, got {_short(theirs[name])}"
            for name in mine
            if mine[name] != theirs[name]
        ]


@dataclass(frozen=True, kw_only=True)
class EngineFile:
    """The compiled networks for one batch size.

    Attributes:
        name: of the file beside the manifest.
        batch: number of regions of a call.
        num_bytes: of the file.
        sha256: hex digest of the file.
    """

    name: str
    batch: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of an engine.

    Attributes:
        origin: what the engine depends on.
        driver: version of the GPU's driver; an engine outlives it.
        built: when, in UTC.
        score_difference: greatest difference of a score from the torch engine's in fp32, on
            generated images; see `verification`.
        box_difference: the same of a likely box's side, SR px.
        files: by batch size, ascending.
    """

    origin: Origin
    driver: str
    built: str
    score_difference: float
    box_difference: float
    files: tuple[EngineFile, ...]


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write it into an engine's folder."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read an engine's manifest.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no manifest of this format.
    """
    with (folder / MANIFEST).open("rb") as file:
        data = file.read(_MAX_BYTES)
    values = json.loads(data)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"{MANIFEST} is not of format {FORMAT}")
    try:
        origin = dict(values.pop("origin"))
        origin["machine"] = _typed(Machine, origin["machine"])
        files = tuple(_typed(EngineFile, file) for file in values.pop("files"))
        manifest: Manifest = _typed(
            Manifest, {**values, "origin": _typed(Origin, origin), "files": files}
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} has wrong values: {error}") from None
    return manifest


def _typed(kind: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass of JSON's values; TypeError where names or simple types differ."""
    made = kind(**values)
    simple: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    for field in fields(kind):
        value, wanted = values[field.name], simple.get(str(field.type))
        if wanted is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise TypeError(f"{field.name} must be {field.type}, got {value!r}")
    return made


def _flat(origin: Origin) -> dict[str, Any]:
    values = asdict(origin)
    return {**values.pop("machine"), **values}


def _short(value: object) -> str:
    """A hash by its beginning."""
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
