"""Tests of tasksr_ros.tracking."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RegionConfig, TrackingConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.tracking import Tracker, plausible_height

THRESHOLD = 0.5
SECOND = 1_000_000_000
CAMERA = CameraModel(2000, 1000, 1000.0, 1000.0, 1000.0, 500.0)
FLAT = RegionConfig(camera_height=1.4, camera_pitch=0.0, pitch_margin=0.0)


def tracker(**values: float) -> Tracker:
    config = TrackingConfig(**{"enabled": True, "weak_score": 0.6, **values})  # type: ignore[arg-type]
    return Tracker(config, FLAT, THRESHOLD)


def people(*boxes: tuple[float, float, float, float]) -> Detections:
    """(centre x, foot y, height, score) each; a third as wide as high."""
    x, y, h, score = np.array(boxes, float).reshape(-1, 4).T
    return Detections.from_arrays(np.stack((x - h / 6, y - h, x + h / 6, y), 1), score)


def ids(detections: Detections) -> list[int]:
    return [int(track) for track in detections.track_id]


@pytest.mark.parametrize("rate", [2.0, 7.0, 10.0, 30.0])
def test_a_walker_keeps_one_id_at_any_rate(rate: float) -> None:
    track = tracker()
    seen = [
        ids(track.update(people((500 + 40 * k / rate, 600, 30, 0.9)), round(k * SECOND / rate)))
        for k in range(20)
    ]
    assert seen == [[NO_TRACK]] + [[0]] * 19


def test_uneven_stamps_keep_the_id() -> None:
    track = tracker()
    seconds = np.cumsum([0, 0.1, 0.033, 0.5, 0.034, 1.0, 0.1, 0.2])
    seen = [
        ids(track.update(people((500 + 40 * t, 600, 30, 0.9)), round(t * SECOND))) for t in seconds
    ]
    assert seen == [[NO_TRACK]] + [[0]] * 7


def test_people_who_cross_keep_their_ids() -> None:
    track = tracker()
    left_to_right = []
    for k in range(31):
        shift = 8.0 * k
        pair = people((400 + shift, 600, 60, 0.9), (640 - shift, 606, 66, 0.8))
        left_to_right.append(ids(track.update(pair, k * SECOND // 10)))
    assert left_to_right[1:] == [[0, 1]] * 30


def test_who_turns_around_keeps_the_id() -> None:
    track = tracker()
    places = [500 + 6.0 * k for k in range(30)] + [674 - 6.0 * k for k in range(30)]
    seen = [
        ids(track.update(people((x, 600, 60, 0.9)), k * SECOND // 10)) for k, x in enumerate(places)
    ]
    assert seen == [[NO_TRACK]] + [[0]] * 59


def test_who_appears_while_the_vehicle_turns_moves_as_the_others_do() -> None:
    track = tracker()
    for k in range(6):  # at 2 Hz, three heights per frame to the right
        track.update(
            people((180 * k, 600, 60, 0.9), (180 * k + 500, 600, 60, 0.9)), k * SECOND // 2
        )
    for k in range(6, 9):
        shift = 180 * (k - 6)
        old = ((180 * k, 600, 60, 0.9), (180 * k + 500, 600, 60, 0.9))
        new = ((-2000 + shift, 600, 60, 0.9), (-1820 + shift, 600, 60, 0.9))
        seen = ids(track.update(people(*old, *new), k * SECOND // 2))
        # Without the others' velocity, the second newcomer's track would take the first's box.
        assert seen == [0, 1, *((NO_TRACK, NO_TRACK) if k == 6 else (2, 3))]


def test_a_track_is_confirmed_in_the_very_next_frame_or_not_at_all() -> None:
    track = tracker()
    here, nobody = people((500, 600, 30, 0.9)), Detections.empty()
    frames = [here, nobody, here, nobody, here, here]
    seen = [ids(track.update(frame, k * SECOND // 10)) for k, frame in enumerate(frames)]
    assert seen == [[NO_TRACK], [], [NO_TRACK], [], [NO_TRACK], [0]]


def test_a_gap_keeps_the_id_up_to_max_gap() -> None:
    for gap, expected in ((0.9, [0]), (1.1, [NO_TRACK])):
        track = tracker(max_gap=1.0)
        for k in range(5):
            track.update(people((500, 600, 30, 0.9)), k * SECOND // 10)
        stamp = round((0.4 + gap) * SECOND)
        assert ids(track.update(people((500, 600, 30, 0.9)), stamp)) == expected


def test_a_weak_detection_continues_a_confirmed_track_and_begins_none() -> None:
    track = tracker()
    weak = people((500, 600, 30, 0.35))
    assert len(track.update(weak, 0)) == 0
    track.update(people((500, 600, 30, 0.9)), SECOND // 10)
    assert len(track.update(weak, 2 * SECOND // 10)) == 0, "the track is not confirmed"
    for k in (3, 4):
        track.update(people((500, 600, 30, 0.9)), k * SECOND // 10)
    continued = track.update(weak, 5 * SECOND // 10)
    assert ids(continued) == [0]
    assert continued.score.tolist() == [pytest.approx(0.35)]
    assert len(track.update(people((500, 600, 30, 0.29)), 6 * SECOND // 10)) == 0, "too weak"


def test_a_weak_detection_far_away_or_of_the_same_person_is_dropped() -> None:
    track = tracker()
    for k in range(3):
        track.update(people((500, 600, 60, 0.9), (530, 600, 60, 0.9)), k * SECOND // 10)
    far = people((500, 600, 60, 0.9), (900, 600, 60, 0.4))
    assert ids(track.update(far, 3 * SECOND // 10)) == [0]
    # The second person is gone, and a weak copy of the first's box lies near to the track.
    copied = people((508, 600, 60, 0.9), (512, 600, 60, 0.4))
    assert len(track.update(copied, 4 * SECOND // 10)) == 1


def test_a_weak_detection_must_have_the_height_of_a_person() -> None:
    tall = people((500, 520, 60, 0.9))  # feet 70 m away: 4.2 m tall
    for camera, number in ((None, 1), (CAMERA, 0)):
        track = tracker()
        for k in range(2):
            track.update(tall, k * SECOND // 10, camera)
        weak = people((500, 520, 60, 0.4))
        assert len(track.update(weak, 2 * SECOND // 10, camera)) == number


@pytest.mark.parametrize(
    ("foot", "height", "plausible"),
    [
        (520, 24.3, True),  # 70 m, 14.29 px per metre: 1.7 m
        (520, 12.8, False),  # 0.896 m
        (520, 12.9, True),  # 0.903 m
        (520, 31.4, True),  # 2.198 m
        (520, 31.5, False),  # 2.205 m
        (499, 20.0, False),  # above the horizon
        (999, 100.0, True),  # at the image's lower border: the feet may be below it
    ],
)
def test_plausible_heights_by_hand(foot: float, height: float, plausible: bool) -> None:
    box = people((1000, foot, height, 1.0)).xyxy
    assert plausible_height(box, CAMERA, FLAT).tolist() == [plausible]


def test_heights_in_a_fisheye_image() -> None:
    """1.7 m of someone 20 m ahead and 20 m aside, where a fisheye shows him smaller and lower."""
    fisheye = CameraModel(2000, 1000, 600.0, 600.0, 1000.0, 500.0, "equidistant", (0.0,) * 4)
    head, foot = fisheye.project(np.array([(20.0, -0.3, 20.0), (20.0, 1.4, 20.0)]))
    assert head == pytest.approx((1471.22, 492.93), abs=0.01)
    assert foot == pytest.approx((1470.82, 532.96), abs=0.01)
    xyxy = np.array([(1460.0, head[1], 1480.0, foot[1])])
    assert plausible_height(xyxy, fisheye, FLAT).tolist() == [True]
    taller = xyxy - np.array([0, 20.0, 0, 0])  # 2.5 m
    assert plausible_height(taller, fisheye, FLAT).tolist() == [False]


def test_pitch_and_its_margin_move_the_horizon() -> None:
    above_horizon = people((1000, 495, 8, 1.0)).xyxy
    pitched = RegionConfig(camera_height=1.4, camera_pitch=0.6, pitch_margin=0.0)
    allowing = RegionConfig(camera_height=1.4, camera_pitch=0.0, pitch_margin=0.6)
    # 0.6 degrees are 10.5 px: 5.5 px below the horizon, 3.9 px per metre.
    assert plausible_height(above_horizon, CAMERA, pitched).tolist() == [True]
    assert plausible_height(above_horizon, CAMERA, allowing).tolist() == [True]
    assert plausible_height(above_horizon, CAMERA, FLAT).tolist() == [False]


def drive(seed: int, frames: int) -> list[tuple[Detections, int]]:
    """People who walk, are missed and scored at random, among false alarms."""
    rng = np.random.default_rng(seed)
    x, speed = rng.uniform(0, 2000, 12), rng.uniform(-60, 60, 12)
    made = []
    for k in range(frames):
        x += speed / 10
        seen = rng.random(12) < 0.8
        boxes = np.stack(
            (x + rng.normal(0, 1, 12), rng.normal(600, 1, 12), [40.0] * 12, rng.uniform(0.2, 1, 12))
        ).T[seen]
        false = rng.uniform((0, 500, 20, 0.2), (2000, 700, 60, 1.0), (5, 4))
        made.append((people(*boxes, *false), k * SECOND // 10))
    return made


def test_strong_detections_are_always_published_unchanged() -> None:
    track = tracker()
    for detections, stamp in drive(1, 50):
        tracked = track.update(detections, stamp, CAMERA)
        strong = tracked.select(tracked.score >= THRESHOLD)
        expected = detections.select(detections.score >= THRESHOLD)
        np.testing.assert_array_equal(strong.xyxy, expected.xyxy)
        np.testing.assert_array_equal(strong.score, expected.score)


def test_no_id_twice_in_a_frame_and_none_negative() -> None:
    track = tracker()
    for detections, stamp in drive(2, 50):
        found = [i for i in ids(track.update(detections, stamp)) if i != NO_TRACK]
        assert len(found) == len(set(found))
        assert min(found, default=0) >= 0


def test_doubled_and_late_frames_change_nothing() -> None:
    plain, disturbed = tracker(), tracker()
    frames = drive(3, 40)
    for k, (detections, stamp) in enumerate(frames):
        expected = ids(plain.update(detections, stamp))
        assert ids(disturbed.update(detections, stamp)) == expected
        if k:
            disturbed.update(detections, stamp)
            disturbed.update(*frames[k - 1])


def test_a_doubled_frame_gets_the_same_ids() -> None:
    track = tracker()
    for k in range(3):
        track.update(people((500, 600, 30, 0.9), (700, 600, 30, 0.9)), k * SECOND // 10)
    again = track.update(people((700, 600, 30, 0.9), (500, 600, 30, 0.9)), 2 * SECOND // 10)
    assert ids(again) == [1, 0]


def test_a_jump_back_and_a_reset_begin_anew_without_using_an_id_twice() -> None:
    track = tracker()
    walk = [(people((500, 600, 30, 0.9)), 100 * SECOND + k * SECOND // 10) for k in range(3)]
    assert [ids(track.update(*frame)) for frame in walk] == [[NO_TRACK], [0], [0]]
    back = [(detections, stamp - 90 * SECOND) for detections, stamp in walk]
    assert [ids(track.update(*frame)) for frame in back] == [[NO_TRACK], [1], [1]]
    track.reset()
    assert [ids(track.update(*frame)) for frame in back] == [[NO_TRACK], [2], [2]]


def test_a_frame_without_a_stamp_forgets_no_track() -> None:
    track = tracker()
    standing = people((500, 600, 30, 0.9))
    stamps = [100 * SECOND + k * SECOND // 10 for k in range(4)]
    assert [ids(track.update(standing, s)) for s in stamps[:2]] == [[NO_TRACK], [0]]
    assert ids(track.update(standing, 0)) == [0]
    assert [ids(track.update(standing, s)) for s in stamps[2:]] == [[0], [0]]


def test_what_is_remembered_does_not_grow() -> None:
    track = tracker()
    sizes = []
    for detections, stamp in drive(4, 300):
        track.update(detections, stamp)
        sizes.append(len(track._tracks))
    assert max(sizes[150:]) <= 1.5 * max(sizes[:150])
    assert max(sizes) < 17 * 12  # no more than was seen within max_gap


def test_no_detections_and_other_classes() -> None:
    track = tracker()
    assert len(track.update(Detections.empty(), 0)) == 0
    person = people((500, 600, 30, 0.9))
    for k in range(2):
        track.update(person, k * SECOND // 10)
    rider = Detections.from_arrays(person.xyxy, person.score, np.array([1]))
    assert ids(track.update(rider, 2 * SECOND // 10)) == [NO_TRACK]
