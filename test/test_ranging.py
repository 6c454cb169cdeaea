"""Tests of tasksr_ros.ranging, against points of a road projected by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RangeConfig, RegionConfig
from tasksr_ros.options import build
from tasksr_ros.ranging import Ranges, Ranging

CAMERA = CameraModel(1280, 720, 1000.0, 1000.0, 640.0, 360.0)
PERSON = np.zeros(1, np.int32)


def ranging(pitch: float = 0.0, height: float = 1.5, **values: object) -> Ranging:
    config = build(RangeConfig, {"person_height": 1.7, **values})
    mounting = build(RegionConfig, {"camera_height": height, "camera_pitch": pitch})
    return Ranging(config, mounting, ("person", "bicycle"))


def box(
    depth: float, tall: float = 1.7, height: float = 1.5, x: float = 0.0
) -> NDArray[np.float64]:
    """Someone at that depth before a level camera, x m to the right."""
    foot = 360 + 1000 * height / depth
    middle = 640 + 1000 * x / depth
    half, high = 250 / depth, 1000 * tall / depth
    return np.array([[middle - half, foot - high, middle + half, foot]])


def of(looking: Ranging, xyxy: NDArray[np.float64], class_id: int = 0) -> Ranges:
    return looking.ranges(xyxy, np.full(len(xyxy), class_id), CAMERA)


@pytest.mark.parametrize("depth", [6.0, 10.0, 25.0, 60.0, 120.0])
def test_where_feet_and_height_agree(depth: float) -> None:
    ranges = of(ranging(), box(depth, x=2.0))
    assert ranges.depth == pytest.approx([depth])
    assert ranges.feet == pytest.approx(np.array([[2.0, 1.5, depth]]))
    assert ranges.size[0, 1] == pytest.approx(1.7)


@pytest.mark.parametrize("pitch", [-3.0, 2.0, 8.0])
def test_a_pitched_camera(pitch: float) -> None:
    """Points of the road 20 m ahead, turned into the camera's frame."""
    angle = math.radians(pitch)
    z = 20 * math.cos(angle) + 1.5 * math.sin(angle)
    y = 1.5 * math.cos(angle) - 20 * math.sin(angle)
    foot = 360 + 1000 * y / z
    boxes = np.array([[600.0, foot - 300, 680.0, foot]])
    ranges = of(ranging(pitch), boxes, class_id=1)
    assert ranges.depth == pytest.approx([z], rel=1e-6)
    assert ranges.feet[0] == pytest.approx([0, y, z], abs=1e-6)


def test_the_deviation_counts_all_that_is_unsure() -> None:
    """At 20 m: by hand, of a bicycle, which has no known height."""
    exact = {"pitch_spread": 0.01, "camera_height_spread": 0.0}
    foot_px = math.hypot(0.075 * 85, 0.7)  # of a box of 85 px
    per_radian = 20**2 / 1.5
    least = per_radian * math.hypot(math.radians(0.01), foot_px / 1000)
    assert of(ranging(**exact), box(20.0), 1).deviation == pytest.approx([least], rel=1e-6)
    pitched = per_radian * math.hypot(math.radians(1.0), foot_px / 1000)
    found = of(ranging(**{**exact, "pitch_spread": 1.0}), box(20.0), 1)
    assert found.deviation == pytest.approx([pitched], rel=1e-6)
    mounted = math.hypot(least, 20 * 0.1 / 1.5)
    found = of(ranging(**{**exact, "camera_height_spread": 0.1}), box(20.0), 1)
    assert found.deviation == pytest.approx([mounted], rel=1e-6)


def test_of_a_person_far_away_the_height_decides_near_by_the_feet() -> None:
    """Someone of 1.87 m: 10 % too near by the height."""
    level = ranging(camera_height_spread=0.02)
    near, far = (of(level, box(d, tall=1.87)).depth[0] / d for d in (6.0, 60.0))
    assert 0.95 < near < 1.0
    assert 0.90 < far < 0.92
    bicycle = of(ranging(), box(60.0, tall=1.87), 1)
    assert bicycle.depth == pytest.approx([60.0])
    assert bicycle.deviation[0] > 3 * of(ranging(), box(60.0)).deviation[0]


