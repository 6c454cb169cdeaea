from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from tasksr_training import pseudo_labels as module
from tasksr_training.coco import LabelledImage
from tasksr_training.errors import TrainingDataError
from tasksr_training.pseudo_labels import (
    FusionConfig,
    PseudoConfig,
    explained,
    pseudo_labels,
    read_pseudo_labels,
    with_pseudo_labels,
    write_pseudo_labels,
)
from tasksr_training.teachers import TeacherConfig

Floats = np.ndarray


class Fixed:
    """A teacher that always sees the same, but fails on some calls."""

    def __init__(self, name: str, boxes: list[list[float]], fails_on: tuple[int, ...] = ()) -> None:
        self.name, self.boxes, self.fails_on, self.calls = name, boxes, fails_on, 0

    def __call__(self, image: Floats) -> Floats:
        self.calls += 1
        if self.calls - 1 in self.fails_on:
            raise RuntimeError("no memory")
        return np.array(self.boxes, float).reshape(-1, 5)


def labelled(boxes: list[list[float]], ignore: list[bool], image_id: int = 1) -> LabelledImage:
    pixels = np.zeros((100, 100, 3), np.uint8)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return LabelledImage(pixels, xyxy, np.array(ignore, bool), image_id, f"{image_id}.png")


def test_what_the_teachers_see_together_is_coco_with_scores() -> None:
    one, other = [[10.0, 20, 30, 60, 0.8]], [[10.0, 20, 30, 60, 0.4], [70, 0, 90, 40, 0.1]]
    content = pseudo_labels(
        [labelled([], [], 7)], [Fixed("a", one), Fixed("b", other)], FusionConfig()
    )
    assert content["images"] == [{"id": 7, "file_name": "7.png"}]
    (entry,) = content["annotations"]  # the other is weaker than .1: .1 x 1/2
    assert entry["bbox"] == [10, 20, 20, 40]
    assert entry["score"] == pytest.approx(0.6)
    assert (entry["id"], entry["image_id"], entry["category_id"]) == (1, 7, 1)


def test_a_teacher_that_fails_is_counted_and_named_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = [labelled([], [], i) for i in range(5)]
    weak = Fixed("weak", [[0.0, 0, 10, 10, 0.2]], fails_on=(0, 1, 2, 4))
    sure = Fixed("sure", [[0.0, 0, 10, 10, 0.6]])
    with caplog.at_level(logging.WARNING):
        content = pseudo_labels(images, [weak, sure], FusionConfig())
    assert [e["score"] for e in content["annotations"]] == pytest.approx([0.6, 0.6, 0.6, 0.4, 0.6])
    assert content["info"] == {
        "teachers": ["weak", "sure"],
        "failed": {"weak": ["0.png", "1.png", "2.png", "4.png"], "sure": []},
    }
    assert caplog.messages == ["weak failed on 4 images: 0.png, 1.png, 2.png, …"]


def test_the_command_writes_each_set_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = [[1.0, 2, 11, 22, 0.5]]
    monkeypatch.setattr(module, "Teacher", lambda config, threads: Fixed("fixed", box))
    teachers = [TeacherConfig("yolox", Path("any.onnx"))]
    for _ in range(2):
        write_pseudo_labels(tmp_path / "out", data, ["train.json"], teachers)
    path = tmp_path / "out/train.json"
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 4 boxes in 4 images",
        f"{path}: kept",
    ]
    found = read_pseudo_labels(path)
    assert {image: boxes.tolist() for image, boxes in found.items()} == dict.fromkeys(
        range(10, 14), box
    )
    with pytest.raises(TrainingDataError, match="teachers: expected at least one, got none"):
        write_pseudo_labels(tmp_path / "out", data, ["train.json"], [])


def test_labels_explain_the_same_person_and_what_lies_in_an_ignored_region() -> None:
    image = labelled([[0, 0, 20, 40], [50, 50, 100, 100]], [False, True])
    pseudo = np.array(
        [
            [0, 5, 20, 40, 0.9],  # the labelled one
            [60, 60, 65, 75, 0.9],  # small, within the ignored region
            [30, 0, 50, 40, 0.9],  # beside both
        ],
        float,
    )
    assert explained(image, pseudo).tolist() == [True, True, False]


def test_the_score_decides_what_becomes_of_the_others() -> None:
    image = labelled([[0, 0, 10, 20]], [False])
    pseudo = np.array(
        [[20 * k, 50, 20 * k + 10, 80, s] for k, s in enumerate((0.9, 0.6, 0.3, 0.2))]
    )
    made = with_pseudo_labels(image, pseudo, PseudoConfig(ignore_above=0.3, person_above=0.6))
    assert made.boxes[:, 0].tolist() == [0, 0, 20, 40]
    assert made.ignore.tolist() == [False, False, False, True]
    assert made.boxes.dtype == np.float32


def test_files_that_are_no_pseudo_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    entry = {"image_id": 1, "bbox": [0, 0, 1, 1]}
    path.write_text(json.dumps({"images": [{"id": 1}], "annotations": [entry]}))
    with pytest.raises(TrainingDataError, match="expected pseudo-labels, got no 'score'"):
        read_pseudo_labels(path)
    with pytest.raises(TrainingDataError, match="expected pseudo-labels, got No such file"):
        read_pseudo_labels(tmp_path / "none.json")
