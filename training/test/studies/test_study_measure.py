from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import HR, DetectConfig, System, detect_image
from tasksr_training.image_quality import psnr, ssim
from tasksr_training.studies.config import SetConfig
from tasksr_training.studies.measure import (
    ImageSet,
    feature_distance,
    measure_quality,
    predict,
    read_image_set,
    write_ground_truth,
)
from torch import Tensor, nn

from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.fcos import Detector

PERSON, OTHER = (10.0, 10.0, 20.0, 50.0), (40.0, 10.0, 50.0, 50.0)


class Fixed(nn.Module):
    """A detector that always sees the same boxes and keeps what it was shown."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.shown = images
        boxes = torch.tensor([[PERSON, PERSON, OTHER, (50.0, 20.0, 90.0, 80.0)]])
        scores = torch.tensor([[0.9, 0.8, 0.001, 0.5]])
        return boxes, scores, torch.zeros(1, 4, dtype=torch.int32)


def test_whole_image_way() -> None:
    image = np.full((50, 70, 3), 128, np.uint8)
    source = LabelledImage(image, np.zeros((0, 4), np.float32), np.zeros(0, bool), 1, "a")
    detector = Fixed()
    result = detect_image(source, build_sr("bicubic", 4), detector, 4, DetectConfig())
    assert detector.shown.shape == (1, 3, 64, 96)
    assert result.seen.shape == (50, 70, 3)
    assert result.psnr_y == np.inf  # a grey image survives
    # doubles suppressed, weak ones dropped, clipped to the image
    assert result.detections.xyxy.tolist() == [[*PERSON], [50, 20, 70, 50]]
    assert result.detections.score.tolist() == pytest.approx([0.9, 0.5])
    whole = detect_image(source, None, detector, HR, DetectConfig())
    assert torch.allclose(detector.shown, torch.tensor(128 / 255))
    assert len(whole.detections) == 2


class OneBox(nn.Module):
    """A detector whose only weights are the box that it sees; it counts its runs."""

    def __init__(self, box: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("box", torch.tensor([[box]]))
        self.runs = 0

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.runs += 1
        return self.box, torch.tensor([[0.9]]), torch.zeros(1, 1, dtype=torch.int32)


def image_set(name: str, image_id: int, fingerprint: str) -> ImageSet:
    image = LabelledImage(
        np.zeros((64, 64, 3), np.uint8),
        np.array([PERSON], np.float32),
        np.array([False]),
        image_id,
        "a.png",
    )
    content = {
        "images": [{"id": image_id, "file_name": "a.png", "sequence": "drive"}],
        "annotations": [
            {"id": 1, "image_id": image_id, "category_id": 1, "bbox": [10, 10, 10, 40]}
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    return ImageSet(name, [image], content, fingerprint)


def test_predictions_are_made_anew_for_other_weights_or_another_set(tmp_path: Path) -> None:
    def boxes(detector: nn.Module, made_from: str = "a", scale_factor: int = 4) -> list[float]:
        system = System("row", build_sr("bicubic", scale_factor), detector, scale_factor)
        predict(system, [image_set("set", 1, made_from)], tmp_path)
        content = json.loads((tmp_path / "set.json").read_text())
        return [d["bbox"][0] for d in content["detections"]]

    right, wrong = OneBox(PERSON), OneBox(OTHER)
    assert boxes(right) == [10]
    assert boxes(wrong) == [40]
    assert boxes(wrong) == [40]
    assert (right.runs, wrong.runs) == (1, 1)  # the same again: not run again
    boxes(wrong, "b")
    boxes(wrong, "b", scale_factor=2)
    assert wrong.runs == 3
    for scale_factor in (2, 4):  # the HR image is the same
        predict(
            System("hr", None, right, scale_factor), [image_set("set", 1, "a")], tmp_path / "hr"
        )
    assert right.runs == 2
    path = tmp_path / "set.json"
    path.write_text(path.read_text()[:20])  # as a machine that lost power leaves it
    assert boxes(wrong, "b", scale_factor=2) == [40]
    assert wrong.runs == 4


def test_sets_together_have_new_ids_and_keep_their_drives_apart(tmp_path: Path) -> None:
    sets = [image_set("a/val", 7, "a"), image_set("b/val", 7, "b")]
    assert write_ground_truth(sets, tmp_path) == ["a/val", "b/val", "all"]
    truth = read_ground_truth(tmp_path / "all.json")
    assert truth.image_ids == [1, 2]
    assert truth.image.tolist() == [0, 1]
    assert truth.sequences() == ["a/val/drive", "b/val/drive"]
    predict(System("row", None, OneBox(PERSON), 4), sets, tmp_path / "found")
    together = json.loads((tmp_path / "found" / "all.json").read_text())["detections"]
    assert [d["image_id"] for d in together] == [1, 2]


def test_every_nth_image_with_its_boxes(data: Path) -> None:
    chosen = read_image_set(SetConfig("train.json", every=3), data)
    assert [i.image_id for i in chosen.images] == [10, 13]
    assert {a["image_id"] for a in chosen.content["annotations"]} == {10, 13}
    assert read_image_set(SetConfig("train.json"), data).fingerprint != chosen.fingerprint


def with_annotation(data: Path, folder: Path, **entry: object) -> Path:
    """The set ``val.json`` with one more annotation and the size of its images stated."""
    shutil.copytree(data / "images", folder / "images")
    content = json.loads((data / "val.json").read_text())
    for image in content["images"]:
        image |= {"width": 160, "height": 128}
    content["annotations"].append({"id": 99, "image_id": 11, **entry})
    content["categories"].append({"id": 2, "name": "rider"})
    (folder / "val.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("bbox", "category"), [([160, 10, 10, 40], 1), ([20, -40, 10, 40], 1), ([20, 10, 10, 40], 2)]
)
def test_whom_training_drops_the_evaluation_does_not_count(
    data: Path, tmp_path: Path, bbox: list[float], category: int
) -> None:
    folder = with_annotation(data, tmp_path, bbox=bbox, category_id=category)
    one = read_image_set(SetConfig("val.json"), folder)
    assert sum(len(image.boxes) for image in one.images) == 4
    write_ground_truth([one], tmp_path / "truth")
    truth = read_ground_truth(tmp_path / "truth" / "val.json").without_neighbours()
    assert len(truth.image) == 4


PEOPLE = [{"id": 0, "name": "Person"}, {"id": 3, "name": "pedestrian"}, {"id": 4, "name": "car"}]


def test_the_evaluation_counts_whom_training_counts_whatever_the_categories_are_called(
    data: Path, tmp_path: Path
) -> None:
    folder = with_annotation(data, tmp_path, bbox=[20, 10, 10, 40])  # without category_id
    content = json.loads((folder / "val.json").read_text())
    box = {"image_id": 10, "bbox": [100, 10, 10, 40]}
    content["annotations"] = [{**box, "id": n, "category_id": n} for n in (0, 3, 4, 9)]
    content["annotations"] += [{**box, "id": 10}, {**box, "id": 11, "bbox": [700, 10, 10, 40]}]
    for image in content["images"]:
        del image["width"], image["height"]  # the box outside shows in the image alone
    (folder / "other.json").write_text(json.dumps({**content, "categories": PEOPLE}))
    sets = [read_image_set(SetConfig(name), folder) for name in ("val.json", "other.json")]
    names = write_ground_truth(sets, tmp_path / "truth")
    counted = [int((~i.ignore).sum()) for one in sets for i in one.images]
    # left open: those without a category beside others, and 9, which is unknown; 4 is no person
    assert counted == [1, 1, 2, 0]
    for name, images in zip(names, [sets[0].images, sets[1].images], strict=False):
        truth = read_ground_truth(tmp_path / "truth" / f"{name}.json")
        assert truth.ignore.sum() == sum(int(i.ignore.sum()) for i in images)
        assert len(truth.image) == sum(len(i.boxes) for i in images)
    together = read_ground_truth(tmp_path / "truth" / "all.json")
    per_image = np.bincount(together.image[~together.ignore], minlength=4)
    assert per_image.tolist() == counted


def test_quality_of_what_the_detector_sees(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sr, judge = build_sr("bicubic", 4), Detector(0.25).eval()
    images = read_image_set(SetConfig("val.json"), data)
    measure_quality(System("row", sr, judge, 4), judge, [images], tmp_path)
    values = json.loads((tmp_path / "val.json").read_text())["images"]
    for image in images.images:
        seen = detect_image(image, sr, judge, 4, DetectConfig()).seen
        mine = values[str(image.image_id)]
        assert mine["psnr_y"] == pytest.approx(psnr(seen, image.image, 4))
        assert mine["ssim_y"] == pytest.approx(ssim(seen, image.image, 4))
        assert 0 < mine["feature_distance"] < 2


class Features(nn.Module):
    """The image itself is the only level."""

    def features(self, images: Tensor) -> list[Tensor]:
        return [images]


def test_feature_distance_by_hand() -> None:
    a = torch.tensor([[3.0, 4.0, 0.0], [1.0, 0.0, 0.0]]).T.reshape(1, 3, 1, 2)
    b = torch.tensor([[6.0, 8.0, 0.0], [0.0, 5.0, 0.0]]).T.reshape(1, 3, 1, 2)
    # the first cell differs in length alone; the second's unit vectors are at right angles
    assert feature_distance(Features(), a, b) == pytest.approx(math.sqrt(2) / 2)
    assert feature_distance(Features(), a, a) == 0
