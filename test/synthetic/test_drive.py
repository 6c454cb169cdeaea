from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.synthetic.clutter import KINDS, draw_clutter
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive
from tasksr_ros.synthetic.people import draw_person, random_look
from tasksr_ros.synthetic.sensor import Sensor
from tasksr_ros.synthetic.sprites import Patch, Sprite, composite, motion_blur, place, visible_share
from tasksr_ros.synthetic.street import Scenery, View, draw_scenery
from tasksr_ros.synthetic.textures import build_scenery

CAMERA = CameraModel(1280, 720, 1000, 1000, 640, 360)
SMALL = DriveConfig(width=480, height=270, num_frames=40, seed=5, jpeg_quality=0)
FOCAL = 240 / math.tan(math.radians(30))


@pytest.fixture(scope="module")
def small() -> GeneratedDrive:
    """The drive that most tests look at."""
    return GeneratedDrive(SMALL)


@pytest.fixture(scope="module")
def scenery() -> Scenery:
    """A street for a camera of 1280x720 px and f = 1000 px."""
    return build_scenery(np.random.default_rng(0), CAMERA, 0.0, sunny=False)


def test_focal_length_follows_from_the_field_of_view(small: GeneratedDrive) -> None:
    camera = small.camera
    assert (camera.fx, camera.fy) == pytest.approx((FOCAL, FOCAL))
    assert camera == CameraModel(480, 270, camera.fx, camera.fy, 240, 135)


def test_a_frame_is_the_same_in_any_order_and_in_another_drive(small: GeneratedDrive) -> None:
    first, second = small, GeneratedDrive(SMALL)
    second.frame(9)
    later, annotations = second.frame(3)
    frame, again = first.frame(3)
    assert np.array_equal(frame.image, later.image)
    assert annotations == again
    assert not np.array_equal(first.frame(4)[0].image, frame.image)


def test_another_seed_gives_another_street(small: GeneratedDrive) -> None:
    other = GeneratedDrive(replace(SMALL, seed=6)).frame(0)[0].image
    difference = cv2.absdiff(other, small.frame(0)[0].image)
    assert difference.mean() > 10


def test_frames_say_what_they_are() -> None:
    drive = GeneratedDrive(replace(SMALL, fps=4.0, start_ns=1_000))
    frame, _ = drive.frame(3)
    assert len(drive) == 40
    assert (frame.encoding, frame.stamp_ns, frame.size) == ("bgr8", 750_001_000, (480, 270))
    with pytest.raises(IndexError, match="between 0 and 39, got 40"):
        drive.frame(40)


def test_people_are_where_their_distance_says() -> None:
    drive = GeneratedDrive(replace(SMALL, pitch_deg=0.0))
    checked = 0
    for index in range(0, 40, 8):
        for person in drive.frame(index)[1]:
            scale = FOCAL / person.distance_m
            assert 1.35 * scale < person.height < 1.95 * scale
            if person.vis_ratio > 0.99 and person.bbox[1] + person.bbox[3] < 269:
                # soles 1.4 m below the camera on the road, 0.12 m less on the pavement
                drop = (person.bbox[1] + person.bbox[3] - 135) / scale
                assert 1.28 - 0.06 - 0.5 / scale < drop < 1.4 + 0.06 + 0.5 / scale
                checked += 1
    assert checked > 15


def test_boxes_are_tight_and_nothing_else_differs_from_the_empty_street() -> None:
    with_people = GeneratedDrive(replace(SMALL, num_pedestrians=5))
    empty = GeneratedDrive(replace(SMALL, num_pedestrians=0))
    tight = 0
    for index in (0, 10, 20, 30):
        frame, people = with_people.frame(index)
        bare, nobody = empty.frame(index)
        assert nobody == []
        changed = cv2.absdiff(frame.image, bare.image).max(axis=2)
        elsewhere = changed.copy()
        for person in people:
            x, y, w, h = person.bbox
            margin = 0.7 * FOCAL / person.distance_m + 3  # shadows are wider than people
            elsewhere[
                max(0, int(y - 4)) : int(y + h + margin),
                max(0, int(x - margin)) : int(x + w + margin),
            ] = 0
            alone = all(abs(x - p.bbox[0]) > 15 for p in people if p is not person)
            if person.vis_ratio > 0.99 and person.height > 12 and alone:
                column = changed[: int(y + h), int(x) : math.ceil(x + w)].max(axis=1)
                assert abs(int(np.flatnonzero(column > 12)[0]) - y) <= 2
                tight += 1
        assert elsewhere.max() == 0
    assert tight >= 2


def test_people_appear_over_the_whole_range() -> None:
    drive = GeneratedDrive(replace(SMALL, width=160, height=90, num_frames=200, fps=2.0))
    distances = [p.distance_m for i in range(0, 200, 13) for p in drive.frame(i)[1]]
    counts, _ = np.histogram(distances, bins=np.arange(20, 151, 13))
    assert counts.min() >= 5
    assert max(distances) <= 150
    assert len({p.track_id for i in (0, 60, 120, 180) for p in drive.frame(i)[1]}) > 40


