"""Tests of tasksr_ros.regions."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RegionConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.regions import (
    Rect,
    Tile,
    cut_boxes,
    distance_rows,
    distant_band,
    near_tile,
    seen_whole_elsewhere,
    tiles,
)

SIZE = (1920, 1080)
CAMERA = CameraModel(1920, 1080, 1663.0, 1663.0, 960.0, 540.0)


def test_fixed_band_is_in_fractions_of_the_image() -> None:
    config = RegionConfig(top=0.4, bottom=0.6, left=0.25, right=0.5)
    assert distant_band(SIZE, config, None) == Rect(480, 432, 960, 648)


def test_full_band() -> None:
    assert distant_band((31, 17), RegionConfig(mode="full"), None) == Rect(0, 0, 31, 17)


def test_distance_rows_by_hand() -> None:
    """Camera at 1.4 m: a foot at 60 m is 1663 · 1.4 / 60 = 38.8 px below the horizon, a head of
    1.7 m is 1663 · 0.3 / 60 = 8.3 px above it: a band of 47 px."""
    config = RegionConfig(mode="distance", min_distance=60, max_distance=1000, pitch_margin=0)
    top, bottom = distance_rows(CAMERA, config)
    assert top == pytest.approx(540 - 1663 * 0.3 / 60)
    assert bottom == pytest.approx(540 + 1663 * 1.4 / 60)


def test_pitch_moves_the_band_and_the_margin_widens_it() -> None:
    level = RegionConfig(mode="distance", min_distance=60, max_distance=1000, pitch_margin=0)
    pitched = RegionConfig(
        mode="distance", min_distance=60, max_distance=1000, pitch_margin=0, camera_pitch=2
    )
    margin = RegionConfig(mode="distance", min_distance=60, max_distance=1000, pitch_margin=1)
    top, bottom = distance_rows(CAMERA, level)
    pitched_top, pitched_bottom = distance_rows(CAMERA, pitched)
    assert pitched_top - top == pytest.approx(-1663 * math.tan(math.radians(2)), abs=0.2)
    assert pitched_bottom - bottom == pytest.approx(-1663 * math.tan(math.radians(2)), abs=0.2)
    wide_top, wide_bottom = distance_rows(CAMERA, margin)
    assert wide_bottom - wide_top == pytest.approx(105, abs=0.5)


def test_every_person_between_the_distances_lies_in_the_band() -> None:
    config = RegionConfig(mode="distance", camera_pitch=1.5, min_distance=40, max_distance=150)
    band = distant_band(SIZE, config, CAMERA)
    pitch = math.radians(1.5)
    for distance in np.linspace(40, 150, 23):
        for above_road in (0.0, 1.7):
            angle = math.atan((1.4 - above_road) / distance) - pitch
            row = CAMERA.cy + CAMERA.fy * math.tan(angle)
            assert band.y0 <= row <= band.y1


BENT = {
    "plumb_bob": (-0.35, 0.12, 0.001, -0.001, 0.0),
    "rational_polynomial": (0.3, 0.05, 0.0, 0.001, 0.0, 0.7, 0.1, 0.0),
    "equidistant": (-0.02, 0.004, 0.0, 0.0),
}


def bent(distortion: str, f: float = 800.0) -> CameraModel:
    return CameraModel(1920, 1080, f, f, 960.0, 540.0, distortion, BENT[distortion])


@pytest.mark.parametrize("distortion", BENT)
@pytest.mark.parametrize("pitch", [-8.0, 0.0, 6.0])
def test_the_band_of_a_distorted_camera_holds_everyone(distortion: str, pitch: float) -> None:
    """People in front and aside, as OpenCV sees them; the pinhole's band would miss some."""
    camera = bent(distortion)
    config = RegionConfig(mode="distance", camera_pitch=pitch, pitch_margin=0.4)
    band = distant_band(SIZE, config, camera)
    tilt = math.radians(pitch)
    rows = []
    for distance in (40.0, 90.0, 150.0):
        for aside in np.linspace(-100, 100, 81):
            if distortion == "equidistant" and math.hypot(distance, aside) > 150:
                continue
            for down in (1.4, -0.3):
                y = down * math.cos(tilt) - distance * math.sin(tilt)
                z = down * math.sin(tilt) + distance * math.cos(tilt)
                u, v = seen(camera, (aside, y, z))
                if 0 <= u <= 1920:
                    rows.append(v)
    assert len(rows) > 150
    assert band.y0 <= min(rows)
    assert max(rows) <= band.y1
    straight = CameraModel(1920, 1080, 800.0, 800.0, 960.0, 540.0)
    missed = distant_band(SIZE, config, straight)
    if pitch:
        assert min(rows) < missed.y0 or max(rows) > missed.y1
    assert band.height < 260


