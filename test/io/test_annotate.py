from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.blur import Blur, Blurs
from tasksr_ros.detections import Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.annotate import contact_sheet, draw, draw_blur
from tasksr_ros.io.video_writer import VideoWriter
from tasksr_ros.regions import Rect

GREEN = [60, 255, 60]
GREY = np.full((480, 640, 3), 128, np.uint8)


def one(*xyxy: float, score: float = 0.9) -> Detections:
    return Detections.from_arrays(np.array([xyxy]), np.array([score]))


def test_the_image_itself_is_not_touched_and_may_be_a_view() -> None:
    view = GREY[::2, ::2]
    view.flags.writeable = False
    drawn = draw(view, one(100, 100, 110, 130), [Rect(0, 90, 320, 150)])
    assert drawn.shape == (240, 320, 3)
    assert (view == 128).all()


def test_nothing_to_draw_leaves_the_image() -> None:
    assert np.array_equal(draw(GREY, Detections.empty()), GREY)


def test_the_box_surrounds_the_person_and_leaves_the_pixels() -> None:
    drawn = draw(GREY, one(300, 200, 310, 226))
    assert (drawn[200:226, 300:310] == 128).all()
    for row, column in ((199, 305), (226, 305), (210, 299), (210, 310)):
        assert drawn[row, column].tolist() == GREEN
    assert (drawn[227, 311] == 128).all()


def test_a_box_beyond_the_image_is_clipped() -> None:
    drawn = draw(GREY, one(-50, -50, 700, 600))
    assert drawn.shape == GREY.shape


def test_regions_have_their_own_colour() -> None:
    drawn = draw(GREY, Detections.empty(), [Rect(10, 20, 110, 60)])
    assert drawn[20, 50].tolist() == drawn[59, 50].tolist() == [255, 190, 60]


def test_notes_stand_in_their_regions() -> None:
    regions = [Rect(10, 20, 110, 60), Rect(200, 20, 300, 60)]
    plain, noted = (draw(GREY, Detections.empty(), regions, notes) for notes in ((), ("turn",)))
    changed = np.argwhere((plain != noted).any(2))
    assert len(changed) > 20
    assert (changed.min(0) >= (21, 11)).all()
    assert (changed.max(0) < (60, 110)).all()


def test_a_distant_detection_is_magnified() -> None:
    image = GREY.copy()
    image[300:320, 400:408] = (0, 0, 255)  # a red person of 8 x 20 px
    drawn = draw(image, one(400, 300, 408, 320))

    def red(picture: np.ndarray) -> int:  # type: ignore[type-arg]
        return int(((picture[..., 2] > 200) & (picture[..., 1] < 60)).sum())

    assert red(drawn[:140]) > 4 * 160
    assert red(drawn[300:320, 400:408]) == 160


def test_a_near_detection_is_not_magnified() -> None:
    image = GREY.copy()
    image[200:400, 400:480] = (0, 0, 255)
    drawn = draw(image, one(400, 200, 480, 400))
    assert (drawn[:140] == 128).all()


def test_magnified_pictures_go_where_fewer_people_are() -> None:
    boxes = np.array([[100, 20, 108, 40], [300, 30, 308, 50]])
    drawn = draw(GREY, Detections.from_arrays(boxes, np.array([0.5, 0.6])))
    assert drawn[478 - 1, 10].tolist() == GREEN
    assert (drawn[100:120, 0:90] == 128).all()


def test_a_kernel_stands_in_the_upper_right_corner() -> None:
    """Of 42 px at least; its greatest value is white, below 0 is black; the text is below it."""
    kernel = np.array([[0.1, -0.2, 0], [0.2, 0.4, 0.2], [0, 0, 0.3]], np.float32)
    blurs = Blurs(Blur(3.2, 45.0), (), kernel)
    canvas = np.zeros((120, 200, 3), np.uint8)
    draw_blur(canvas, blurs)
    inset = canvas[2:44, 156:198]
    centres = inset[7::14, 7::14].tolist()
    assert [[pixel[0] for pixel in row] for row in centres] == [
        [63, 0, 0],
        [127, 255, 127],
        [0, 0, 191],
    ]
    assert canvas[44:60].any()
    assert not canvas[:44, :155].any()


def test_without_a_blur_or_room_nothing_is_drawn() -> None:
    canvas = np.zeros((40, 200, 3), np.uint8)
    draw_blur(canvas, Blurs(Blur(0.0, 0.0), (), np.ones((3, 3), np.float32)))
    draw_blur(canvas, None)
    assert not canvas.any()


def test_a_contact_sheet_is_a_grid() -> None:
    images = [np.full((50, 100, 3), level, np.uint8) for level in (10, 20, 30)]
    sheet = contact_sheet(images, columns=2, width=200)
    assert sheet.shape == (200, 400, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((50, 50), (50, 250), (150, 50), (150, 250))] == [
        10,
        20,
        30,
        0,
    ]
    assert contact_sheet(images[:1], columns=3, width=40).shape == (20, 40, 3)


def test_an_empty_contact_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0, 2, 960"):
        contact_sheet([])


def test_a_video_can_be_read_back(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 10, (64, 48)) as writer:
        for level in (30, 200):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        with pytest.raises(RecordingError, match="must be 64x48 px, got 48x64"):
            writer.write(np.zeros((64, 48, 3), np.uint8))
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    levels = [float(capture.read()[1].mean()) for _ in range(2)]
    assert levels == pytest.approx([30, 200], abs=5)
    assert not capture.read()[0]


def test_a_video_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"out\.mp4 \(64x48 px, 10 fps\) cannot be written"):
        VideoWriter(tmp_path / "missing/out.mp4", 10, (64, 48))
