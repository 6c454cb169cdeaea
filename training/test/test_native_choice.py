from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tasksr_training import native_choice, native_ends
from tasksr_training.coco import LabelledImage
from tasksr_training.errors import TrainingDataError
from tasksr_training.native_choice import ChoiceConfig, between, choose_native, spaced
from tasksr_training.native_crops import HeldOut, NativeSourceConfig
from tasksr_training.native_ends import mean, read_ends

from tasksr_ros.networks.detectors.picodet import PicoDet


def test_weights_between_two() -> None:
    start, trained = {"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([4.0, 0.0])}
    assert between(start, trained, 0.25)["a"].tolist() == [1, 3]
    assert between(start, trained, 0)["a"].tolist() == [0, 4]
    assert between(start, trained, 1)["a"].tolist() == [4, 0]


def test_evenly_spaced_images() -> None:
    assert spaced([10, 11, 12, 13, 14], 3) == [10, 11, 13]  # type: ignore[list-item, comparison-overlap]
    assert spaced([10, 11], 3) == spaced([10, 11], 0) == [10, 11]  # type: ignore[list-item, comparison-overlap]
    assert spaced([], 3) == []


def test_the_mean_of_runs() -> None:
    runs = [{"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([1.0, 0.0])}]
    assert mean(runs)["a"].tolist() == [0.5, 2]
    assert mean(runs[:1])["a"].tolist() == [0, 4]


def test_what_was_trained_is_the_mean_of_the_run_and_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "backbone.stem.0.bias"

    def load(run: Path, part: str) -> tuple[PicoDet, dict[str, str]]:
        detector = PicoDet(1)
        detector.state_dict()[name].fill_({"a": 1.0, "b": 2.0, "c": 6.0}[run.name])
        return detector, {}

    monkeypatch.setattr(native_ends, "load_network", load)
    monkeypatch.setattr(native_ends, "load_onnx_weights", lambda *_: None)
    runs = [tmp_path / run for run in "abc"]
    ends = read_ends(runs[0], Path("start.onnx"), {"detector": {}}, runs[1:])
    assert ends.trained[name].unique().tolist() == [3]
    with pytest.raises(
        TrainingDataError, match=r"others: expected none beside .*a, whose super-res"
    ):
        read_ends(runs[0], Path(), {"detector": {}, "sr": {"name": "bicubic"}}, runs[1:])


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[PicoDet, PicoDet]:
    """Weights of a start and of a run, in place of the ONNX file's and a checkpoint's."""
    torch.manual_seed(1)
    start, trained = PicoDet(1), PicoDet(1)
    monkeypatch.setattr(
        native_ends, "load_onnx_weights", lambda m, path: m.load_state_dict(start.state_dict())
    )
    monkeypatch.setattr(native_ends, "load_network", lambda run, part: (trained, {}))
    content = {"step": 12, "seconds": 90.0, "networks": {"detector": {}}}
    monkeypatch.setattr(native_choice, "load_checkpoint", lambda run: content)
    return start, trained


def test_the_best_share_is_written_with_its_figures(
    data: Path, tmp_path: Path, ends: tuple[PicoDet, PicoDet], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(detector: PicoDet, sets: dict[str, list[LabelledImage]], *_: object) -> object:
        value = float(detector.state_dict()["backbone.stem.0.bias"].sum())
        measured.append(value)
        assert [i.image_id for i in sets["train.json"]] == [11, 13]
        figures = {"x1 12-60": 0.5}
        mean = {0: 0.3, 1: 0.6, 2: 0.4}[(len(measured) - 1) % 3]
        calibration = {"map": {"slope": 2.0, "offset": 0.0}}
        return {
            "mean": mean,
            "sets": {"train.json": figures},
            "score_threshold": {"x1": 0.25},
            "calibration": calibration,
        }

    monkeypatch.setattr(native_choice, "measure", measure)
    out = tmp_path / "chosen/detector.safetensors"
    sources = [NativeSourceConfig("train.json", held_out=HeldOut(every=2))]
    choice = ChoiceConfig(shares=(0.0, 0.5, 1.0))
    for _ in range(2):  # the second time nothing is measured again
        choose_native(tmp_path, data, sources, out, Path("start.onnx"), choice)
    assert len(measured) == 3
    weights = load_file(out)
    name = "backbone.stem.0.weight"
    expected = (ends[0].state_dict()[name] + ends[1].state_dict()[name]) / 2
    torch.testing.assert_close(weights[name], expected)
    name = "head.0.2.bias"  # the scores' are calibrated, the boxes' are not
    expected = (ends[0].state_dict()[name] + ends[1].state_dict()[name]) / 2
    torch.testing.assert_close(weights[name][0], 2 * expected[0])
    torch.testing.assert_close(weights[name][1:], expected[1:])
    PicoDet(1).load_state_dict(weights)
    summary = json.loads(out.with_suffix(".json").read_text())
    assert summary["share"] == 0.5
    assert summary["score_threshold"] == {"x1": 0.1}  # logit(.1) = 2 logit(.25)
    assert summary["weak_threshold"] == {"x1": 0.0044}  # odds of 1/15, squared: 1/225
    assert (summary["steps"], summary["minutes"], summary["start"]) == (12, 1.5, "start.onnx")
    assert summary["held_out"] == {"train.json": {"images": 2, "pedestrians": 2}}
    assert [row["share"] for row in summary["rows"]] == [0.0, 0.5, 1.0]


def test_nothing_held_out(data: Path, tmp_path: Path, ends: tuple[PicoDet, PicoDet]) -> None:
    sources = [NativeSourceConfig("train.json")]
    with pytest.raises(TrainingDataError, match="expected held_out images of a set, got none"):
        choose_native(tmp_path, data, sources, tmp_path / "b.safetensors")
