"""The peers trained by our command, and compared by it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from tasksr_training import cli
from tasksr_training.blur_kernels import BlurConfig, draw_kernels
from tasksr_training.checkpoints import load_network
from tasksr_training.degradations import degrade
from tasksr_training.errors import TrainingError
from tasksr_training.peers.koalanet import reconstructed
from tasksr_training.peers.systems import IKCSystem, KOALAnetSystem, build_peer
from tasksr_training.peers.toflow import TOFlow
from tasksr_training.stages.blind_peers import (
    ikc_losses,
    koalanet_losses,
    whole_kernels,
)
from tasksr_training.stages.super_resolution import (
    SuperResolutionConfig,
    check_options,
    check_patch_size,
)
from tasksr_training.studies import compare_sr
from torch import Tensor, nn

TOFLOW = {"sr_width": 4}
DUF = {"f0": 4, "growth": 2, "head": 8, "filter_hidden": 8}
IKC = {"nf": 4, "num_blocks": 1, "sft_hidden": 4, "steps": 2, "kernel_size": 5}
KOALA = {"ch": 4, "num_blocks": 2, "num_koala": 1}
BLUR = {"kernel_size": 5, "length": [1, 4], "radius": [0.5, 2], "turn_weight": 0}


def trained(data: Path, out: Path, network: str, options: dict[str, int], blind: bool) -> None:
    config = {
        "data": str(data),
        "out": str(out),
        "sources": [{"path": "train.json"}],
        "patches": {"size": 32, "min_height": 12, "max_height": 30},
        "stage": {
            "network": network, "options": options, "scale_factor": 2,
            "validation": ["images"], "validation_side": 32, "blur": BLUR if blind else None,
        },
        "loop": {
            "max_steps": 6, "batch_size": 2, "warmup_steps": 1, "accelerator": "cpu", "threads": 1,
        },
        "clips": {"margin": 2, "max_shift": 1.0},
    }  # fmt: skip
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    assert cli.main(["super-resolution", "--config", str(path)]) == 0


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each peer, and published weights of one."""
    folder = tmp_path_factory.mktemp("runs")
    trained(data, folder / "toflow", "toflow-small", TOFLOW, blind=False)
    trained(data, folder / "duf", "duf-small", DUF, blind=False)
    trained(data, folder / "ikc", "ikc-small", IKC, blind=True)
    trained(data, folder / "koalanet", "koalanet-small", KOALA, blind=True)
    state = TOFlow((2, 2, 2, 2), 2).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "toflow.safetensors")
    return folder


def test_each_peer_can_be_trained(runs: Path) -> None:
    for name in ("toflow", "duf", "ikc", "koalanet"):
        lines = (runs / name / "log.jsonl").read_text().splitlines()
        last = json.loads(lines[-1])
        assert last["step"] == 6 and 5 < last["val/psnr_y/images"] < 60, name
    network, description = load_network(runs / "ikc", "sr")
    assert description == {"name": "ikc-small", "scale_factor": 2, **IKC}
    assert isinstance(network, IKCSystem)
    matrix = network.basis.pca_matrix  # found from the blurs, kept with the weights
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(10), atol=1e-4, rtol=0)


def test_peers_are_compared_with_ours(
    data: Path,
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pictures and tables of the report's figures 2 and 3, by one command."""
    monkeypatch.setattr(compare_sr, "COST_HW", (8, 16))
    quote = {"system": "VSR-DUF", "figure": "27.33", "protocol": "Vid4 x4", "source": "a paper"}
    systems = [
        {"name": "bicubic"},
        {"name": "TOFlow", "run": "toflow"},
        {"name": "TOFlow, theirs", "published": "toflow.safetensors"},
        {"name": "VSR-DUF", "run": "duf"},
    ]
    video = {
        "title": "Video", "scale_factor": 2, "systems": systems, "quotes": [quote],
        "sets": [{"path": "images", "name": "drive", "side": 32, "sequence": True, "most": 3}],
    }  # fmt: skip
    blind = {
        "title": "Blur", "scale_factor": 2, "blur": BLUR,
        "systems": [{"name": n, "run": n} for n in ("ikc", "koalanet")],
        "sets": [{"path": "images", "side": 36, "most": 2}],
    }  # fmt: skip
    config = tmp_path / "compare.yaml"
    config.write_text(yaml.safe_dump({"comparisons": [video, blind]}))
    out = tmp_path / "out"
    arguments = [f"--config={config}", f"--data={data}", f"--runs={runs}", f"--out={out}"]
    assert cli.main(["compare-sr", *arguments]) == 0
    table = capsys.readouterr().out
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in table.splitlines()}
    assert rows["TOFlow, theirs"][4] == "published weights" and rows["TOFlow"][4] == "6"
    assert "| VSR-DUF | 27.33 | Vid4 x4 | a paper |" in table
    written = json.loads((out / "compare_sr.json").read_text())["comparisons"]
    assert all(row["cost"]["gmac"] > 0 for row in written[1]["rows"])
    for picture in ("compare_sr.png", "panel_01.png", "panel_02.png"):
        assert np.std(cv2.imread(str(out / picture))) > 1