def test_a_contradiction_makes_it_less_sure() -> None:
    """Of a child of 1 m the height says 17 m, the feet 10 m; the more it is, the less sure."""
    child, sitting, adult = (of(ranging(), box(10.0, tall=tall)) for tall in (1.0, 1.25, 1.7))
    assert child.deviation[0] > 2 * adult.deviation[0]
    assert adult.deviation[0] < sitting.deviation[0] < child.deviation[0]
    assert abs(child.depth[0] - 10) < 2 * child.deviation[0]


def _variances(height: float) -> tuple[float, float, float]:
    """Of road and box of someone 20 m away, and what the feet have in common, by hand."""
    foot, head = math.hypot(0.075 * 85, 0.7), math.hypot(0.03 * 85, 0.7)
    road = (math.radians(0.8) ** 2 + (foot / 1000) ** 2) / height**2
    tall = ((85 * 0.12 / 1.7) ** 2 + foot**2 + head**2) / 1700**2
    return road, tall, foot**2 / 1000 / height / 1700


def test_hidden_feet_make_road_and_height_err_alike() -> None:
    """The best mean of two that share a part is less sure than of two that do not."""
    ranges = of(ranging(camera_height_spread=0.0), box(20.0))
    road, tall, common = _variances(1.5)
    apart = 1 / (1 / road + 1 / tall)
    together = 1 / np.linalg.inv(np.array([[road, common], [common, tall]])).sum()
    assert ranges.deviation[0] == pytest.approx(20**2 * math.sqrt(together), rel=0.01)
    assert together > 1.2 * apart


def test_before_a_very_low_camera_the_height_alone_decides() -> None:
    """No weight is negative."""
    child = box(20.0, tall=1.5, height=0.25)
    ranges = of(ranging(height=0.25, camera_height_spread=0.0), child)
    assert ranges.depth == pytest.approx([20 * 1.7 / 1.5])


def test_of_a_box_cut_off_below_the_depth_is_a_guess() -> None:
    """Feet somewhere below the image: at most 1.5 m * 1000 px / 360 px = 4.17 m away."""
    ranges = of(ranging(), np.array([[500.0, 100.0, 700.0, 720.0]]))
    assert ranges.depth == pytest.approx([0.75 * 1500 / 360])
    assert ranges.deviation == pytest.approx([1500 / 360 * 0.5 / math.sqrt(12)])


def test_who_stands_above_the_horizon_has_a_distance_by_height_alone_if_any() -> None:
    above = np.array([[600.0, 200.0, 620.0, 240.0]])
    assert np.isnan(of(ranging(), above, 1).depth).all()
    assert np.isnan(of(ranging(), above, 1).deviation).all()
    assert np.isnan(of(ranging(), above, 1).feet).all()
    tiny = np.array([[600.0, 340.0, 602.0, 342.0]])
    assert np.isnan(of(ranging(), tiny, 1).depth).all()


@pytest.mark.parametrize("size", [(0, 0), (1, 0)])
def test_boxes_without_area_and_no_boxes_do_no_harm(size: tuple[int, int]) -> None:
    boxes = np.array([[600.0, 400.0, 600.0 + size[0], 400.0 + size[1]]])
    assert len(of(ranging(), boxes)) == 1
    assert len(of(ranging(), np.zeros((0, 4)))) == 0


