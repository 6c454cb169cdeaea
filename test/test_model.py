"""Tests of tasksr_ros.model: the engines of a bundle, the near pass among them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle, ForeignDetector, load_bundle
from tasksr_ros.bundle.description import InputFormat
from tasksr_ros.config import EngineConfig, NearConfig, PipelineConfig, RegionConfig
from tasksr_ros.engines.found import Found
from tasksr_ros.model import load_model, near_bundle, near_engine


class Recorded:
    """An engine that finds nobody."""

    name = "recorded"
    runs_batches = False

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.bundle, self.config = bundle, config
        self.region_size, self.scale_factor = bundle.region_size, bundle.scale_factor

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        boxes = np.zeros((len(regions), 1, 4), np.float32)
        return Found.of_one_class(boxes, boxes[..., 0])


def foreign(bundle: Bundle, size: tuple[int, int] | None, multiple: int = 1) -> Bundle:
    taken = InputFormat(
        channels="rgb", mean=(0, 0, 0), std=(1, 1, 1), size=size, size_multiple=multiple
    )
    detector = ForeignDetector(model="a.onnx", decoder="yolox", labels=(0,), input=taken)
    return replace(bundle, detector=detector)


@pytest.mark.parametrize(
    ("near", "size"),
    [
        (NearConfig(), (1280, 736)),
        (NearConfig(width=640), (640, 384)),
        (NearConfig(width=1000, height=300), (1024, 320)),
    ],
)
def test_the_near_pass_is_the_detector_alone_on_a_size_that_it_takes(
    tiny_bundle: Path, near: NearConfig, size: tuple[int, int]
) -> None:
    bundle = load_bundle(tiny_bundle)
    found = near_bundle(bundle, near)
    assert found is not None
    assert (found.sr, found.scale_factor, found.region_size) == (None, 1, size)
    assert found.detector == bundle.detector
    assert found.sha256 != bundle.sha256  # its compiled form is kept beside the other


def test_detectors_of_others_see_the_image_in_what_they_take(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    fixed = near_bundle(foreign(bundle, (864, 480)), NearConfig())
    free = near_bundle(foreign(bundle, None, 64), NearConfig(width=600))
    assert fixed is not None
    assert fixed.region_size == (864, 480)
    assert free is not None
    assert free.region_size == (640, 384)


def test_no_near_pass_where_none_is_wanted(tiny_bundle: Path) -> None:
    assert near_bundle(load_bundle(tiny_bundle), NearConfig(width=0)) is None
    model = load_model(tiny_bundle, near=NearConfig(width=0), factory=Recorded)
    assert model.near is None
    narrow = PipelineConfig(RegionConfig(tile_overlap=8))
    assert model.pipeline(narrow).near is None


def test_frames_that_are_not_there_yet_are_said(
    video_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warm-up has neighbours; networks trained with frames after the target are told of."""
    load_model(video_bundle, near=NearConfig(width=0), factory=Recorded)
    assert not caplog.records
    folder = Path(shutil.copytree(video_bundle, tmp_path / "tiny-video"))
    text = (folder / "model.yaml").read_text()
    (folder / "model.yaml").write_text(text.replace("past_only: true", "past_only: false"))
    model = load_model(folder, near=NearConfig(width=0), factory=Recorded)
    assert model.bundle.neighbours == (-1, 1)
    assert "tiny-video was trained to look at frames after each frame as well" in caplog.text


def test_a_detector_that_sees_whole_images_already_is_built_once(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(foreign(load_bundle(tiny_bundle), (64, 32)), sr=None, region_size=(64, 32))
    monkeypatch.setattr("tasksr_ros.model.load_bundle", lambda _: whole)
    model = load_model("any", factory=Recorded)
    assert model.near is model.engine


def test_int8_is_of_super_resolution_alone() -> None:
    assert near_engine(EngineConfig(precision="int8")).precision == "fp32"
    assert near_engine(EngineConfig(precision="bf16")).precision == "bf16"


def test_torch_runs_both(tiny_bundle: Path) -> None:
    model = load_model(tiny_bundle, "torch", NearConfig(width=64))
    assert model.near is not None
    assert model.near.region_size == (64, 64)
    assert model.near.scale_factor == 1
    found = model.near(np.zeros((1, 64, 64, 3), np.uint8))
    assert np.isfinite(found.boxes).all()
