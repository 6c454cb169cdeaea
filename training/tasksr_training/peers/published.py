"""The peers with the weights that their authors published, read from the files as they are.

| peer | path |
|---|---|
| TOFlow | ``sr.pkl`` of the PyTorch port |
| VSR-DUF | ``params_16L_x4.h5`` and the like; needs h5py |
| IKC | folder with ``SFTMD_latest_G.pth``, ``Predictor_latest_G.pth``, ``Corrector_latest_G.pth`` |
| KOALAnet | TensorFlow's checkpoint, without ``.index``; needs TensorFlow |

A safetensors file of any of them, with the published names, is read as well.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tasksr_training.errors import CheckpointError
from tasksr_training.peers import build
from tasksr_training.peers.build import Sizes

State = dict[str, Tensor]

IKC_PARTS = ("SFTMD", "Predictor", "Corrector")

_BUILDERS: dict[str, tuple[str, Callable[[Sizes], nn.Module]]] = {
    "SpyNet.moduleBasic.": ("TOFlow", build.toflow),
    "Rconv1a/": ("VSR-DUF", build.duf),
    "SFTMD.": ("IKC", build.ikc),
    "SISR_DDF/": ("KOALAnet", build.koalanet),
}
"""By the beginning of a weight's name that only this peer has."""


def load_published(path: Path) -> nn.Module:
    """A peer with published weights; which one and how large, the weights tell.

    Args:
        path: see the table above.

    Returns:
        `TOFlow`, `DUF`, `IKC` or `KOALAnet` in eval mode.

    Raises:
        CheckpointError: for a file that is not there, cannot be read, or holds something else.
    """
    state = read_published(path)
    for beginning, (_, builder) in _BUILDERS.items():
        if any(key.startswith(beginning) for key in state):
            try:
                network = builder(Sizes({}, state))
                network.load_reference_state_dict(state)  # type: ignore[operator]
            except (CheckpointError, ValueError) as error:
                raise CheckpointError(f"{path}: {error}") from error
            return network.eval()
    known = ", ".join(name for name, _ in _BUILDERS.values())
    raise CheckpointError(f"{path}: expected weights of {known}, got {sorted(state)[:3]}")


def read_published(path: Path) -> State:
    """Weights by their published names, without the scopes and endings that differ by file.

    Raises:
        CheckpointError: for a file that is not there or cannot be read.
    """
    if all((path / f"{part}_latest_G.pth").is_file() for part in IKC_PARTS):
        parts = {part: _torch(path / f"{part}_latest_G.pth") for part in IKC_PARTS}
        return {f"{part}.{key}": v for part, state in parts.items() for key, v in state.items()}
    if Path(f"{path}.index").is_file():
        return _tensorflow(path)
    if not path.is_file():
        names = ", ".join(f"{part}_latest_G.pth" for part in IKC_PARTS)
        raise CheckpointError(f"{path}: expected a file of weights, or a folder with {names}")
    reader = _READERS.get(path.suffix, _torch)
    return reader(path)


def read_kernel_basis(path: Path) -> State:
    """IKC's ``pca_matrix.pth``, for `KernelBasis.load_reference_state_dict`."""
    return {"pca_matrix": _unpickled(path, Tensor)}


def _torch(path: Path) -> State:
    state = _unpickled(path, dict)
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _unpickled(path: Path, kind: type) -> Any:
    """Plain tensors only: no code in a pickle is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: expected a file of weights, there is none") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"{path}: expected weights that torch saved, got {reason}") from error
    if not isinstance(content, kind):
        raise CheckpointError(
            f"{path}: expected weights as {kind.__name__}, got {type(content).__name__}"
        )
    return content


def _safetensors(path: Path) -> State:
    try:
        held = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: expected a safetensors file, got {error}") from error
    beginning = "state." if any(key.startswith("state.") for key in held) else ""
    chosen = {key: value for key, value in held.items() if key.startswith(beginning)}
    return {key.removeprefix(beginning): value.float() for key, value in chosen.items()}


def _hdf5(path: Path) -> State:
    """VSR-DUF's: ``G_Rconv1a_W:0`` in the group ``params`` stands for ``G/Rconv1a/W:0``."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise CheckpointError(
            f"{path}: expected h5py to read it, it is not installed: "
            "pip install tasksr-training[peers]"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            if "params" not in file:
                raise CheckpointError(f"{path}: expected the group 'params', got {list(file)}")
            arrays = {key: torch.from_numpy(value[()]) for key, value in file["params"].items()}
    except OSError as error:
        raise CheckpointError(f"{path}: expected an HDF5 file, got {error}") from error
    return {_unescaped(key): value.float() for key, value in arrays.items()}


def _unescaped(key: str) -> str:
    """``_`` is a slash, ``__`` an underscore; without scope and ``:0``."""
    name = re.sub("__?", lambda found: "/" if found[0] == "_" else "_", key)
    return name.removeprefix("G/").removesuffix(":0")


def _tensorflow(path: Path) -> State:
    """KOALAnet's: the kernels and biases, without what its optimizer kept."""
    try:
        from tensorflow import train
    except ModuleNotFoundError:
        raise CheckpointError(
            f"{path}: expected TensorFlow to read its checkpoint, it is not installed: "
            "pip install tensorflow"
        ) from None
    reader = train.load_checkpoint(str(path))
    names = [name for name in reader.get_variable_to_shape_map() if _is_weight(name)]
    return {name: torch.from_numpy(reader.get_tensor(name)).float() for name in names}


def _is_weight(name: str) -> bool:
    return name.startswith(("SISR_DDF/", "SISR_DUF/")) and name.endswith(("/kernel", "/bias"))


_READERS: dict[str, Callable[[Path], State]] = {
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
"""By the ending of a file; others are torch's."""
