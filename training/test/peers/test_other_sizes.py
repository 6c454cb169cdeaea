"""Reference files of other sizes, kinds and layouts than those at hand, made by our networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tasksr_training import cli
from tasksr_training.peers.duf import DUF
from tasksr_training.peers.ikc import SFTMD
from tasksr_training.peers.koalanet import (
    KernelEstimator,
    KOALAnet,
    Upsampler,
    degrade,
    downscaling_kernel,
    gaussian,
)
from tasksr_training.peers.toflow import TOFlow
from torch import Tensor, nn

Case = tuple[str, dict[str, object], dict[str, Tensor], dict[str, str]]


def of_koalanet(network: nn.Module, scope: str = "") -> dict[str, Tensor]:
    """With TensorFlow's names and layouts."""
    state = {}
    for key, value in network.state_dict().items():
        name = f"state.{scope}{key.replace('.', '/').replace('/weight', '/kernel')}"
        state[name] = value.permute(2, 3, 1, 0) if value.ndim == 4 else value
    return state


def of_torch(network: nn.Module) -> dict[str, Tensor]:
    return {f"state.{key}": value for key, value in network.state_dict().items()}


def koala_base() -> Case:
    network, lr = Upsampler(2, 6, 4, 0), torch.rand(1, 3, 8, 12) * 2 - 1
    tensors = {"input.lr": lr.movedim(1, 3), "output.sr": network(lr).movedim(1, 3)}
    sizes = {"kind": "base", "factor": 2, "ch": 6, "n_res": 4, "koala_in_first": 5}
    return "hjSim/KOALAnet@0 x.py", sizes, {**tensors, **of_koalanet(network, "SISR_DUF/")}, {}


def koala_joint() -> Case:
    network = KOALAnet(KernelEstimator(4), Upsampler(2, 4, 3, 2))
    lr = torch.rand(2, 3, 4, 8) * 2 - 1
    sr, kernels = network(lr)
    tensors = {
        "input.lr": lr.movedim(1, 3),
        "output.sr": sr.movedim(1, 3),
        "output.k2d_ds": kernels.movedim(1, 3),
    }
    return "hjSim/KOALAnet@0 x.py", {"kind": "joint"}, {**tensors, **of_koalanet(network)}, {}


def koala_degrade() -> Case:
    blur = gaussian((3.0, 0.7), 0.4)
    hr = torch.randint(0, 256, (1, 24, 32, 3), dtype=torch.uint8)
    kernel = downscaling_kernel(blur)
    symmetric = 2 * (hr.double().movedim(3, 1) / 255) - 1
    tensors = {
        "input.hr_uint8": hr,
        "input.gaussian": blur,
        "output.kernel": kernel,
        "output.lr": degrade(symmetric, kernel, 2).movedim(1, 3),
    }
    return "hjSim/KOALAnet@0 utils.py", {"factor": 2}, tensors, {}


def duf() -> Case:
    network = DUF(3, 28, 5, 2, 7, 6).eval()
    frames = torch.randint(0, 256, (7, 5, 6, 3), dtype=torch.uint8)  # a lone clip without its axis
    names = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    state = {}
    for key, value in network.state_dict().items():
        parts = key.split(".")
        leaf = parts.pop()
        if leaf == "num_batches_tracked":
            continue
        if len(parts) == 3:
            parts = [f"R{parts[2][:-2]}{int(parts[1]) + 1}{parts[2][-1]}"]
        of = (
            {"weight": "gamma", "bias": "beta"}
            if "bn" in parts[0]
            else {"weight": "W", "bias": "b"}
        )
        kept = value.permute(2, 3, 4, 1, 0) if value.ndim == 5 else value
        state[f"state.{parts[0]}/{({**names, **of})[leaf]}"] = kept
    sr = network(frames.movedim(3, 1)[None] / 255).movedim(1, 3)
    tensors = {"input.frames_uint8": frames, "output.sr": sr, **state}
    return "yhjo09/VSR-DUF@0 nets.py", {"L": 28, "scale": 3}, tensors, {}


def sftmd(scale_factor: int) -> Case:
    network = SFTMD(scale_factor, 8, 2, 6, 4)
    lr, code = torch.rand(1, 3, 6, 7), torch.rand(1, 6)
    tensors = {"input.lr": lr, "input.code": code, "output.sr": network(lr, code)}
    half = {key: value.half() for key, value in of_torch(network).items()}
    network.load_state_dict({k.removeprefix("state."): v.float() for k, v in half.items()})
    tensors["output.sr"] = network(lr, code)
    return "yuanjunchai/IKC@0 x.py", {"scale": scale_factor, "nf": 8}, {**tensors, **half}, {}


def toflow(aligned: bool) -> Case:
    network = TOFlow((3, 4, 3, 2), 5, align_corners=aligned)
    frames = torch.rand(1, 7, 3, 36, 40)
    flow, warped = network.align(frames)
    tensors = {
        "input.frames": frames.movedim(2, 4),  # channels last
        "output.flow": flow,
        "output.warped": warped,
        "output.sr": network(frames),
    }
    note = {"align_corners": f"{aligned} for both grid_sample calls, True for the flow"}
    return "Coldog2333/pytoflow@0", {"h": 36}, {**tensors, **of_torch(network)}, note


CASES: dict[str, Callable[[], Case]] = {
    "base": koala_base,
    "joint": koala_joint,
    "degrade": koala_degrade,
    "duf": duf,
    "sftmd_x2": lambda: sftmd(2),
    "sftmd_x3": lambda: sftmd(3),
    "sftmd_x4": lambda: sftmd(4),
    "toflow": lambda: toflow(True),
    "toflow_unaligned": lambda: toflow(False),
}


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_sizes_and_layouts_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    torch.manual_seed(len(name))
    reference, constructor, tensors, more = CASES[name]()
    metadata = {"reference": reference, "constructor": json.dumps(constructor), **more}
    path = tmp_path / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata)
    assert cli.main(["peers", "check", str(path)]) == 0, capsys.readouterr().err
    compared = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()[2:]]
    outputs = {key.removeprefix("output.") for key in tensors if key.startswith("output.")}
    assert set(compared) == outputs
    changed = {key: value.clone().contiguous() for key, value in tensors.items()}
    changed["output." + compared[0]].view(-1)[0] += 1
    save_file(changed, path, metadata)
    assert cli.main(["peers", "check", str(path)]) == 1
