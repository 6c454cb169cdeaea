"""Tests of tasksr_ros.networks.super_resolution.flow."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.networks.super_resolution.flow import neighbours_and_flows, optical_flow


def texture(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Smooth noise that continues at the opposite edge."""
    noise = np.random.default_rng(0).random((height, width, 3), np.float32)
    smooth = cv2.GaussianBlur(np.tile(noise, (3, 3, 1)), (0, 0), 2)
    smooth = smooth[height : 2 * height, width : 2 * width]
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize(("u", "v"), [(3, 0), (0, -2), (-4, 1)])
def test_flow_points_from_the_target_to_the_neighbour(u: int, v: int) -> None:
    """What is at (x, y) in the target is at (x + u, y + v) in the neighbour."""
    target = texture()
    flow = optical_flow(target, np.roll(target, (v, u), (0, 1)))
    assert flow.shape == (2, 48, 64)
    assert flow.dtype == np.float32
    inside = flow[:, 8:-8, 8:-8]
    np.testing.assert_allclose(inside[0], u, atol=0.1)
    np.testing.assert_allclose(inside[1], v, atol=0.1)


def test_equal_images_do_not_move() -> None:
    np.testing.assert_allclose(optical_flow(texture(), texture()), 0, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (4, 40), (17, 3), (8, 8)])
def test_small_images_have_a_flow(size: tuple[int, int]) -> None:
    image = texture(*size)
    assert optical_flow(image, image).shape == (2, *size)


def test_missing_neighbours_are_the_target_without_motion() -> None:
    target = texture()
    moved = np.roll(target, 2, 1)
    images, flows = neighbours_and_flows(target, [None, moved, None])
    assert images.shape == (3, 48, 64, 3)
    assert flows.shape == (3, 2, 48, 64)
    for k in (0, 2):
        np.testing.assert_array_equal(images[k], target)
        np.testing.assert_array_equal(flows[k], 0)
    np.testing.assert_array_equal(images[1], moved)
    np.testing.assert_array_equal(flows[1], optical_flow(target, moved))


def test_all_neighbours_may_be_missing() -> None:
    images, flows = neighbours_and_flows(texture(), [None] * 6)
    assert images.shape == (6, 48, 64, 3)
    assert flows.dtype == np.float32
    assert not flows.any()


def test_wrong_images_are_refused() -> None:
    target = texture()
    with pytest.raises(ValueError, match=r"neighbour of the target's shape \(48, 64, 3\), got"):
        optical_flow(target, target[1:])
    with pytest.raises(ValueError, match=r"target to be .*uint8.*got float32"):
        optical_flow(target.astype(np.float32), target)
    with pytest.raises(ValueError, match=r"shape \(H, W, 3\), got uint8 of shape \(48, 64, 1\)"):
        optical_flow(target[..., :1], target[..., :1])
    with pytest.raises(ValueError, match=r"non-empty .*got uint8 of shape \(0, 64, 3\)"):
        neighbours_and_flows(target[:0], [None])
    with pytest.raises(ValueError, match="expected at least one neighbour"):
        neighbours_and_flows(target, [])
