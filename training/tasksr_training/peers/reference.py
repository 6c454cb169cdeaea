"""Files of reference outputs: a published network's weights, inputs and what it made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tasksr_training.errors import CheckpointError

PARTS = ("state", "input", "output")
BYTES = "_uint8"
"""Ends the name of an input of bytes, which are divided by 255."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What such a file holds.

    Attributes:
        path: of the file.
        source: repository, commit and file of the published code.
        metadata: all of it, as text.
        constructor: the sizes, by the names of the published code.
        state: weights by their published names, float32.
        inputs: by name, float32; those of bytes in [0, 1].
        outputs: by name, float32.
        of_bytes: the inputs that were bytes.
    """

    path: Path
    source: str
    metadata: Mapping[str, str]
    constructor: Mapping[str, Any]
    state: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    of_bytes: frozenset[str] = frozenset()

    def input(self, *names: str) -> Tensor:
        """The first input there is of these names.

        Raises:
            CheckpointError: where there is none.
        """
        for name in names:
            if name in self.inputs:
                return self.inputs[name]
        raise CheckpointError(f"expected input.{names[0]}, got {sorted(self.inputs)}")

    def images(self, *names: str, axes: str) -> Tensor:
        """An input as images with the channels before height and width.

        Args:
            names: see `input`.
            axes: as the file's layout has them, "NCHW", "NTHWC" …; a missing first one is added.

        Raises:
            CheckpointError: for an input of other axes.
        """
        x = self.input(*names)
        if x.ndim == len(axes) - 1:
            x = x[None]
        if x.ndim != len(axes):
            raise CheckpointError(
                f"expected input.{names[0]} of axes {axes}, got shape {tuple(x.shape)}"
            )
        last = axes.endswith("HWC")
        if x.shape[-1 if last else -3] != 3 and x.shape[-3 if last else -1] == 3:
            last = not last
        return x.movedim(-1, -3).contiguous() if last else x


def read_reference(path: Path) -> Reference:
    """Read a file of reference outputs.

    Raises:
        CheckpointError: for one that is not there, is no safetensors file, or lacks something.
    """
    if not path.is_file():
        raise CheckpointError("expected a safetensors file, there is none")
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"expected a safetensors file, got {error}") from error
    if "reference" not in metadata or "constructor" not in metadata:
        raise CheckpointError(
            f"expected metadata 'reference' and 'constructor', got {sorted(metadata)}"
        )
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    of_bytes = set()
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        if part not in parts or not name:
            raise CheckpointError(f"expected names state.*, input.*, output.*, got {key}")
        content = value.float()
        if part == "input" and name.endswith(BYTES):
            name, content = name.removesuffix(BYTES), content / 255
            of_bytes.add(name)
        parts[part][name] = content
    if not parts["output"]:
        raise CheckpointError("expected outputs to compare with, got none")
    return Reference(
        path,
        metadata["reference"],
        metadata,
        _constructor(metadata["constructor"]),
        *(parts[part] for part in PARTS),
        frozenset(of_bytes),
    )


@contextmanager
def watched(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What these modules give while the context lasts, by the same names."""
    seen: dict[str, Tensor] = {}

    def remember(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(lambda *call: seen.update({name: call[2]}))

    handles = [remember(name, module) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _constructor(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"expected JSON as metadata 'constructor', got {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a mapping as metadata 'constructor', got {content!r}")
    return content
