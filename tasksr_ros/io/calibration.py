"""Camera intrinsics from files: KITTI, ROS camera_info YAML, and ground truth JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError
from tasksr_ros.io import safe_yaml

KITTI_LEFT_COLOUR = 2
"""KITTI's camera 02, the one that `read_calibration` takes where none is named."""
_WRONG_VALUES = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def read_calibration(path: str | Path, camera: int = KITTI_LEFT_COLOUR) -> CameraModel:
    """Read a camera from a calibration file of any known format.

    Args:
        path: KITTI's calib_cam_to_cam.txt, a ROS camera_info YAML (camera_calibration_parsers),
            or a ground truth JSON with a ``camera``.
        camera: which of KITTI's cameras; the other formats hold one.

    Raises:
        ConfigError: where the file is missing or of none of these formats.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"calibration {path} cannot be read: {error}") from error
    if re.search(r"^P_rect_\d\d:", text, re.MULTILINE):
        return _from_kitti(path, text, camera)
    if path.suffix == ".json":
        return _from_ground_truth(path, text)
    return _from_camera_info(path, text)


def camera_from_info(
    width: int, height: int, k: Sequence[float], p: Sequence[float]
) -> CameraModel:
    """Build a camera from a CameraInfo's matrices: from P where it is set, else from K.

    Raises:
        ConfigError: where sizes or focal lengths are not positive.
    """
    if len(p) and p[0] > 0:
        return _from_matrix(width, height, p, 4)
    return _from_matrix(width, height, k, 3)


def _from_matrix(width: int, height: int, matrix: Sequence[float], row_length: int) -> CameraModel:
    fx, cx = float(matrix[0]), float(matrix[2])
    fy, cy = float(matrix[row_length + 1]), float(matrix[row_length + 2])
    return CameraModel(width, height, fx, fy, cx, cy)


def _from_kitti(path: Path, text: str, camera: int) -> CameraModel:
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = f"S_rect_{camera:02d}", f"P_rect_{camera:02d}"
    if any(name not in rows for name in names):
        known = sorted(int(k[-2:]) for k in rows if re.fullmatch(r"P_rect_\d\d", k))
        raise ConfigError(f"{path}: camera must be one of {known}, got {camera}")
    try:
        size, matrix = ([float(v) for v in rows[name].split()] for name in names)
        size = [round(v) for v in size]
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: camera {camera}: {error}") from error
    if len(size) != 2 or len(matrix) != 12:
        raise ConfigError(
            f"{path}: S_rect and P_rect must have 2 and 12 numbers, got {len(size)} "
            f"and {len(matrix)}"
        )
    return _from_matrix(int(size[0]), int(size[1]), matrix, 4)


def _from_camera_info(path: Path, text: str) -> CameraModel:
    try:
        info: Any = safe_yaml.parse(text.encode())
        size = int(info["image_width"]), int(info["image_height"])
        matrix = [float(v) for v in info["camera_matrix"]["data"]]
        projection = [float(v) for v in info.get("projection_matrix", {}).get("data", ())]
    except _WRONG_VALUES as error:
        raise ConfigError(
            f"{path} must be a KITTI calib_cam_to_cam.txt, a camera_info YAML with image_width, "
            f"image_height and camera_matrix, or a ground truth JSON with camera; got {error!r}"
        ) from error
    if len(matrix) != 9 or len(projection) not in (0, 12):
        raise ConfigError(
            f"{path}: camera_matrix and projection_matrix must have 9 and 12 numbers, "
            f"got {len(matrix)} and {len(projection)}"
        )
    return camera_from_info(*size, matrix, projection)


def _from_ground_truth(path: Path, text: str) -> CameraModel:
    try:
        c: Any = json.loads(text)["camera"]
        width, height = int(c["width"]), int(c["height"])
        matrix = [float(c["fx"]), 0.0, float(c["cx"]), 0.0, float(c["fy"]), float(c["cy"])]
    except _WRONG_VALUES as error:
        raise ConfigError(
            f"{path} must have a camera with width, height, fx, fy, cx, cy; got {error!r}"
        ) from error
    return _from_matrix(width, height, matrix, 3)