def test_a_track_comes_nearer_at_the_speed_of_the_vehicle_and_its_own(
    small: GeneratedDrive,
) -> None:
    before = {p.track_id: p.distance_m for p in small.frame(10)[1]}
    after = {p.track_id: p.distance_m for p in small.frame(20)[1]}
    steps = [before[k] - after[k] for k in before.keys() & after.keys()]
    assert len(steps) >= 8
    assert all(10 - 1.71 <= step <= 10 + 1.71 for step in steps)


def test_hidden_and_tiny_people_are_ignored() -> None:
    drive = GeneratedDrive(replace(SMALL, num_pedestrians=40))
    people = [p for i in range(0, 40, 20) for p in drive.frame(i)[1]]
    assert {p.ignore for p in people} == {True, False}
    assert all(
        p.ignore == (p.vis_ratio < 0.35 or p.height < 6)
        for p in people
        if abs(p.vis_ratio - 0.35) > 0.001
    )


def test_jpeg_and_frame_are_the_same_picture() -> None:
    drive = GeneratedDrive(replace(SMALL, jpeg_quality=80))
    data, annotations = drive.jpeg(2)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    frame, others = drive.frame(2)
    assert np.array_equal(decoded, frame.image)
    assert annotations == others
    assert len(data) < len(GeneratedDrive(replace(SMALL, jpeg_quality=98)).jpeg(2)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 0}, "num_frames must be between 1 and 1e+06, got 0"),
        ({"hfov_deg": 180.0}, "hfov_deg must be between 5 and 140, got 180"),
        ({"speed": math.nan}, "speed must be between 0.5 and 60, got nan"),
        ({"min_distance": 80.0, "max_distance": 50.0}, "got 80 and 50 m"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        replace(SMALL, **change)
    assert message in str(error.value)


def test_coco_folder(tmp_path: Path) -> None:
    drive = GeneratedDrive(replace(SMALL, num_frames=3, jpeg_quality=90))
    truth = json.loads(write_coco(drive, tmp_path / "drive").read_text())
    assert [i["stamp_ns"] for i in truth["images"]] == [drive.stamp_ns(i) for i in range(3)]
    assert [(i["sequence"], i["frame"]) for i in truth["images"]] == [
        ("generated-5", 0),
        ("generated-5", 1),
        ("generated-5", 2),
    ]
    assert truth["camera"]["fx"] == pytest.approx(FOCAL)
    image = cv2.imread(str(tmp_path / "drive" / truth["images"][1]["file_name"]))
    frame, people = drive.frame(1)
    assert np.array_equal(image, frame.image)
    written = [a for a in truth["annotations"] if a["image_id"] == truth["images"][1]["id"]]
    assert [a["bbox"] for a in written] == [list(p.bbox) for p in people]
    assert [a["distance_m"] for a in written] == [p.distance_m for p in people]
    assert [a["iscrowd"] for a in written] == [int(p.ignore) for p in people]
    assert len({a["id"] for a in truth["annotations"]}) == len(truth["annotations"])


def test_projection_by_hand() -> None:
    view = View(CAMERA, 1.4, 1.7, 30.0, 355.0)
    assert view.project(1.7, 0.0, 10.0) == (640.0, 495.0)
    assert view.project(3.7, 1.4, 100.0) == (660.0, 355.0)


@pytest.mark.parametrize("distance", [8.0, 15.0, 25.0])
@pytest.mark.parametrize("turns", [0, 2])
def test_the_road_lies_where_the_projection_says(
    scenery: Scenery, distance: float, turns: int
) -> None:
    # the crossing lies at z = 40 to 43.5 m of each 72 m; bars 0.5 m wide, 0.5 m apart
    view = View(CAMERA, 1.4, 1.7, 41.75 - distance + 72 * turns, 352.5)
    image = draw_scenery(scenery, view, visibility=1e6).astype(int)

    def brightness(x: float, ahead: float) -> float:
        u, v = view.project(x, 0.0, ahead)
        return float(image[int(v), int(u)].mean())

    bars = [brightness(x, distance) for x in (0.25, 1.25, 2.25, 3.25)]
    gaps = [brightness(x, distance) for x in (0.75, 1.75, 2.75)]
    beyond = [brightness(x, distance + 3.0) for x in (0.25, 1.25, 2.25)]
    assert min(bars) > max(gaps) + 40
    assert min(bars) > max(beyond) + 40


def square_sprite() -> Sprite:
    """A white square of 1 m standing on its foot point, 64 px/m."""
    canvas = np.zeros((96, 96, 4), np.float32)
    canvas[16:80, 16:80] = 255
    return Sprite.from_canvas(canvas, 64, (48, 80))


def test_placing_keeps_area_and_fractions_of_a_pixel() -> None:
    for scale, shift in ((10.0, 0.0), (10.0, 0.25), (7.3, 0.6)):
        patch = place(square_sprite(), (50 + shift, 80 + shift), scale, (100, 100))
        assert patch is not None
        alpha = patch.pixels[..., 3].astype(float) / 255
        ys, xs = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]] + 0.5
        assert alpha.sum() == pytest.approx(scale**2, rel=0.02)
        assert (alpha * xs).sum() / alpha.sum() + patch.x0 == pytest.approx(50 + shift, abs=0.04)
        assert (alpha * ys).sum() / alpha.sum() + patch.y0 == pytest.approx(
            80 + shift - scale / 2, abs=0.04
        )
        box = square_sprite().box_at((50 + shift, 80 + shift), scale)
        assert box == pytest.approx(
            (50 + shift - scale / 2, 80 + shift - scale, 50 + shift + scale / 2, 80 + shift)
        )


