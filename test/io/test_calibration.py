from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.calibration import camera_from_info, is_rectified, read_calibration

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
    assert read_calibration(both) == CameraModel(1280, 720, 1000, 1001, 640, 360)
    assert read_calibration(both, rectified=True) == CameraModel(1280, 720, 900, 901, 630, 350)
    unset = written(tmp_path, "0.yaml", CAMERA_INFO + PROJECTION.replace("900.0", "0.0"))
    assert read_calibration(unset, rectified=True).fx == 1000


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


def info(
    k: float = 1600.0,
    p: float = 1600.0,
    model: str = "plumb_bob",
    d: tuple[float, ...] = (0.0,) * 5,
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    size: tuple[int, int] = (1920, 1200),
) -> SimpleNamespace:
    """A CameraInfo of a sensor of 1920x1200 px; roi is x, y, width, height."""
    return SimpleNamespace(
        width=size[0],
        height=size[1],
        k=[k, 0, 960.0 * (k > 0), 0, k, 600.0 * (k > 0), 0, 0, 1],
        p=[p, 0, 950.0 * (p > 0), 0, 0, p, 590.0 * (p > 0), 0, 0, 0, 1, 0],
        d=list(d),
        distortion_model=model,
        binning_x=binning[0],
        binning_y=binning[1],
        roi=SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3]),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (info(), (1920, 1200, 1600, 1600, 960, 600)),
        (info(binning=(1, 1)), (1920, 1200, 1600, 1600, 960, 600)),
        (info(binning=(2, 2)), (960, 600, 800, 800, 480, 300)),
        (info(binning=(2, 1)), (960, 1200, 800, 1600, 480, 600)),
        (info(binning=(0, 4)), (1920, 300, 1600, 400, 960, 150)),
        (info(roi=(0, 300, 1920, 600)), (1920, 600, 1600, 1600, 960, 300)),
        (info(roi=(160, 300, 1600, 600), binning=(2, 2)), (800, 300, 800, 800, 400, 150)),
        (info(roi=(160, 300, 0, 0)), (1760, 900, 1600, 1600, 800, 300)),
        # width and height are already those of the part that is sent
        (info(roi=(0, 300, 1920, 600), size=(1920, 600)), (1920, 600, 1600, 1600, 960, 300)),
    ],
)
def test_binning_and_region_of_interest(
    given: SimpleNamespace, expected: tuple[float, ...]
) -> None:
    assert camera_from_info(given, rectified=False) == CameraModel(*expected)


def test_k_is_of_raw_images_and_p_of_rectified_ones() -> None:
    bent = info(k=1600.0, p=1500.0, d=(-0.3, 0.1, 0.0, 0.0, 0.02))
    raw = camera_from_info(bent, rectified=False)
    assert (raw.fx, raw.cy) == (1600, 600)
    assert (raw.distortion, raw.coefficients) == ("plumb_bob", (-0.3, 0.1, 0.0, 0.0, 0.02))
    rectified = camera_from_info(bent, rectified=True)
    assert rectified == CameraModel(1920, 1200, 1500, 1500, 950, 590)
    half = info(p=1500.0, roi=(0, 300, 1920, 600), binning=(2, 2))
    assert camera_from_info(half, rectified=True) == CameraModel(960, 300, 750, 750, 475, 145)


def test_the_other_matrix_where_one_is_not_set() -> None:
    assert camera_from_info(info(p=0.0), rectified=True).fx == 1600
    assert camera_from_info(info(k=0.0, p=1500.0, d=(0.1,)), rectified=False).fx == 1500
    for rectified in (False, True):
        with pytest.raises(ConfigError, match="got 1920x1200 px, fx 0, fy 0"):
            camera_from_info(info(k=0.0, p=0.0), rectified=rectified)


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", (), ("", ())),
        ("", (), ("", ())),
        ("none", (0.0,), ("", ())),
        ("rational_polynomial", (0.0,) * 8, ("", ())),
        ("plumb_bob", (-0.3,), ("plumb_bob", (-0.3, 0, 0, 0))),
        ("plumb_bob", (-0.3, 0.1, 0, 0, 0, 0, 0, 0), ("plumb_bob", (-0.3, 0.1, 0, 0))),
        ("rational_polynomial", (0, 0, 0, 0, 0, 1.0), None),
        ("equidistant", (), ("equidistant", (0, 0, 0, 0))),  # no pinhole even so
        ("equidistant", (0.1, 0.2, 0.3, 0.4), ("equidistant", (0.1, 0.2, 0.3, 0.4))),
    ],
)
def test_distortion_is_honoured(
    model: str, d: tuple[float, ...], expected: tuple[str, tuple[float, ...]] | None
) -> None:
    camera = camera_from_info(info(model=model, d=d), rectified=False)
    wanted = expected or ("rational_polynomial", (0, 0, 0, 0, 0, 1.0, 0, 0))
    assert (camera.distortion, camera.coefficients) == wanted


@pytest.mark.parametrize(
    ("model", "d", "message"),
    [
        ("fisheye62", (0.0,) * 4, "got 'fisheye62'"),
        ("kannala_brandt", (), "got 'kannala_brandt'"),
        ("", (0.1,), "equidistant, got ''"),
        ("equidistant", (0.1, 0, 0, 0, 0.2), "must have 4 finite coefficients"),
    ],
)
def test_an_unknown_distortion_is_refused_by_name(
    model: str, d: tuple[float, ...], message: str
) -> None:
    given = info(model=model, d=d)
    with pytest.raises(ConfigError, match=message):
        camera_from_info(given, rectified=False)
    assert camera_from_info(given, rectified=True).fx == 1600  # there it does not matter