def test_a_row_has_one_source_of_weights(
    data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"name": "both", "run": "toflow", "published": "toflow.safetensors"}
    gone = {"name": "gone", "published": "none.pth"}
    for system, said in (
        (both, "run or published, got both"),
        (gone, "expected a file of weights"),
    ):
        one = {"title": "T", "scale_factor": 2, "systems": [system], "sets": [{"path": "images"}]}
        config = tmp_path / "compare.yaml"
        config.write_text(yaml.safe_dump({"comparisons": [one]}))
        options = [f"--config={config}", f"--data={data}", f"--runs={runs}", f"--out={tmp_path}"]
        assert cli.main(["compare-sr", *options]) == 1
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("scale_factor", [2, 4])
def test_whole_kernels_do_what_the_degradation_does(scale_factor: int) -> None:
    torch.manual_seed(scale_factor)
    hr = torch.rand(2, 3, 24 * scale_factor, 20 * scale_factor)
    kernels = draw_kernels(BlurConfig(), 2, seed=scale_factor)[0]
    size = 4 * scale_factor + 10
    whole = whole_kernels(kernels, scale_factor, size)
    assert whole.shape == (2, size, size)
    each = whole.flatten(1)[:, :, None, None].expand(-1, -1, 24, 20)
    inner = (..., slice(8, -8), slice(8, -8))
    again = reconstructed(hr, each, scale_factor)[inner]
    expected = degrade(hr, kernels, scale_factor)[inner]
    assert (again - expected).abs().max() < 0.51 / 255  # rounding to 8 bits


def learning(network: nn.Module, losses: dict[str, Tensor]) -> set[str]:
    """The parts of a peer that the total teaches."""
    network.zero_grad()
    losses["total"].backward()
    named = network.get_submodule("network").named_parameters()
    return {name.split(".")[0] for name, p in named if p.grad is not None}


def test_what_ikc_learns_when() -> None:
    system = build_peer("ikc-small", 2, **IKC)
    assert isinstance(system, IKCSystem)
    lr, hr, kernels = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), torch.rand(2, 5, 5)
    first = ikc_losses(system, lr, hr, kernels, of_image=True)
    assert learning(system, first) == {"SFTMD"}
    second = ikc_losses(system, lr, hr, kernels, of_image=False)
    assert learning(system, second) == {"Predictor", "Corrector"}
    code = system.basis(kernels)
    expected = (system.network.Predictor(lr) - code).square().mean()
    torch.testing.assert_close(second["predictor"], expected)


def test_what_koalanet_learns_when() -> None:
    system = build_peer("koalanet-small", 2, **KOALA)
    assert isinstance(system, KOALAnetSystem)
    lr, hr, true = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), torch.rand(2, 20, 20)
    kernels = koalanet_losses(system, lr, hr, true, of_kernels=True, of_image=False)
    assert learning(system, kernels) == {"SISR_DDF"} and kernels.keys() == {"total", "lr", "kernel"}
    baseline = koalanet_losses(system, lr, hr, true, of_kernels=False, of_image=True)
    assert learning(system, baseline) == {"SISR_DUF"}
    adapted = system.network.SISR_DUF.KOALA_module
    assert all(p.grad is None for p in adapted.parameters())
    both = koalanet_losses(system, lr, hr, true, of_kernels=True, of_image=True)
    assert learning(system, both) == {"SISR_DDF", "SISR_DUF"}
    assert all(p.grad is not None for p in adapted.parameters())
    torch.testing.assert_close(both["total"], both["lr"] + both["kernel"] + both["hr"])


def test_blind_peers_need_blurs_and_codes_of_their_size() -> None:
    with pytest.raises(TrainingError, match=r"expected stage\.blur for the blind network koalanet"):
        check_options(SuperResolutionConfig(network="koalanet"))
    blur = BlurConfig(kernel_size=11)
    with pytest.raises(TrainingError, match=r"kernel_size 11, that of stage\.blur, got 21"):
        check_options(SuperResolutionConfig(network="ikc", blur=blur))
    check_options(SuperResolutionConfig(network="ikc", options={"kernel_size": 11}, blur=blur))
    koalanet = SuperResolutionConfig(network="koalanet", blur=blur)
    check_patch_size(koalanet, 64)
    with pytest.raises(TrainingError, match="expected a multiple of 16 px"):
        check_patch_size(koalanet, 72)


def test_the_shipped_comparison_is_of_the_documented_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).resolve().parents[3]
    path = root / "training" / "configs" / "compare_sr_peers.yaml"
    comparisons = yaml.safe_load(path.read_text())["comparisons"]
    runs = [s["run"] for c in comparisons for s in c["systems"] if "run" in s]
    text = (root / "docs" / "PEERS.md").read_text()
    assert len(runs) == 7 and [run for run in runs if run not in text] == []
    assert len(comparisons[0]["quotes"]) == 5
    options = [f"--{name}={tmp_path}" for name in ("data", "runs", "out")]
    assert cli.main(["compare-sr", f"--config={path}", *options]) == 1
    assert "toflow-small: expected a checkpoint, there is none" in capsys.readouterr().err
