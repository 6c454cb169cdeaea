"""Tests of tasksr_ros.frames."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.errors import ImageError
from tasksr_ros.frames import CHANNELS, Frame, crop_rgb, to_bgr


def frame(encoding: str) -> Frame:
    """2x3 px whose red is 10, green 20, blue 30, alpha 40; grey 25."""
    colours = {
        "rgb8": (10, 20, 30),
        "bgr8": (30, 20, 10),
        "rgba8": (10, 20, 30, 40),
        "bgra8": (30, 20, 10, 40),
        "mono8": (25,),
    }
    return Frame(np.tile(np.array(colours[encoding], np.uint8), (2, 3, 1)), encoding=encoding)


@pytest.mark.parametrize("encoding", CHANNELS)
def test_crops_are_rgb_and_pictures_bgr(encoding: str) -> None:
    expected = (25, 25, 25) if encoding == "mono8" else (10, 20, 30)
    crop = crop_rgb(frame(encoding), 1, 0, 3, 1)
    assert crop.shape == (1, 2, 3)
    assert tuple(crop[0, 0]) == expected
    assert tuple(to_bgr(frame(encoding))[1, 2]) == expected[::-1]


def test_an_rgb_crop_is_a_view() -> None:
    source = frame("rgb8")
    assert np.shares_memory(crop_rgb(source, 0, 0, 2, 2), source.image)


def test_size_is_width_and_height() -> None:
    assert frame("bgr8").size == (3, 2)


@pytest.mark.parametrize("rect", [(-1, 0, 2, 2), (0, 0, 4, 2), (1, 1, 1, 2), (0, 2, 2, 1)])
def test_crops_outside_are_refused(rect: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie inside 3x2"):
        crop_rgb(frame("rgb8"), *rect)


@pytest.mark.parametrize(
    ("image", "encoding", "message"),
    [
        (np.zeros((2, 3, 3), np.uint8), "32FC1", "encoding must be one of rgb8, .* got '32FC1'"),
        (np.zeros((2, 3), np.uint8), "mono8", r"shape \(height, width, 1\), got uint8 .* \(2, 3\)"),
        (np.zeros((2, 3, 3), np.float32), "rgb8", "must be uint8 .* got float32"),
        (np.zeros((0, 3, 3), np.uint8), "rgb8", "must not be empty"),
    ],
)
def test_wrong_images_are_refused(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], encoding: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        Frame(image, encoding=encoding)
