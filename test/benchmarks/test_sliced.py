"""Tests of benchmarks.sliced: that it measures what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import sliced
from benchmarks.sliced import SlicedConfig, benchmark_sliced
from benchmarks.sliced_systems import NO_NEAR, Setting, System, own_sliced, own_systems
from benchmarks.yardstick_replays import Set
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model

SETTING = Setting((320, 180), 128, 0.2, 1, 0.1)
PERSON, NOBODY = [10, 10, 20, 40], [60, 10, 70, 40]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Four images of one person each, and their ground truth."""
    files = [tmp_path / f"{k}.png" for k in range(4)]
    for k, file in enumerate(files):
        cv2.imwrite(str(file), np.full((60, 100, 3), k, np.uint8))
    entries = [
        {"id": k, "file_name": file.name, "width": 100, "height": 60}
        for k, file in enumerate(files)
    ]
    box = {"category_id": 1, "bbox": [10, 10, 10, 30], "height": 30, "ignore": 0, "area": 300}
    truth = {
        "images": entries,
        "annotations": [{"id": k, "image_id": k, "iscrowd": 0, **box} for k in range(4)],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(truth))
    return files


def finds(*boxes: tuple[list[int], float]) -> Detections:
    xyxy = np.array([box for box, _ in boxes], np.float32).reshape(-1, 4)
    return Detections.from_arrays(xyxy, np.array([score for _, score in boxes]))


class Seen:
    """A look that remembers which images it was given: their pixels are their number."""

    def __init__(self) -> None:
        self.numbers: list[list[int]] = []

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        self.numbers.append([int(frame.image[0, 0, 0]) for frame in frames])
        return [finds((PERSON, 0.9))] * len(frames)


def test_what_finds_the_same_is_timed_on_some_images_alone(images: list[Path]) -> None:
    each, some, pairs = Seen(), Seen(), Seen()
    systems = [
        System("a", "openvino", each),
        System("a", "onnxruntime", some, timed=True),
        System("a", "openvino", pairs, 2, True),
    ]
    looks = [sliced._Looks(system) for system in systems]
    sliced._run(looks, images, time_every=2)
    assert each.numbers == [[0], [0], [1], [2], [3]]  # the first is no measure
    assert some.numbers == [[1], [1], [3]]
    assert pairs.numbers == [[0, 1], [0, 1], [2, 3]]
    assert [len(one.found) for one in looks] == [4, 0, 0]
    assert [list(taken[2]) for taken in looks[2].taken] == [[0, 1], [2, 3]]


def test_recall_is_at_equal_false_positives_and_times_are_of_the_same_frames(
    images: list[Path], tmp_path: Path
) -> None:
    """One false one is stronger than two of the people: without false ones, half are found."""
    config = SlicedConfig(fppi=0.2, samples=0)
    of, ids = Set("set", tmp_path, tmp_path / "val.json", (100, 60)), [0, 1, 2, 3]
    all_found = [finds((PERSON, 0.9))] * 4
    half = [*all_found[:2], *[finds((PERSON, 0.4), (NOBODY, 0.5))] * 2]
    ours, theirs, pair = (
        System(name, "openvino", Seen(), number) for name, number in (("a", 1), ("b", 1), ("a", 2))
    )
    taken = [(0.1, 0.1, range(k, k + 1)) for k in range(4)]
    slow = [(0.3, 0.3, range(k, k + 1)) for k in range(4)]
    together = [(0.1, 0.1, range(0, 2)), (0.1, 0.1, range(2, 4))]
    looks = [
        sliced._Looks(ours, all_found, taken),
        sliced._Looks(theirs, half, slow),
        sliced._Looks(pair, [], together),
    ]
    matches = [
        sliced._matches(of, ids, one.found, tmp_path / f"{one.system.name}.json")
        for one in looks[:2]
    ]
    rows = [
        sliced._row("set", one, looks[0], found, matches[0], config)
        for one, found in zip(looks, [*matches, None], strict=True)
    ]
    assert [row.recall for row in rows] == [1.0, 0.5, None]
    assert [row.share for row in rows] == [1.0, 0.5, None]
    assert [row.times_ours for row in rows] == pytest.approx([1.0, 3.0, 0.5])
    assert [row.cpu_ms for row in rows] == pytest.approx([100, 300, 50])
    assert [row.people for row in rows] == [4, 4, 4]
    assert "| a, 2 cameras | openvino | - | - | 50 |" in markdown(rows, sliced.COLUMNS)
    assert [bar.text for bar in sliced.bars(rows)] == [
        "1.00; 50; 0.5x",
        "1.00; 100; 1.0x",
        "0.50; 300; 3.0x",
    ]


def test_several_cameras_find_what_one_does(tiny_bundle: Path) -> None:
    model = load_model(tiny_bundle, SETTING.engine("torch", 128, 96))
    one, budget, two = own_systems(model, "torch", SETTING, (1,), (1, 2))
    assert (one.cameras, budget.cameras, two.cameras) == (1, 1, 2)
    assert (one.timed, budget.timed, two.timed) == (False, False, True)
    frame = Frame(np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8), stamp_ns=1)
    (alone,) = one.look([frame])
    for both in two.look([frame, frame]):
        assert both.xyxy == pytest.approx(alone.xyxy, abs=0.01)
    assert len(budget.look([frame])) == 1


def test_sliced_inference_covers_the_image(tiny_bundle: Path) -> None:
    """In 320x180 px, slices of 128 px overlapped by .2: four across, two down, and the whole."""
    pytest.importorskip("sahi.predict", reason="sahi is not installed (pip install --no-deps sahi)")
    from benchmarks.sahi_model import SahiModel

    model = load_model(tiny_bundle, SETTING.engine("torch", 320, 192), NO_NEAR)
    frame = Frame(np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8), stamp_ns=1)
    system = own_sliced(model, "torch", SETTING)
    (found,) = system.look([frame])
    assert system.name == f"{model.bundle.name}, sahi"
    assert (found.xyxy[:, 2:] <= (320, 180)).all()
    looking = SahiModel(model.engine, model.engine, 0.1)
    looking.perform_inference(frame.image[:100, :120])
    boxes, scores = looking._original_predictions
    assert len(boxes) == len(scores)
    assert (boxes[:, 2:] <= (120, 100)).all()
    assert looking.calls == 1


def test_what_does_not_serve_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sahi", None)
    with pytest.raises(ConfigError, match="pip install --no-deps sahi; pip install shapely"):
        benchmark_sliced(SlicedConfig())
    monkeypatch.setattr(sliced, "check_sahi", lambda: None)
    with pytest.raises(ConfigError, match="data must be a folder, got ''"):
        benchmark_sliced(SlicedConfig())
    folder = str(tmp_path)
    with pytest.raises(ConfigError, match="a number for each set, got 1 for 2 sets"):
        benchmark_sliced(SlicedConfig(folder, folder, every=(2,)))
