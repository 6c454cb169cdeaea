"""`tasksr-train peers check`: our networks beside reference outputs of the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tasksr_training import cli
from tasksr_training.peers.check import Difference, differences
from tasksr_training.peers.reference import read_reference
from torch import Tensor

REFERENCES = (
    "DUF_16L_x4_narrow",
    "DUF_28L_x4_narrow",
    "DUF_downsample_x4",
    "IKC_Corrector_narrow",
    "IKC_Predictor_narrow",
    "IKC_SFTMD_x4_narrow_noclamp",
    "IKC_loop_x4_narrow_7steps",
    "IKC_pca_published",
    "KOALA_down_narrow",
    "KOALA_joint_x4_narrow",
    "TOFLOW_x4_narrow_4lev",
)
SIZES = {"in_nc": 3, "nf": 4, "code_len": 10}
CHANNELS = (3, 4, 4, 4, 4, 4, 10)

Write = Callable[..., Path]


@pytest.mark.parametrize("name", REFERENCES)
def test_outputs_are_the_published_ones(shared: Path, name: str) -> None:
    path = shared / "peers" / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"no {name} in ../shared/peers")
    found = differences(read_reference(path))
    assert found
    # flows that sample images amplify rounding
    limits = {d.output: 2e-5 if name.startswith("TOFLOW") else 3e-6 for d in found}
    assert {d.output: d.relative for d in found if d.relative > limits[d.output]} == {}


def predictor_tensors() -> dict[str, Tensor]:
    """A predictor whose code is ten times 0.5: only its last bias is not 0."""
    tensors = {"input.lr": torch.rand(1, 3, 8, 8), "output.code": torch.full((1, 10), 0.5)}
    tensors["output.code"][0, 0] = 1.5
    for layer, (before, after) in enumerate(pairwise(CHANNELS)):
        tensors[f"state.ConvNet.{2 * layer}.weight"] = torch.zeros(after, before, 5, 5)
        tensors[f"state.ConvNet.{2 * layer}.bias"] = torch.zeros(after)
    tensors["state.ConvNet.10.bias"] = tensors["output.code"][0].clone()
    return tensors


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file of a predictor, changed."""

    def written(
        name: str = "ours",
        change: Callable[[dict[str, Tensor]], object] = lambda tensors: None,
        reference: str = "someone/IKC@0000000 sftmd_arch.py",
        constructor: str = json.dumps(SIZES),
    ) -> Path:
        tensors = predictor_tensors()
        change(tensors)
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path, {"reference": reference, "constructor": constructor})
        return path

    return written


def test_equal_outputs(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["peers", "check", str(write())]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| file | output | largest difference, of the range |",
        "| --- | --- | --- |",
        "| ours.safetensors | code | 0.0e+00 |",
    ]


def test_sizes_that_the_metadata_lack_are_those_of_the_weights(write: Write) -> None:
    assert cli.main(["peers", "check", str(write(constructor="{}"))]) == 0


def test_weights_of_half_precision_are_taken(write: Write) -> None:
    def halve(tensors: dict[str, Tensor]) -> None:
        tensors.update({k: v.half() for k, v in tensors.items() if k.startswith("state.")})

    assert cli.main(["peers", "check", str(write(change=halve))]) == 0


@pytest.mark.parametrize(
    ("off", "said", "status"), [(5e-5, "5.0e-05", 0), (2e-4, "2.0e-04, above 1e-04", 1)]
)
def test_a_difference_of_the_range(
    write: Write, capsys: pytest.CaptureFixture[str], off: float, said: str, status: int
) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["output.code"][0, 4] += off

    assert cli.main(["peers", "check", str(write(change=change))]) == status
    assert f"| code | {said} |" in capsys.readouterr().out


