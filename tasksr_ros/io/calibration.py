"""Camera intrinsics from files: KITTI, ROS camera_info YAML, and ground truth JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasksr_ros.camera import COEFFICIENTS, CameraModel
from tasksr_ros.errors import ConfigError
from tasksr_ros.io import safe_yaml

KITTI_LEFT_COLOUR = 2
"""KITTI's camera 02, the one that `read_calibration` takes where none is named."""
_WITHOUT_AT_ZERO = ("plumb_bob", "rational_polynomial")
"""Distortion models that are none when all coefficients are zero."""
_ROI = ("x_offset", "y_offset", "width", "height")
_LEAST_FOCAL = 0.02
"""Of the image's width or height: no lens has less, so that its unit is not px."""
_WRONG_VALUES = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def read_calibration(
    path: str | Path, camera: int = KITTI_LEFT_COLOUR, *, rectified: bool = False
) -> CameraModel:
    """Read a camera from a calibration file of any known format.

    Args:
        path: KITTI's calib_cam_to_cam.txt, a ROS camera_info YAML (camera_calibration_parsers),
            or a ground truth JSON with a ``camera`` (``distortion_model`` and ``d`` as there).
        camera: which of KITTI's cameras; the other formats hold one.
        rectified: whether a camera_info's images are; KITTI's always are.

    Raises:
        ConfigError: where the file is missing or of none of these formats.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"calibration {path} cannot be read: {error}") from error
    if re.search(r"^P_rect_\d\d:", text, re.MULTILINE):
        return _from_kitti(path, text, camera)
    if path.suffix == ".json":
        return _from_ground_truth(path, text)
    return _from_camera_info(path, text, rectified)


def is_rectified(intrinsics: str, topic: str) -> bool:
    """Whether images are rectified.

    Args:
        intrinsics: "raw" or "rectified", or "auto": by the name.
        topic: of the images; ``image_rect`` and its kind are rectified ones.
    """
    named = re.search(r"(^|[/_])rect(ified)?([/_]|$)", topic, re.IGNORECASE) is not None
    return named if intrinsics == "auto" else intrinsics == "rectified"


def camera_from_info(info: Any, *, rectified: bool) -> CameraModel:
    """The intrinsics of the images that come with a CameraInfo.

    Rectified images have those of P, raw ones those of K and the distortion; where that matrix is
    not set, the other one is taken. Both are of the whole sensor: the region of interest is
    what of it is sent, binning by how much that is reduced.

    Args:
        info: a CameraInfo message, of any library and of ROS 1 or 2.
        rectified: whether the images are.

    Raises:
        ConfigError: where sizes or focal lengths are not positive (not calibrated: all zero) or
            not in px, the matrix is transposed or of another size, or the distortion is not known.
    """
    k, p, d = (_values(info, name) for name in "kpd")
    if rectified or not k[0] > 0:
        camera = _from_matrix(info.width, info.height, p, 4) if p[0] > 0 else None
        if camera is not None:
            return _sent(camera, info)
    camera = _from_matrix(info.width, info.height, k, 3)
    if not rectified:
        camera = replace(camera, **_distortion(str(info.distortion_model), d))
    return _sent(camera, info)


def _values(info: Any, name: str) -> list[float]:
    """Of one matrix of a CameraInfo; ROS 1 has it in capitals."""
    values = getattr(info, name, None)
    return [float(v) for v in (getattr(info, name.upper(), ()) if values is None else values)]


def _distortion(name: str, d: Sequence[float]) -> dict[str, Any]:
    """Fields of `CameraModel`; coefficients of zero at the end may be left out or added.

    Case does not matter in the name.
    """
    name, given = name.strip().lower(), list(d)
    while given and given[-1] == 0:
        given.pop()
    if not given and name in ("", "none", "pinhole", *_WITHOUT_AT_ZERO):
        return {}
    count = next((n for n in COEFFICIENTS.get(name, ()) if n >= len(given)), len(given))
    padded = [*given, *[0.0] * (count - len(given))]
    return {"distortion": name, "coefficients": tuple(padded)}


def _sent(camera: CameraModel, info: Any) -> CameraModel:
    """The part of the sensor that is sent, as it is sent."""
    roi = info.roi
    x, y = int(roi.x_offset), int(roi.y_offset)
    columns, rows = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    return replace(
        camera,
        width=(int(roi.width) or camera.width - x) // columns,
        height=(int(roi.height) or camera.height - y) // rows,
        fx=camera.fx / columns,
        fy=camera.fy / rows,
        cx=(camera.cx - x) / columns,
        cy=(camera.cy - y) / rows,
    )


def _from_matrix(width: int, height: int, matrix: Sequence[float], row_length: int) -> CameraModel:
    fx, cx = float(matrix[0]), float(matrix[2])
    fy, cy = float(matrix[row_length + 1]), float(matrix[row_length + 2])
    camera = CameraModel(width, height, fx, fy, cx, cy)
    if fx < _LEAST_FOCAL * width or fy < _LEAST_FOCAL * height:
        raise ConfigError(
            f"camera must have focal lengths in px of its {width}x{height} px image, "
            f"got fx {fx:g}, fy {fy:g}"
        )
    below = [v for k, v in enumerate(matrix) if k % row_length < min(2, k // row_length)]
    if any(below):
        raise ConfigError(
            f"camera matrix must be written row by row, with zeros below the diagonal, got "
            f"{', '.join(f'{v:g}' for v in matrix)}: is it transposed?"
        )
    if cx >= width and cy >= height:
        raise ConfigError(
            f"camera must have its principal point in its {width}x{height} px image, got "
            f"cx {cx:g}, cy {cy:g}: is it of images of another size?"
        )
    return camera


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


def _from_camera_info(path: Path, text: str, rectified: bool) -> CameraModel:
    try:
        info: Any = safe_yaml.parse(text.encode())
        size = int(info["image_width"]), int(info["image_height"])
        matrix = [float(v) for v in info["camera_matrix"]["data"]]
        projection = [float(v) for v in info.get("projection_matrix", {}).get("data", ())]
        distortion = [float(v) for v in info.get("distortion_coefficients", {}).get("data", ())]
        model = str(info.get("distortion_model", ""))
        binning = [int(info.get(f"binning_{axis}", 0)) for axis in "xy"]
        part = {name: int((info.get("roi") or {}).get(name, 0)) for name in _ROI}
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
    message = SimpleNamespace(
        width=size[0],
        height=size[1],
        k=matrix,
        p=projection or [0.0] * 12,
        d=distortion,
        distortion_model=model,
        binning_x=binning[0],
        binning_y=binning[1],
        roi=SimpleNamespace(**part),
    )
    try:
        return camera_from_info(message, rectified=rectified)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _from_ground_truth(path: Path, text: str) -> CameraModel:
    try:
        c: Any = json.loads(text)["camera"]
        width, height = int(c["width"]), int(c["height"])
        matrix = [float(c["fx"]), 0.0, float(c["cx"]), 0.0, float(c["fy"]), float(c["cy"])]
        model, d = str(c.get("distortion_model", "")), [float(v) for v in c.get("d", ())]
    except _WRONG_VALUES as error:
        raise ConfigError(
            f"{path} must have a camera with width, height, fx, fy, cx, cy; got {error!r}"
        ) from error
    try:
        return replace(_from_matrix(width, height, matrix, 3), **_distortion(model, d))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
