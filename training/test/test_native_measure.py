from __future__ import annotations

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.native_measure import (
    detect_native,
    figures,
    in_openvino,
    in_torch,
    matches_in_bin,
)

from tasksr_ros.networks.detectors.picodet import PicoDet

NONE = np.zeros(0, np.float32)


def labelled(*boxes: tuple[float, ...], ignore: tuple[bool, ...] = ()) -> LabelledImage:
    flags = np.array(ignore or (False,) * len(boxes), bool)
    pixels = np.zeros((200, 300, 3), np.uint8)
    return LabelledImage(pixels, np.array(boxes, np.float32).reshape(-1, 4), flags, 1, "a")


def found(*boxes: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(boxes, np.float32).reshape(-1, 5)
    return both[:, :4], both[:, 4]


def test_a_person_counts_in_the_bin_of_its_height_alone() -> None:
    images = [labelled((0, 0, 20, 40), (50, 0, 90, 80), (100, 0, 105, 11))]
    seen = [found((0, 0, 20, 40, 0.9), (200, 0, 240, 80, 0.8), (50, 0, 90, 80, 0.7))]
    assert figures(seen, images) == {"12-60": 1.0, "60+": 0.5}
    small, large = (
        matches_in_bin(seen, images, low, high, 0.5) for low, high in ((12, 60), (60, np.inf))
    )
    assert (small.height.tolist(), large.height.tolist()) == ([40], [80])


def test_a_box_a_little_out_of_the_bin_still_finds_its_person() -> None:
    images = [labelled((0, 0, 30, 55))]
    assert figures([found((0, 0, 30, 70, 0.9))], images)["12-60"] == 1.0
    assert figures([found((0, 0, 30, 76, 0.9))], images)["12-60"] == 0.0


def test_boxes_come_back_in_px_of_the_image() -> None:
    """An image of 90x50 px is 180x100 px at twice the size, and 192x128 px with its padding."""
    shapes = []

    def detect(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shapes.append(pixels.shape)
        assert pixels[0, :, 100:, :180] == pytest.approx(0.2)  # repeats the edge
        boxes = np.array([[20, 10, 60, 90], [22, 10, 60, 90], [150, 0, 300, 50]], np.float32)
        return boxes, np.array([0.5, 0.9, 0.3], np.float32)

    image = np.full((50, 90, 3), 51, np.uint8)
    xyxy, score = detect_native(detect, image, 2)
    assert shapes == [(1, 3, 128, 192)]
    assert xyxy.tolist() == [[11, 5, 30, 45], [75, 0, 90, 25]]
    assert score.tolist() == pytest.approx([0.9, 0.3])


def test_both_engines_see_the_same() -> None:
    torch.manual_seed(2)
    detector = PicoDet(1).eval()
    pixels = np.random.default_rng(1).random((1, 3, 64, 160), np.float32)
    for mine, other in zip(in_torch(detector)(pixels), in_openvino(detector)(pixels), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-3)