@pytest.mark.parametrize(
    ("model", "d", "known"),
    [
        ("PLUMB_BOB", (0.1, 0, 0, 0, 0), ("plumb_bob", (0.1, 0, 0, 0))),
        (" Equidistant", (0.1, 0, 0, 0), ("equidistant", (0.1, 0, 0, 0))),
        ("Plumb_Bob", (0.0,) * 5, ("", ())),
    ],
)
def test_case_does_not_matter_in_the_name_of_a_distortion(
    model: str, d: tuple[float, ...], known: tuple[str, tuple[float, ...]]
) -> None:
    camera = camera_from_info(info(model=model, d=d), rectified=False)
    assert (camera.distortion, camera.coefficients) == known


def test_a_name_that_is_no_name_is_shown_in_part() -> None:
    with pytest.raises(ConfigError, match=r"got 'x{20,60}$"):
        camera_from_info(info(model="x" * 9000, d=(0.1,)), rectified=False)


def test_ros_1_has_matrices_in_capitals() -> None:
    given = info(p=1500.0)
    given.K, given.P, given.D = given.k, given.p, given.d
    del given.k, given.p, given.d
    assert camera_from_info(given, rectified=False).fx == 1600
    assert camera_from_info(given, rectified=True).fx == 1500


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/cam/image_rect", True),
        ("/cam/image_rect_color", True),
        ("/stereo/left/image_rect/compressed", True),
        ("/rectified/left", True),
        ("/infra1/image_rect_raw", True),
        ("/cam/image_raw", False),
        ("/cam/image", False),
        ("/direct/image", False),
        ("/rectangle/image", False),
        ("/cam/image_unrectified", False),
    ],
)
def test_rectified_topics_by_name(topic: str, rectified: bool) -> None:
    assert is_rectified("auto", topic) == rectified
    assert is_rectified("rectified", topic)
    assert not is_rectified("raw", topic)


def test_a_distorted_camera_info_file(tmp_path: Path) -> None:
    bent = CAMERA_INFO.replace("data: [0, 0, 0, 0, 0]", "data: [-0.3, 0.1, 0, 0, 0]")
    path = written(tmp_path, "bent.yaml", bent + PROJECTION)
    assert read_calibration(path).distortion == "plumb_bob"
    assert read_calibration(path, rectified=True) == CameraModel(1280, 720, 900, 901, 630, 350)
    unknown = written(tmp_path, "u.yaml", bent.replace("plumb_bob", "omni"))
    with pytest.raises(ConfigError, match=r"u\.yaml: distortion_model must be .* got 'omni'"):
        read_calibration(unknown)


def test_binning_and_region_of_a_file(tmp_path: Path) -> None:
    more = "binning_x: 2\nbinning_y: 4\nroi: {x_offset: 40, y_offset: 60, width: 800, height: 400}"
    path = written(tmp_path, "c.yaml", CAMERA_INFO + more)
    assert read_calibration(path) == CameraModel(400, 100, 500, 250.25, 300, 75)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("[1000.0, 0, 0, 0, 1001.0, 0, 640, 360, 1]", "is it transposed?"),
        (
            "[3000.0, 0, 1920, 0, 3003.0, 1080, 0, 0, 1]",
            "camera must have its principal point in its 1280x720 px image, got cx 1920, cy 1080: "
            "is it of images of another size?",
        ),
    ],
)
def test_matrices_of_another_order_or_size_are_refused(
    tmp_path: Path, matrix: str, message: str
) -> None:
    text = (
        f"image_width: 1280\nimage_height: 720\ncamera_matrix: {{rows: 3, cols: 3, data: {matrix}}}"
    )
    with pytest.raises(ConfigError) as caught:
        read_calibration(written(tmp_path, "c.yaml", text))
    assert str(caught.value).endswith(message)


def test_a_principal_point_beside_the_image_is_of_a_part_of_the_sensor(tmp_path: Path) -> None:
    """Rows above the horizon alone."""
    matrix = "[1000.0, 0, 640, 0, 1000.0, 300, 0, 0, 1]"
    text = f"image_width: 1280\nimage_height: 200\ncamera_matrix: {{data: {matrix}}}"
    assert read_calibration(written(tmp_path, "c.yaml", text)).cy == 300


@pytest.mark.parametrize("focal", ["4.2", "0.78"])
def test_focal_lengths_in_another_unit_are_refused(tmp_path: Path, focal: str) -> None:
    """In mm, or as a share of the image's size."""
    text = CAMERA_INFO.replace("1000.0", focal).replace("1001.0", focal)
    message = rf"focal lengths in px of its 1280x720 px image, got fx {focal}, fy {focal}$"
    with pytest.raises(ConfigError, match=message):
        read_calibration(written(tmp_path, "c.yaml", text))
    widest = CAMERA_INFO.replace("1000.0", "26.0").replace("1001.0", "15.0")
    assert read_calibration(written(tmp_path, "w.yaml", widest)).fx == 26


def test_the_distortion_of_a_ground_truth(tmp_path: Path) -> None:
    camera = {"width": 640, "height": 480, "fx": 500, "fy": 500, "cx": 320, "cy": 240}
    lens = {"distortion_model": "equidistant", "d": [0.1, 0, 0, 0]}
    path = written(tmp_path, "gt.json", json.dumps({"camera": {**camera, **lens}}))
    assert read_calibration(path) == CameraModel(
        640, 480, 500, 500, 320, 240, "equidistant", (0.1, 0, 0, 0)
    )
    lens["distortion_model"] = "omnidirectional"
    path = written(tmp_path, "gt.json", json.dumps({"camera": {**camera, **lens}}))
    with pytest.raises(ConfigError, match=r"gt\.json: distortion_model must be one of plumb_bob"):
        read_calibration(path)