def seen(camera: CameraModel, point: tuple[float, float, float]) -> tuple[float, float]:
    """By OpenCV, image px."""
    matrix = np.array(((camera.fx, 0, camera.cx), (0, camera.fy, camera.cy), (0, 0, 1)))
    nowhere, coefficients = np.zeros(3), np.array(camera.coefficients)
    fisheye = camera.distortion == "equidistant"
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    points = np.array(point).reshape(1, 1, 3)
    u, v = project(points, nowhere, nowhere, matrix, coefficients)[0].ravel()
    return float(u), float(v)


def test_the_columns_of_the_band_decide_of_its_rows() -> None:
    camera = bent("equidistant", f=500.0)
    heights = [
        distant_band(
            SIZE, RegionConfig(mode="distance", camera_pitch=8, left=a, right=b), camera
        ).height
        for a, b in ((0.0, 1.0), (0.25, 0.75), (0.45, 0.55))
    ]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3


def test_a_lens_that_bends_nothing_sees_as_a_pinhole_does() -> None:
    config = RegionConfig(mode="distance")
    pinhole = CameraModel(1920, 1200, 1600.0, 1600.0, 960.0, 600.0)
    assert distant_band((1920, 1200), config, pinhole) == Rect(0, 576, 1920, 668)
    tiny = replace(pinhole, distortion="plumb_bob", coefficients=(1e-9, 0.0, 0.0, 0.0))
    assert distant_band((1920, 1200), config, tiny) == Rect(0, 576, 1920, 668)


@pytest.mark.parametrize(
    ("camera", "band"),
    [
        # binned 2x2, and the lower part of the sensor: cases of cameras that send less than it
        (CameraModel(960, 600, 800.0, 800.0, 480.0, 300.0), Rect(0, 288, 960, 334)),
        (CameraModel(1920, 600, 1600.0, 1600.0, 960.0, 300.0), Rect(0, 276, 1920, 368)),
    ],
)
def test_the_band_of_what_is_sent(camera: CameraModel, band: Rect) -> None:
    size = (camera.width, camera.height)
    assert distant_band(size, RegionConfig(mode="distance"), camera) == band


