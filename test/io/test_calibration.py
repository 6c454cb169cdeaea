from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.calibration import read_calibration

KITTI = """calib_time: 09-Jan-2012 13:57:47
S_02: 1.392000e+03 5.120000e+02
K_02: 9.0e+02 0 6.9e+02 0 9.1e+02 2.2e+02 0 0 1
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 7.2e+02 0 6.1e+02 4.4e+01 0 7.3e+02 1.7e+02 2.1e-01 0 0 1 2.7e-03
S_rect_03: 1.241000e+03 3.740000e+02
P_rect_03: 7.1e+02 0 6.0e+02 4.4e+01 0 7.0e+02 1.6e+02 2.1e-01 0 0 1 2.7e-03
"""
CAMERA_INFO = """image_width: 1280
image_height: 720
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [1000.0, 0.0, 640.0, 0.0, 1001.0, 360.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""
PROJECTION = """projection_matrix:
  rows: 3
  cols: 4
  data: [900.0, 0.0, 630.0, 0.0, 0.0, 901.0, 350.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_kitti_rectified_cameras(tmp_path: Path) -> None:
    path = written(tmp_path, "calib_cam_to_cam.txt", KITTI)
    assert read_calibration(path) == CameraModel(1242, 375, 720, 730, 610, 170)
    assert read_calibration(path, camera=3) == CameraModel(1241, 374, 710, 700, 600, 160)
    with pytest.raises(ConfigError, match=r"camera must be one of \[2, 3\], got 7"):
        read_calibration(path, camera=7)


def test_camera_info_from_k_and_from_p(tmp_path: Path) -> None:
    k_only = written(tmp_path, "k.yaml", CAMERA_INFO)
    assert read_calibration(k_only) == CameraModel(1280, 720, 1000, 1001, 640, 360)
    both = written(tmp_path, "p.yaml", CAMERA_INFO + PROJECTION)
    assert read_calibration(both) == CameraModel(1280, 720, 900, 901, 630, 350)
    unset = written(tmp_path, "0.yaml", CAMERA_INFO + PROJECTION.replace("900.0", "0.0"))
    assert read_calibration(unset).fx == 1000


def test_ground_truth(tmp_path: Path) -> None:
    camera = {"width": 640, "height": 480, "fx": 500.5, "fy": 501, "cx": 320, "cy": 240}
    path = written(tmp_path, "ground_truth.json", json.dumps({"images": [], "camera": camera}))
    assert read_calibration(path) == CameraModel(640, 480, 500.5, 501, 320, 240)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "image_width: [", "must be a KITTI calib_cam_to_cam.txt, a camera_info YAML"),
        ("a.yaml", "just words", "must be a KITTI"),
        ("a.yaml", "- 1\n- 2\n", "must be a KITTI"),
        ("a.yaml", CAMERA_INFO.replace("1280", "wide"), "must be a KITTI"),
        ("a.yaml", CAMERA_INFO.replace(", 1.0]", "]"), "must have 9 and 12 numbers, got 8 and 0"),
        ("a.yaml", CAMERA_INFO.replace("1000.0", "-1"), "positive size and focal lengths"),
        ("a.yaml", CAMERA_INFO.replace("720", "0"), "1280x0 px"),
        ("a.yaml", CAMERA_INFO.replace("1001.0", ".nan"), "fy nan"),
        ("a.txt", KITTI.replace("7.2e+02", "seven"), "camera 2: could not convert"),
        ("a.txt", KITTI.replace(" 2.7e-03", ""), "must have 2 and 12 numbers, got 2 and 11"),
        ("a.json", "{}", "must have a camera with width, height, fx, fy, cx, cy"),
        ("a.json", '{"camera": 3}', "must have a camera"),
        ("a.json", "{", "must have a camera"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_calibration(written(tmp_path, name, text))
    assert message in str(error.value)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        read_calibration(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_calibration(tmp_path / "binary.yaml")


def test_the_real_kitti_file(shared: Path) -> None:
    path = shared / "data/kitti_drive_0005/calib_cam_to_cam.txt"
    assert read_calibration(path) == CameraModel(1242, 375, 721.5377, 721.5377, 609.5593, 172.854)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calib_cam_to_cam.txt", KITTI.replace("1.242000e+03", "inf")),
        ("info.yaml", CAMERA_INFO.replace("1280", ".inf")),
        ("info.yaml", CAMERA_INFO + "projection_matrix: null\n"),
        ("info.yaml", CAMERA_INFO + "projection_matrix: {data: null}\n"),
        ("truth.json", '{"camera": {"width": Infinity, "height": 1}}'),
        ("truth.json", "[" * 10),
    ],
)
def test_odd_values_are_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(name)):
        read_calibration(written(tmp_path, name, text))
