"""Mutated CameraInfo: each gives a camera whose band lies in the image, or ConfigError.

The long form is part of ``make fuzz``.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from mutation import dice_of, mutated
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.camera import COEFFICIENTS, CameraModel
from tasksr_ros.config import RegionConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.calibration import camera_from_info
from tasksr_ros.io.make_bag import CAMERA_INFO
from tasksr_ros.regions import distant_band

TYPES = get_typestore(Stores.ROS2_JAZZY)
BAND = RegionConfig(mode="distance")
LENSES = (*COEFFICIENTS, "", "none", "fisheye", "PLUMB_BOB", "Thin Prism", "\0", "x" * 5000)
WILD = (0.0, -0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), 1e9, -1e9, 3.0)
LONG = (pytest.mark.soak, pytest.mark.slow)


def info(dice: random.Random) -> Any:
    """A CameraInfo, some of whose values are not what they should be."""
    kinds = TYPES.types
    lens = dice.choice(LENSES) if dice.random() < 0.5 else dice.choice(list(COEFFICIENTS))
    count = dice.choice((*COEFFICIENTS.get(lens, ()), 0, 4, 5, 7, 20))
    k = [800.0, 0.0, 320.0, 0.0, 800.0, 120.0, 0.0, 0.0, 1.0]
    p = [800.0, 0.0, 320.0, 0.0, 0.0, 800.0, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    d = [dice.uniform(-0.3, 0.3) for _ in range(count)]
    for values in (k, p, d):
        if values and dice.random() < 0.3:
            values[dice.randrange(len(values))] = dice.choice(WILD)
    whole = [0, 0, 0, 0, 0, 0]
    if dice.random() < 0.3:
        whole[dice.randrange(6)] = dice.choice((1, 2, 3, 100, 239, 240, 640, 2**32 - 1))
    binning_x, binning_y, x, y, width, height = whole
    region = kinds["sensor_msgs/msg/RegionOfInterest"](x, y, height, width, do_rectify=False)
    sizes = [640, 240]
    if dice.random() < 0.2:
        sizes[dice.randrange(2)] = dice.choice((0, 1, 100_000, 2**32 - 1))
    time = kinds["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    return kinds[CAMERA_INFO](
        header=kinds["std_msgs/msg/Header"](stamp=time, frame_id="camera"),
        width=sizes[0], height=sizes[1], distortion_model=lens, d=np.array(d), k=np.array(k),
        r=np.eye(3).ravel(), p=np.array(p), binning_x=binning_x, binning_y=binning_y, roi=region,
    )  # fmt: skip


def as_sent(dice: random.Random) -> Any:
    """The message, half of the time of mutated bytes; None where these are no such message."""
    message = info(dice)
    if dice.random() < 0.5:
        return message
    wire = mutated(bytes(TYPES.serialize_cdr(message, CAMERA_INFO)), dice)
    try:
        return TYPES.deserialize_cdr(wire, CAMERA_INFO)
    except Exception:  # as in bags, which catch whatever the parser raises
        return None


def outcome(message: Any, dice: random.Random) -> str:
    """What becomes of a message; a camera must be right in itself."""
    if message is None:
        return "no message"
    try:
        camera = camera_from_info(message, rectified=dice.random() < 0.3)
        assert isinstance(camera, CameraModel)
        size = camera.width, camera.height
        band = distant_band(size, BAND, camera)
    except ConfigError as error:
        assert 10 < len(str(error)) < 500, str(error)[:600]
        return "rejected"
    assert (band.x0, band.x1) == (0, size[0])
    assert 0 <= band.y0 < band.y1 <= size[1]
    return "accepted"


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=LONG)])
def test_mutated_camera_infos(count: int) -> None:
    counts: Counter[str] = Counter()
    for number in range(count):
        dice = dice_of("CameraInfo", number)
        message = as_sent(dice)
        try:
            counts[outcome(message, dice)] += 1
        except Exception as error:
            raise AssertionError(f"number {number}: {error!r:.300}") from error
    print(dict(counts))
    assert min(counts.values()) > count / 20
    assert len(counts) == 3
