from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.native_crops import HeldOut, NativeSourceConfig, read_held_out
from tasksr_training.native_row import ChoiceConfig, labelled_part, measure

from tasksr_ros.networks.detectors.picodet import PicoDet


def test_people_too_low_to_be_labelled_count_neither_way() -> None:
    boxes = np.array([[0, 0, 10, 20], [20, 0, 40, 40]], np.float32)
    image = LabelledImage(
        np.zeros((50, 50, 3), np.uint8), boxes, np.zeros(2, bool), 1, "a", labelled_from=25.0
    )
    ((xyxy, score),), (rest,) = labelled_part([(boxes, np.array([0.3, 0.4]))], [image])
    assert xyxy.tolist() == [[20, 0, 40, 40]]
    assert score.tolist() == [0.4]
    assert rest.ignore.tolist() == [True, False]


def test_a_row_is_measured_as_it_is(data: Path) -> None:
    """Of a network without any weights of use: whatever the figures, they are there."""
    torch.manual_seed(1)
    sources = NativeSourceConfig("val.json", held_out=HeldOut(every=1))
    images = read_held_out(data, sources)
    row = measure(PicoDet(1), {"val.json": images}, ChoiceConfig(fppi=1.0, least_people=1))
    assert list(row["sets"]["val.json"]) == ["x1 12-60", "x1 60+", "x2 12-60", "x2 60+"]
    assert list(row["score_threshold"]) == ["x1", "x2"]
    assert list(row["calibration"]) == ["map", "before", "after"]