BAD = [
    (lambda t: t.pop("state.ConvNet.4.bias"), {}, "missing: ConvNet.4.bias"),
    (lambda t: t.pop("state.ConvNet.0.weight"), {}, "missing: ConvNet.0.weight"),
    (lambda t: t.pop("input.lr"), {}, "expected input.lr, got []"),
    (lambda t: t.pop("output.code"), {}, "expected outputs to compare with, got none"),
    (lambda t: t.update({"state.more": torch.ones(2)}), {}, "unexpected: more"),
    (lambda t: t.update({"output.sr": torch.ones(2)}), {}, "got ['sr']"),
    (lambda t: t.update({"weights": torch.ones(2)}), {}, "state.*, input.*, output.*, got weights"),
    (lambda t: t.update({"input.lr": torch.rand(1, 4, 8, 8)}), {}, "shape (N, 3, H, W)"),
    (lambda t: t.update({"input.lr": torch.rand(8, 8)}), {}, "axes NCHW, got shape (8, 8)"),
    (lambda t: t.update({"output.code": torch.rand(2, 10)}), {}, "of shape (1, 10), got (2, 10)"),
    (lambda t: t["output.code"].fill_(torch.nan), {}, "expected finite numbers in output.code"),
    (lambda t: t["state.ConvNet.0.bias"].fill_(torch.nan), {}, "| code | nan, above 1e-04 |"),
    (
        lambda t: t.update({"state.ConvNet.4.bias": torch.ones(5)}),
        {},
        "of another shape: ConvNet.4.bias (expected (4,), got (5,))",
    ),
    (lambda t: None, {"constructor": '{"nf": 8}'}, "expected nf 8 as its metadata say"),
    (lambda t: None, {"constructor": '{"nf": "4"}'}, "expected nf from 1 to 1024, got '4'"),
    (lambda t: None, {"constructor": "nf=4"}, "expected JSON as metadata 'constructor'"),
    (lambda t: None, {"constructor": "[4]"}, "expected a mapping as metadata 'constructor'"),
    (lambda t: None, {"reference": "someone/EDVR@0"}, "expected a reference of pytoflow, VSR-DUF"),
    (lambda t: None, {"reference": "someone/KOALAnet@0"}, "expected kind among ['down'"),
    (
        lambda t: None,
        {"reference": "someone/VSR-DUF@0", "constructor": "{}"},
        "missing: the weights that would tell scale",
    ),
]


@pytest.mark.parametrize(("change", "metadata", "said"), BAD)
def test_a_bad_file_is_one_line_and_the_others_are_compared(
    write: Write,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Tensor]], object],
    metadata: dict[str, str],
    said: str,
) -> None:
    bad, good = write("bad", change, **metadata), write("good")
    assert cli.main(["peers", "check", str(bad), str(good)]) == 1
    out, err = capsys.readouterr()
    assert said in out + err
    assert "| good.safetensors | code | 0.0e+00 |" in out
    lines = err.splitlines()
    assert lines[-1].endswith("in all of 2 files, not so in 1: bad.safetensors")
    assert len(lines) <= 2 and all(line.startswith("tasksr-train: ") for line in lines)


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file({"state.x": torch.ones(1)}, tmp_path / "bare.safetensors")
    names = ("none", "text", "bare")
    files = [str(tmp_path / f"{name}.safetensors") for name in names]
    assert cli.main(["peers", "check", *files, str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "none.safetensors: expected a safetensors file, there is none" in lines[0]
    assert "text.safetensors: expected a safetensors file, got" in lines[1]
    assert "bare.safetensors: expected metadata 'reference' and 'constructor', got []" in lines[2]
    assert "expected a safetensors file, there is none" in lines[3]
    assert "in all of 4 files, not so in 4" in lines[4]


def test_a_constant_output_has_no_range() -> None:
    assert Difference("sr", 0.0, 0.0).small
    assert not Difference("sr", 1e-9, 0.0).small


@pytest.mark.parametrize(
    ("name", "key", "lost"),
    [
        ("DUF_16L_x4_narrow", "state.Rconv3a/W", "blocks.2.conv_a.weight"),
        ("IKC_loop_x4_narrow_7steps", "state.SFTMD.conv3.bias", "SFTMD.conv3.bias"),
        ("KOALA_joint_x4_narrow", "state.SISR_DUF/conv2d_5/kernel", "SISR_DUF.conv2d_5.weight"),
        ("TOFLOW_x4_narrow_4lev", "state.ResNet.conv_64_3_1x1.bias", "ResNet.conv_64_3_1x1.bias"),
    ],
)
def test_a_lost_weight_is_named(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, key: str, lost: str
) -> None:
    source = shared / "peers" / f"{name}.safetensors"
    if not source.is_file():
        pytest.skip(f"no {name} in ../shared/peers")
    tensors = load_file(source)
    del tensors[key]
    path = tmp_path / "lost.safetensors"
    save_file(tensors, path, dict(read_reference(source).metadata))
    assert cli.main(["peers", "check", str(path)]) == 1
    assert f"missing: {lost}" in capsys.readouterr().err
