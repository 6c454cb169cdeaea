from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import HR, DetectConfig, detect_image
from tasksr_training.validation import System, average_precisions, figures, validate
from torch import Tensor, nn

from tasksr_ros.networks import build_sr


def truth(image_id: int, *boxes: tuple[float, ...], ignore: tuple[bool, ...] = ()) -> LabelledImage:
    return LabelledImage(
        np.zeros((64, 64, 3), np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(ignore or (False,) * len(boxes), bool),
        image_id,
        str(image_id),
    )


def found(image_id: int, box: tuple[float, ...], score: float) -> dict[str, object]:
    x0, y0, x1, y1 = box
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "score": score,
    }


PERSON, OTHER = (10.0, 10.0, 20.0, 50.0), (40.0, 10.0, 50.0, 50.0)


def test_average_precision_at_two_overlaps() -> None:
    images = [truth(1, PERSON), truth(2, OTHER)]
    low = (10.0, 24.0, 20.0, 64.0)  # overlaps PERSON by 26 of 54 rows: IoU .48
    result = average_precisions(images, [found(1, low, 0.9), found(2, OTHER, 0.8)])
    assert result["ap30"] == pytest.approx(1.0)
    # at IoU .5: a false positive first, then one of two: precision 1/2 up to recall 1/2
    assert result["ap50"] == pytest.approx(0.5 * 51 / 101)


def test_ignored_people_cost_nothing() -> None:
    images = [truth(1, PERSON, OTHER, ignore=(False, True))]
    result = average_precisions(images, [found(1, OTHER, 0.9), found(1, PERSON, 0.8)])
    assert result["ap50"] == pytest.approx(1.0)


def test_no_detections() -> None:
    assert average_precisions([truth(1, PERSON)], []) == {"ap50": 0.0, "ap30": 0.0}
    assert figures([truth(1, PERSON)], [], 4)["recall_at_1_fppi"]["all"]["recall"] == 0


def test_recall_by_height_in_lr_px() -> None:
    small = (40.0, 10.0, 50.0, 58.0)  # 48 px: 12 px at x4; PERSON has 40 px: 10 px
    table = figures([truth(1, PERSON, small)], [found(1, PERSON, 0.9)], 4)
    rows = table["recall_at_1_fppi"]
    assert rows["all"] == {"recall": 0.5, "pedestrians": 2}
    assert rows["8-12"] == {"recall": 1.0, "pedestrians": 1}
    assert rows["12-16"] == {"recall": 0.0, "pedestrians": 1}
    assert rows["24-40"] == {"recall": None, "pedestrians": 0}


class Fixed(nn.Module):
    """A detector that always sees the same boxes and keeps what it was shown."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.shown = images
        boxes = torch.tensor([[PERSON, PERSON, OTHER, (50.0, 20.0, 90.0, 80.0)]])
        return boxes, torch.tensor([[0.9, 0.8, 0.001, 0.5]])


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

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.runs += 1
        return self.box, torch.tensor([[0.9]])


def test_predictions_are_made_anew_for_other_weights_or_another_set(tmp_path: Path) -> None:
    def ap50(detector: nn.Module, image: LabelledImage, scale_factor: int = 4) -> float:
        system = System("row", build_sr("bicubic", scale_factor), detector)
        result = validate([system], {"set": [image]}, scale_factor, tmp_path)
        return float(result["systems"]["row"]["set"]["ap50"])

    right, wrong = OneBox(PERSON), OneBox(OTHER)
    assert ap50(right, truth(1, PERSON)) == pytest.approx(1.0)
    assert ap50(wrong, truth(1, PERSON)) == 0.0
    assert ap50(wrong, truth(1, PERSON)) == 0.0
    assert (right.runs, wrong.runs) == (1, 1)  # the same again: not run again
    assert ap50(wrong, truth(2, OTHER)) == pytest.approx(1.0)
    assert ap50(wrong, truth(2, OTHER), scale_factor=2) == pytest.approx(1.0)
    assert wrong.runs == 3
    path = tmp_path / "row" / "set.json"
    path.write_text(path.read_text()[:20])  # as a run that was killed leaves it
    assert ap50(wrong, truth(2, OTHER), scale_factor=2) == pytest.approx(1.0)
    assert wrong.runs == 4