def test_placing_clips_at_the_image() -> None:
    patch = place(square_sprite(), (0, 50), 20, (100, 100))
    assert patch is not None
    assert patch.x0 == 0
    assert patch.pixels[..., 3].sum() / 255 == pytest.approx(200, rel=0.02)
    assert place(square_sprite(), (-50, 50), 20, (100, 100)) is None


def test_motion_blur_spreads_along_the_motion_only() -> None:
    dot = np.zeros((21, 21), np.uint8)
    dot[10, 10] = 200
    blurred = motion_blur(dot, 8.0, 0.0)
    assert np.count_nonzero(blurred.sum(axis=1)) == 1
    assert 8 <= np.count_nonzero(blurred[10]) <= 9
    assert motion_blur(dot, 0.3, 0.3) is dot


def test_compositing_and_visible_share_by_hand() -> None:
    opaque = np.full((10, 10, 4), 255, np.float32)
    half = np.full((10, 10, 4), 127.5, np.float32)
    image = np.full((20, 20, 3), 100, np.uint8)
    composite(image, Patch(5, 5, half))
    assert image[10, 10].tolist() == [178, 178, 178]
    assert image[4, 4].tolist() == [100, 100, 100]
    person = Patch(0, 0, opaque)
    assert visible_share(person, []) == 1.0
    assert visible_share(person, [Patch(5, 0, opaque)]) == 0.5
    assert visible_share(person, [Patch(5, 0, half), Patch(30, 0, opaque)]) == 0.75
    assert visible_share(person, [Patch(0, 0, opaque)]) == 0.0


@pytest.mark.parametrize("heading", [0.0, 0.8, math.pi / 2, math.pi, 4.0])
def test_people_have_their_height_and_stand_on_the_ground(heading: float) -> None:
    for seed in range(4):
        look = random_look(np.random.default_rng(seed))
        standing = draw_person(look, heading, 0.0, walking=False)
        x0, y0, x1, y1 = standing.box
        assert (y1 - y0) / standing.px_per_m == pytest.approx(look.height_m, rel=0.06)
        assert abs(y1 - standing.foot_xy[1]) < 5
        assert x0 < standing.foot_xy[0] < x1
        walking = draw_person(look, heading, 1.5, walking=True)
        assert not np.array_equal(walking.levels[0], standing.levels[0])


def test_a_stride_is_wider_from_the_side() -> None:
    look = replace(random_look(np.random.default_rng(1)), bag="none", garment="shirt")
    side, back = (draw_person(look, h, 1.5, walking=True).box for h in (math.pi / 2, 0.0))
    assert side[2] - side[0] > 1.3 * (back[2] - back[0])


@pytest.mark.parametrize("kind", KINDS)
def test_clutter_stands_on_the_ground(kind: str) -> None:
    sprite = draw_clutter(kind, np.random.default_rng(3))
    x0, y0, x1, y1 = sprite.box
    assert 0.6 < (y1 - y0) / sprite.px_per_m < 9.5
    assert abs(y1 - sprite.foot_xy[1]) < 0.25 * sprite.px_per_m
    assert x1 > x0


def test_the_sensor_adds_noise_and_darkens_corners() -> None:
    sensor = Sensor.random(np.random.default_rng(2), 320, 200, 1.0)
    grey = np.full((200, 320, 3), 120, np.uint8)
    image = sensor.expose(grey, np.random.default_rng(0), 0.0).astype(float)
    centre, corner = image[80:120, 140:180], image[:20, :20]
    assert 0.8 < centre.std(axis=(0, 1)).mean() < 6
    assert centre.mean() > corner.mean() + 4
    assert not np.array_equal(image, sensor.expose(grey, np.random.default_rng(1), 0.0))


def test_a_drive_into_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"cannot write to .*file/images: Not a directory"):
        write_coco(GeneratedDrive(SMALL), tmp_path / "file")
