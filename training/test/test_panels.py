from __future__ import annotations

import numpy as np
import torch
from tasksr_training.coco import LabelledImage
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
from tasksr_training.study.systems import System
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
    assert window(labelled(1, PERSON, OTHER)) == (168, 64, 488, 176)
    assert window(labelled(1, (0, 0, 10, 40))) == (0, 0, 320, 112)
    assert window(labelled(1, width=200)) == (0, 72, 200, 184)


class Fixed(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes = torch.tensor([[PERSON, (200.0, 100.0, 216.0, 140.0)]])
        return boxes, torch.tensor([[0.9, 0.8]])


def test_panel_shows_what_is_right_wrong_and_missed() -> None:
    systems = [
        System("hr", None, Fixed(), 4),
        System("bicubic", build_sr("bicubic", 4), Fixed(), 4),
    ]
    picture = panel(systems, labelled(1, PERSON, OTHER), {"hr": 0.5, "bicubic": 0.5}, 4)
    assert picture.shape == (2 * (26 + 112 * ZOOM), 320 * ZOOM, 3)
    left, top, _, _ = window(labelled(1, PERSON, OTHER))
    for x, colour in ((300, FOUND), (200, FALSE), (340, MISSED)):
        row, column = 26 + (120 - top) * ZOOM, (x - left) * ZOOM
        assert tuple(picture[row, column].tolist()) == colour
