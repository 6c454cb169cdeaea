"""Tests of tasksr_ros.engines.clips, and of what engines make of clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine, choose_engine
from tasksr_ros.engines.clips import Clips, inputs, stacked
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.errors import EngineError

SIZE = (64, 32)


def clips(number: int, neighbours: int = 2) -> Clips:
    rng = np.random.default_rng(0)
    shape = number, neighbours
    return Clips(
        rng.integers(0, 256, (number, 32, 64, 3), np.uint8),
        rng.integers(0, 256, (*shape, 32, 64, 3), np.uint8),
        rng.normal(0, 2, (*shape, 2, 32, 64)).astype(np.float32),
    )


def test_parts_and_stacks() -> None:
    four = clips(4)
    again = stacked([four[:1], four[1:3], four[3:]])
    assert isinstance(again, Clips)
    assert len(again) == 4
    for array, expected in zip(again.arrays, four.arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert stacked([four]) is four
    plain = stacked([four.regions[:1], four.regions[1:]])
    assert isinstance(plain, np.ndarray)
    np.testing.assert_array_equal(plain, four.regions)


def test_regions_stand_for_neighbours_that_are_not_there() -> None:
    alone = Clips.without_neighbours(clips(2).regions, 3)
    assert alone.neighbours.shape == (2, 3, 32, 64, 3)
    assert all((alone.neighbours[:, k] == alone.regions).all() for k in range(3))
    assert alone.flows.shape == (2, 3, 2, 32, 64)
    assert not alone.flows.any()


@pytest.mark.parametrize(
    ("regions", "neighbours", "message"),
    [
        (clips(1), 3, "each region must have 3 neighbours in time, got 2"),
        (clips(1), 0, "each region must have 0 neighbours in time, got 2"),
        (clips(1).regions, 2, "each region must have 2 neighbours in time, got 0"),
        (
            replace(clips(2), neighbours=clips(1).neighbours),
            2,
            r"neighbours must be uint8 of shape \(2, 2, 32, 64, 3\), got uint8 of shape \(1, ",
        ),
        (
            replace(clips(1), flows=clips(1).flows.astype(np.float64)),
            2,
            r"flows must be float32 of shape \(1, 2, 2, 32, 64\), got float64",
        ),
        (replace(clips(1), regions=clips(1).regions[:, :16]), 2, r"shape \(N, 32, 64, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(regions: Clips, neighbours: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inputs(regions, SIZE, neighbours)


def test_engines_agree(video_bundle: Path, tmp_path: Path) -> None:
    """OpenVINO runs the LR-space form, one region after the other; torch the reference graph."""
    pytest.importorskip("openvino")
    bundle, three = load_bundle(video_bundle), clips(3)
    reference = build_engine(bundle, EngineConfig(name="torch", device="cpu"))
    boxes, scores, *_ = reference(three)
    for hint in ("latency", "throughput"):
        settings = EngineConfig(name="openvino", cache_dir=str(tmp_path), hint=hint)
        other_boxes, other_scores, *_ = build_engine(bundle, settings)(three)
        np.testing.assert_allclose(other_boxes, boxes, atol=2e-2)
        np.testing.assert_allclose(other_scores, scores, atol=1e-4)
    halves = GuardedEngine(reference)
    halves.batch_limit = 1
    np.testing.assert_allclose(halves(three).scores, scores, atol=1e-6)
    with pytest.raises(ValueError, match="must have 2 neighbours in time, got 0"):
        reference(three.regions)
    still = reference(Clips.without_neighbours(three.regions, 2))
    assert np.abs(still.scores - scores).max() > 1e-3  # the neighbours count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "onnxruntime"}, "onnxruntime runs .* single images, got tiny-video of video; "),
        ({"name": "tensorrt"}, "tensorrt runs .* of single images, got tiny-video of video; op"),
        ({"name": "torch", "compile": True}, "engine.compile is of .* got tiny-video of video"),
        ({"name": "openvino", "precision": "int8"}, "int8 is of .* got tiny-video of video"),
    ],
)
def test_what_an_engine_cannot_do_is_one_line(
    video_bundle: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    settings = EngineConfig(device="cpu", cache_dir=str(tmp_path), **options)  # type: ignore
    with pytest.raises(EngineError, match=message) as error:
        build_engine(load_bundle(video_bundle), settings)
    assert "\n" not in str(error.value)


def test_tensorrt_is_not_chosen_for_video(
    video_bundle: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasksr_ros.engines._cuda_available", lambda: True)
    monkeypatch.setattr("tasksr_ros.engines._tensorrt_works", lambda: True)
    assert choose_engine(load_bundle(tiny_bundle)) == "tensorrt"
    assert choose_engine(load_bundle(video_bundle)) == "torch"