def test_the_covariance_lies_along_the_ray() -> None:
    ranges = of(ranging(), box(20.0, x=4.0))
    covariance = ranges.covariance[0]
    assert covariance[2, 2] == pytest.approx(ranges.deviation[0] ** 2)
    assert covariance[0, 2] == pytest.approx(0.2 * covariance[2, 2])
    assert covariance[0, 2] == covariance[2, 0]
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_two_sigma_hold_what_they_should() -> None:
    """People and roads drawn as the config says, boxes as the constants do."""
    rng = np.random.default_rng(0)
    looking = ranging(height_spread=0.1, pitch_spread=0.5, camera_height_spread=0.15)
    depth = rng.uniform(8, 60, 4000)
    above = np.arctan(rng.normal(1.5, 0.15, 4000) / depth)
    foot = 360 + 1000 * np.tan(above - rng.normal(0, math.radians(0.5), 4000))
    high = 1000 * rng.normal(1.7, 0.1, 4000) / depth
    head = foot - high + rng.normal(0, np.hypot(0.03 * high, 0.7))
    foot = foot + rng.normal(0, np.hypot(0.075 * high, 0.7))
    boxes = np.stack((np.full(4000, 640.0), head, np.full(4000, 650.0), foot), 1)
    ranges = of(looking, boxes)
    inside = np.abs(ranges.depth - depth) <= 2 * ranges.deviation
    assert 0.94 < inside.mean() < 0.99
    assert np.median(np.abs(ranges.depth - depth) / depth) < 0.07


def test_the_pitch_is_followed_by_the_people() -> None:
    """The camera nods by 1 degree; the feet of a bicycle are then right, too."""
    looking = ranging(estimate_pitch=True)
    down = 1000 * math.tan(math.radians(1.0))
    boxes = np.concatenate([box(d) for d in (15.0, 25.0, 40.0)]) - (0, down, 0, down)
    for k in range(30):
        looking.learn(boxes, np.zeros(3, np.int32), 10**12 + k * 10**8, CAMERA)
    assert math.degrees(looking.pitch) == pytest.approx(1.0, abs=0.05)
    assert 0.15 <= math.degrees(looking.pitch_spread) < 0.5
    assert of(looking, boxes[1:2], 1).depth == pytest.approx([25.0], rel=0.03)
    still = ranging()
    still.learn(boxes, np.zeros(3, np.int32), 10**12, CAMERA)
    assert still.pitch == 0.0
    other = ranging(estimate_pitch=True)
    other.follow(looking)
    assert other.pitch == looking.pitch
    looking.reset()
    assert looking.pitch == 0.0


def test_bicycles_cut_boxes_and_old_frames_teach_no_pitch() -> None:
    looking = ranging(estimate_pitch=True)
    looking.learn(box(20.0) - 17, np.ones(1, np.int32), 10**12, CAMERA)
    looking.learn(np.array([[500.0, 100.0, 700.0, 720.0]]), PERSON, 10**12 + 1, CAMERA)
    looking.learn(box(20.0) - 17, PERSON, 10**12 - 1, CAMERA)
    assert looking.pitch == 0.0
    looking.learn(box(20.0) - 17, PERSON, 10**12 + 10**8, CAMERA)
    assert looking.pitch > 0.0


@pytest.mark.parametrize(
    ("distortion", "coefficients"),
    [("plumb_bob", (-0.3, 0.1, 0.001, -0.001, 0.0)), ("equidistant", (0.02, -0.01, 0.0, 0.0))],
)
def test_a_lens_is_taken_out(distortion: str, coefficients: tuple[float, ...]) -> None:
    """Someone 12 m ahead and 6 m to the right; nobody behind a fisheye's 90 degrees."""
    camera = CameraModel(1280, 720, 600.0, 600.0, 640.0, 360.0, distortion, coefficients)
    (x, foot), (_, head) = camera.project(np.array([[6.0, 1.5, 12.0], [6.0, -0.2, 12.0]]))
    boxes = np.array([[x - 10, head, x + 10, foot]])
    ranges = ranging().ranges(boxes, PERSON, camera)
    assert ranges.depth == pytest.approx([12.0], rel=0.01)
    assert ranges.feet[0] == pytest.approx([6.0, 1.5, 12.0], rel=0.02)
    if distortion == "equidistant":
        aside = np.array([[640 + 1000.0, 380, 640 + 1010, 440]])  # 95 degrees
        wide = CameraModel(2400, 720, 600.0, 600.0, 640.0, 360.0, distortion, coefficients)
        assert np.isnan(ranging().ranges(aside, PERSON, wide).depth).all()
