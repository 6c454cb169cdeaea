"""The public API: what `import tasksr_ros` offers, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import tasksr_ros
from tasksr_ros.detections import Detections
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model
from tasksr_ros.pipeline import Pipeline

CHECK = """
import json, sys, time
start = time.perf_counter()
import tasksr_ros
took = time.perf_counter() - start
heavy = [name for name in ("torch", "numpy", "cv2", "openvino", "rclpy") if name in sys.modules]
print(json.dumps([took, heavy]))
"""


def test_importing_the_package_is_cheap() -> None:
    runs = [
        json.loads(subprocess.check_output([sys.executable, "-c", CHECK], text=True))
        for _ in range(3)
    ]
    assert [heavy for _, heavy in runs] == [[], [], []]
    assert min(took for took, _ in runs) < 0.05


def test_what_is_exported_is_what_it_says() -> None:
    assert tasksr_ros.Detections is Detections
    assert tasksr_ros.Frame is Frame
    assert tasksr_ros.Pipeline is Pipeline
    assert tasksr_ros.load_model is load_model
    assert set(dir(tasksr_ros)) == {"Detections", "Frame", "Pipeline", "__version__", "load_model"}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = tasksr_ros.nothing
