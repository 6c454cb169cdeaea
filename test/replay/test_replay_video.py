"""Replays with super-resolution of video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_replay import FAST

from tasksr_ros.cli.main import main
from tasksr_ros.config import PipelineConfig, RegionConfig
from tasksr_ros.errors import EngineError
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.model import load_model
from tasksr_ros.pipeline import Pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 256, (32, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index:04d}.png"), image)
    return folder


def test_it_goes_on_from_frame_to_frame(
    video_bundle: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the pipeline does; one that was stopped begins anew, since its window is lost."""
    out = tmp_path / "p.json"
    command = ["replay", folder, "--bundle", video_bundle, "--predictions", out, *FAST]
    words = [str(word) for word in [*command, "--near.width", "0"]]
    whole, calls = Pipeline.run, []

    def run(pipeline: Pipeline, frame: object) -> object:
        calls.append(frame)
        if len(calls) == 3:
            raise EngineError("stopped")
        return whole(pipeline, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "run", run)
    assert main(words) == 1
    assert main(words) == 0
    assert len(calls) == 3 + 4
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8))
    pipeline = load_model(video_bundle, "torch").pipeline(config)
    pipeline.near = None
    frames = list(open_recording(folder))
    results = [whole(pipeline, frame) for frame in frames]
    expected = [score for result in results for score in result.detections.score.tolist()]
    got = [entry["score"] for entry in json.loads(out.read_text())]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    run_file = json.loads(out.with_suffix(".run.json").read_text())
    assert len(run_file["latency_ms"]["flow"]) == 4