@pytest.mark.parametrize(
    ("config", "camera", "message"),
    [
        (RegionConfig(mode="distance"), None, "needs the camera's intrinsics"),
        (
            RegionConfig(mode="distance"),
            CameraModel(640, 480, 500, 500, 320, 240),
            "the intrinsics are for 640x480 px, the image has 1920x1080 px",
        ),
        (RegionConfig(mode="distance", camera_pitch=40), CAMERA, "outside the image"),
        (
            RegionConfig(mode="distance"),
            replace(CAMERA, distortion="plumb_bob", coefficients=(-0.2, -0.2, -3.5e307, 0.2, -0.1)),
            r"the distortion \(plumb_bob, \[-0.2, .* must give image px for rays to people",
        ),
    ],
)
def test_distance_mode_names_what_is_wrong(
    config: RegionConfig, camera: CameraModel | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        distant_band(SIZE, config, camera)


@pytest.mark.parametrize("image_size", [(1920, 1080), (1242, 375), (321, 97), (100, 50), (1, 1)])
@pytest.mark.parametrize("overlap", [0, 31, 32])
def test_tiles_cover_the_band_and_stay_inside(image_size: tuple[int, int], overlap: int) -> None:
    width, height = image_size
    band = Rect(0, height // 3, width, max(height // 3 + 1, height * 2 // 3))
    covered = np.zeros((height, width), bool)
    for tile in tiles(band, image_size, (320, 96), overlap):
        rect = tile.rect
        assert 0 <= rect.x0 < rect.x1 <= width
        assert 0 <= rect.y0 < rect.y1 <= height
        assert tile.size == (min(320, width), min(96, height))
        covered[rect.y0 : rect.y1, rect.x0 : rect.x1] = True
    assert covered[band.y0 : band.y1, band.x0 : band.x1].all()


def test_tiles_literal() -> None:
    found = tiles(Rect(0, 100, 900, 150), (900, 400), (320, 96), 20)
    assert [tile.rect for tile in found] == [
        Rect(0, 77, 320, 173),
        Rect(290, 77, 610, 173),
        Rect(580, 77, 900, 173),
    ]
    assert [tile.inner for tile in found] == [
        (False, False, True, False),
        (True, False, True, False),
        (True, False, False, False),
    ]


def test_neighbouring_tiles_overlap_at_least_as_asked() -> None:
    found = tiles(Rect(0, 0, 1913, 301), (1913, 301), (320, 96), 33)
    columns = sorted({tile.rect.x0 for tile in found})
    rows = sorted({tile.rect.y0 for tile in found})
    assert max(np.diff(columns)) <= 320 - 33
    assert max(np.diff(rows)) <= 96 - 33


def test_overlap_as_large_as_a_tile_is_refused() -> None:
    with pytest.raises(ConfigError, match="less than the region's sides"):
        tiles(Rect(0, 0, 10, 10), (10, 10), (320, 96), 96)


@pytest.mark.parametrize("image_size", [(1921, 1083), (1242, 375), (97, 61)])
@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_boxes_go_to_sr_and_back_exactly(image_size: tuple[int, int], scale_factor: int) -> None:
    rng = np.random.default_rng(0)
    band = Rect(0, 0, *image_size)
    all_tiles = [
        *tiles(band, image_size, (320, 96), 17),
        near_tile(image_size, (320, 96)),
    ]
    boxes = rng.uniform(-50, 2000, (20, 4))
    for tile in all_tiles:
        there_and_back = tile.to_image(tile.to_sr(boxes, scale_factor), scale_factor)
        np.testing.assert_allclose(there_and_back, boxes, atol=1e-9)


def test_to_image_literal() -> None:
    tile = Tile(Rect(290, 77, 610, 173), (320, 96))
    box = tile.to_image(np.array([[4.0, 8.0, 44.0, 100.0]]), 4)
    assert box.tolist() == [[291.0, 79.0, 301.0, 102.0]]
    reduced = Tile(Rect(0, 0, 1920, 1080), (160, 90))
    assert reduced.to_image(np.array([[4.0, 8.0, 44.0, 100.0]]), 4).tolist() == [
        [12.0, 24.0, 132.0, 300.0]
    ]


def test_near_tile_keeps_the_aspect_and_never_enlarges() -> None:
    assert near_tile((1920, 1080), (320, 96)).size == (171, 96)
    assert near_tile((1242, 375), (320, 96)).size == (318, 96)
    assert near_tile((200, 50), (320, 96)).size == (200, 50)


def test_pixels_are_rgb_and_padded_by_repeating_edges() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    tile = tiles(Rect(0, 0, 3, 2), (3, 2), (5, 4), 0)[0]
    pixels = tile.pixels(Frame(image, encoding="bgr8"), (5, 4))
    assert pixels.shape == (4, 5, 3)
    np.testing.assert_array_equal(pixels[:2, :3], image[..., ::-1])
    np.testing.assert_array_equal(pixels[3], pixels[1])
    np.testing.assert_array_equal(pixels[:, 4], pixels[:, 2])


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8"])
def test_pixels_go_where_they_are_wanted(encoding: str) -> None:
    frame = Frame(np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3), encoding=encoding)
    tile = tiles(Rect(0, 0, 3, 2), (3, 2), (5, 4), 0)[0]
    memory = np.full((4, 5, 3), 255, np.uint8)
    assert tile.pixels(frame, (5, 4), memory) is memory
    blue = [0, 3, 6, 6, 6] if encoding == "rgb8" else [2, 5, 8, 8, 8]
    assert memory[0, :, 0].tolist() == blue
    assert memory[1:, :, 0].tolist() == [[value + 9 for value in blue]] * 3


@pytest.mark.parametrize("encoding", ["mono8", "rgba8", "rgb8"])
def test_reduced_pixels_of_every_encoding(encoding: str) -> None:
    channels = {"mono8": 1, "rgba8": 4, "rgb8": 3}[encoding]
    image = np.full((200, 700, channels), 90, np.uint8)
    tile = near_tile((700, 200), (320, 96))
    pixels = tile.pixels(Frame(image, encoding=encoding), (320, 96))
    assert pixels.shape == (96, 320, 3)
    assert (pixels == 90).all()


def test_small_boxes_cut_at_an_inner_side_are_the_neighbours() -> None:
    tile = Tile(Rect(290, 77, 610, 173), (320, 96), (True, False, True, False))
    boxes = np.array(
        [
            [0.5, 20, 12, 50],  # cut on the left, small: the neighbour sees it whole
            [-3, 20, 40, 50],  # cut on the left, wider than the overlap
            [0, 20, 31, 50],  # as wide as the overlap: the neighbour may see it cut, too
            [310, 20, 321, 50],  # cut on the right, small
            [100, 0, 110, 30],  # touches the top, where no neighbour is
            [100, 20, 110, 50],
        ]
    )
    assert cut_boxes(tile, boxes).tolist() == [True, True, True, True, False, False]
    elsewhere = seen_whole_elsewhere(tile, boxes, 32)
    assert elsewhere.tolist() == [True, False, False, True, False, False]


def test_a_very_steep_camera_has_finite_rows() -> None:
    config = RegionConfig(mode="distance", camera_pitch=-45, min_distance=1, max_distance=2)
    top, bottom = distance_rows(CAMERA, config)
    assert math.isfinite(top)
    assert top < bottom


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, 0.0])
def test_cameras_with_impossible_intrinsics_are_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="positive size and focal lengths"):
        CameraModel(640, 480, wrong, 500, 320, 240)
