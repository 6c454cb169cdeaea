"""Files of weights as others published them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tasksr_training.errors import CheckpointError
from tasksr_training.peers.duf import DUF
from tasksr_training.peers.ikc import IKC, SFTMD, Corrector, KernelBasis, Predictor
from tasksr_training.peers.koalanet import KernelEstimator, KOALAnet, Upsampler
from tasksr_training.peers.published import load_published, read_kernel_basis
from tasksr_training.peers.toflow import TOFlow
from torch import Tensor, nn

TENSORFLOW = {
    "weight": "W",
    "bias": "b",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def same(one: nn.Module, other: nn.Module) -> None:
    assert type(one) is type(other)
    assert one.state_dict().keys() == other.state_dict().keys()
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[key], atol=0, rtol=0, msg=key)


@pytest.mark.parametrize("zipped", [True, False])
def test_toflow_from_a_pickle(tmp_path: Path, zipped: bool) -> None:
    network = TOFlow((4, 5, 6, 3), 7)
    extra = {"ResNet.conv_3x2_64_9x9.weight": torch.ones(7, 6, 9, 9)}  # its interpolation
    state = {f"module.{key}": value for key, value in {**network.state_dict(), **extra}.items()}
    torch.save(state, tmp_path / "sr.pkl", _use_new_zipfile_serialization=zipped)
    loaded = load_published(tmp_path / "sr.pkl")
    same(loaded, network)
    assert not loaded.training


def duf_arrays(network: DUF) -> dict[str, np.ndarray]:
    """As the authors' files have them: layout (t, h, w, in, out), slashes and underscores."""
    arrays = {}
    for name, module in network.named_modules():
        parts = name.split(".")
        own = f"R{parts[2][:-2]}{int(parts[1]) + 1}{parts[2][-1]}" if len(parts) == 3 else name
        for leaf, value in (
            *module.named_parameters(recurse=False),
            *module.named_buffers("", False),
        ):
            if leaf == "num_batches_tracked":
                continue
            of_norm = {"weight": "gamma", "bias": "beta"}
            names = {**TENSORFLOW, **of_norm} if isinstance(module, nn.BatchNorm3d) else TENSORFLOW
            array = value.detach().numpy()
            array = array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array
            arrays[f"G_{own}_{names[leaf].replace('_', '__')}:0"] = array
    return arrays


@pytest.mark.parametrize(("num_layers", "scale_factor"), [(16, 3), (10, 2)])
def test_duf_from_hdf5(tmp_path: Path, num_layers: int, scale_factor: int) -> None:
    network = DUF(scale_factor, num_layers, f0=4, growth=2, head=6, filter_hidden=5)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value))
    arrays = duf_arrays(network)
    assert {"G_Rbn1a_moving__mean:0", "G_Rconv3b_W:0", "G_fconv2_b:0"} <= arrays.keys()
    with h5py.File(tmp_path / "params.h5", "w") as file:
        group = file.create_group("params")
        for name, array in {**arrays, "G_filter__localexpand:0": np.eye(25)}.items():
            group[name] = array
    same(load_published(tmp_path / "params.h5"), network)


def test_ikc_from_a_folder(tmp_path: Path) -> None:
    network = IKC(SFTMD(3, 4, 2, 8, 3), Predictor(5, 8), Corrector(6, 8))
    for part in ("SFTMD", "Predictor", "Corrector"):
        state = dict(network.get_submodule(part).state_dict())
        if part == "SFTMD":
            state["sft_branch.0.conv1.weight"] = torch.ones(1)
        torch.save(state, tmp_path / f"{part}_latest_G.pth")
    same(load_published(tmp_path), network)


def test_the_kernel_basis(tmp_path: Path) -> None:
    torch.save(torch.rand(441, 10), tmp_path / "pca_matrix.pth")
    basis = KernelBasis()
    basis.load_reference_state_dict(read_kernel_basis(tmp_path / "pca_matrix.pth"))
    assert torch.equal(basis.pca_matrix, torch.load(tmp_path / "pca_matrix.pth", weights_only=True))


def koala_tensors(network: KOALAnet) -> dict[str, Tensor]:
    tensors = {}
    for key, value in network.state_dict().items():
        name = key.replace(".", "/").replace("/weight", "/kernel")
        tensors[name] = value.permute(2, 3, 1, 0).contiguous() if value.ndim == 4 else value
    return tensors


def narrow_koala() -> KOALAnet:
    return KOALAnet(KernelEstimator(4, 6), Upsampler(2, 4, 3, 1, 6, 3))


def test_koalanet_from_safetensors(tmp_path: Path) -> None:
    network = narrow_koala()
    save_file(koala_tensors(network), tmp_path / "koala.safetensors")
    same(load_published(tmp_path / "koala.safetensors"), network)


def test_koalanet_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for TensorFlow's reader: what is asked of it, and what is left out."""
    network, path = narrow_koala(), tmp_path / "model-200000"
    (tmp_path / "model-200000.index").touch()
    held = {**koala_tensors(network), "global_step": torch.ones(())}
    held["SISR_DDF/conv2d/kernel/Adam"] = torch.ones(1)
    reader = SimpleNamespace(
        get_variable_to_shape_map=lambda: {name: list(v.shape) for name, v in held.items()},
        get_tensor=lambda name: held[name].numpy(),
    )
    asked = []
    module = ModuleType("tensorflow")
    module.train = SimpleNamespace(load_checkpoint=lambda p: asked.append(p) or reader)
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    same(load_published(path), network)
    assert asked == [os.fspath(path)]


def test_what_reads_a_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.index").touch()
    (tmp_path / "params.h5").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(CheckpointError, match="pip install tensorflow"):
        load_published(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match=r"pip install tasksr-training\[peers\]"):
        load_published(tmp_path / "params.h5")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("ran",))


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.h5").write_text("no weights")
    Path("text.pth").write_text("no weights")
    Path("text.safetensors").write_text("no weights")
    torch.save({"x": Evil()}, "evil.pth")
    torch.save([1], "list.pth")
    torch.save({"conv.weight": torch.ones(1)}, "other.pth")
    save_file({"Rconv1a/W": torch.ones(1, 1, 1, 4, 4)}, "part.safetensors")
    with h5py.File("empty.h5", "w") as file:
        file.create_group("weights")
    for name, said in {
        "none.pth": "expected a file of weights, or a folder with SFTMD_latest_G.pth",
        ".": "expected a file of weights, or a folder with SFTMD_latest_G.pth",
        "text.h5": "text.h5: expected an HDF5 file",
        "empty.h5": r"expected the group 'params', got \['weights'\]",
        "text.pth": "text.pth: expected weights that torch saved",
        "text.safetensors": "expected a safetensors file",
        "evil.pth": "evil.pth: expected weights that torch saved",
        "list.pth": "expected weights as dict, got list",
        "other.pth": r"weights of TOFlow, VSR-DUF, IKC, KOALAnet, got \['conv.weight'\]",
        "part.safetensors": "part.safetensors: missing: ",
    }.items():
        with pytest.raises(CheckpointError, match=said):
            load_published(Path(name))
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["IKC_loop_x4_narrow_7steps", "KOALA_joint_x4_narrow"])
def test_reference_files_tell_their_sizes_themselves(shared: Path, name: str) -> None:
    path = shared / "peers" / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"no {name} in ../shared/peers")
    numbers = sum(v.numel() for k, v in load_file(path).items() if k.startswith("state."))
    assert sum(p.numel() for p in load_published(path).parameters()) == numbers
