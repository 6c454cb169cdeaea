from __future__ import annotations

import numpy as np
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import System
from tasksr_training.panels import (
    FALSE,
    FOUND,
    MISSED,
    ZOOM,
    choose,
    found_per_image,
    panel,
    window,
)
from torch import Tensor, nn

from tasksr_ros.networks import build_sr


def labelled(image_id: int, *boxes: tuple[float, ...], width: int = 640) -> LabelledImage:
    return LabelledImage(
        np.full((256, width, 3), 120, np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(len(boxes), bool),
        image_id,
        str(image_id),
    )


DISTANT = (32.0, 96.0)
PERSON, OTHER = (300.0, 100.0, 316.0, 140.0), (340.0, 100.0, 356.0, 140.0)


def test_choice_by_rule() -> None:
    images = [labelled(i) for i in range(5)]
    better = {0: 1, 1: 5, 2: 0, 3: 2, 4: 1}
    worse = {0: 1, 1: 1, 2: 4, 3: 1, 4: 3}  # differences 0, 4, -4, 1, -2
    chosen = {rule: image.image_id for rule, image in choose(images, better, worse).items()}
    assert chosen == {"gain": 1, "loss": 2, "median": 0}


def test_found_less_false_positives() -> None:
    near = (10.0, 10.0, 90.0, 240.0)  # 230 px: not distant at x4

    def detection(box: tuple[float, ...], score: float) -> dict[str, object]:
        x0, y0, x1, y1 = box
        return {"image_id": 7, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}

    detections = [detection(PERSON, 0.9), detection(near, 0.9), detection(OTHER, 0.1)]
    image = labelled(7, PERSON, OTHER, near)
    assert found_per_image([image], detections, 0.5, (32, 160)) == {7: 1}
    false = detection((500, 10, 516, 60), 0.6)
    assert found_per_image([image], [*detections, false], 0.05, (32, 160)) == {7: 1}


def test_window_is_around_the_pedestrians_and_inside_the_image() -> None:
    assert window(labelled(1, PERSON, OTHER), 4, DISTANT) == (168, 64, 488, 176)
    assert window(labelled(1, (0, 0, 10, 40)), 4, DISTANT) == (0, 0, 320, 112)
    assert window(labelled(1, width=200), 4, DISTANT) == (0, 72, 200, 184)


def test_window_holds_the_most_of_the_distant_pedestrians() -> None:
    near = [(x, 10.0, x + 30, 200.0) for x in (400.0, 450.0, 500.0, 550.0)]
    far_off = (20.0, 180.0, 36.0, 220.0)
    x0, y0, x1, y1 = window(labelled(1, *near, far_off, PERSON, OTHER), 4, DISTANT)
    assert x0 <= PERSON[0] and OTHER[2] <= x1 and y0 <= PERSON[1] and PERSON[3] <= y1
    assert (x1 - x0, y1 - y0) == (320, 112)
    assert window(labelled(1, *near), 4, DISTANT)[0] > 200  # nobody is distant
    x0, y0, x1, y1 = window(labelled(1, PERSON, OTHER), 2, (16, 48))
    assert (x1 - x0, y1 - y0) == (160, 56)


class Fixed(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes = torch.tensor([[PERSON, (200.0, 100.0, 216.0, 140.0)]])
        return boxes, torch.tensor([[0.9, 0.8]]), torch.zeros(1, 2, dtype=torch.int32)


def test_panel_shows_what_is_right_wrong_and_missed() -> None:
    systems = [
        System("hr", None, Fixed(), 4),
        System("bicubic", build_sr("bicubic", 4), Fixed(), 4),
    ]
    thresholds = {"hr": 0.5, "bicubic": 0.5}
    picture = panel(systems, labelled(1, PERSON, OTHER), thresholds, 4, DISTANT)
    zoom = ZOOM // 4
    assert picture.shape == (2 * (26 + 112 * zoom), 320 * zoom, 3)
    left, top, _, _ = window(labelled(1, PERSON, OTHER), 4, DISTANT)
    for x, colour in ((300, FOUND), (200, FALSE), (340, MISSED)):
        row, column = 26 + (120 - top) * zoom, (x - left) * zoom
        assert tuple(picture[row, column].tolist()) == colour
