from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dark_boxes import picture, write_frames
from numpy.typing import NDArray
from tasksr_training.adapt.config import CropConfig, FrameConfig
from tasksr_training.adapt.crops import AS_IT_IS, CropSampler, cut_inside
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frames import Frames, choose_frames, people
from tasksr_training.adapt.systems import Found
from tasksr_training.errors import TrainingDataError, TrainingError

CONFIG = FrameConfig(candidates=40, most=4, held_out=2, background_fraction=0.25)


def look(image: NDArray[np.uint8]) -> Found:
    """Everything dark is one person, whose score is the share of the image that is dark, x 10."""
    dark = image.max(2) < 60
    if not dark.any():
        return np.array([[5, 5, 15, 35]], np.float32), np.array([0.1], np.float32)
    y, x = np.nonzero(dark)
    box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
    return box, np.minimum(np.array([dark.mean() * 10], np.float32), 1)


def choose(path: Path, out: Path, config: FrameConfig = CONFIG, **key: Any) -> Frames:
    return choose_frames([str(path)], "", look, config, out, key)


def own(frames: Frames) -> dict[str, Found]:
    """What `look` saw, as the teacher's views would be."""
    return {
        f.file: (np.array(f.boxes, np.float32).reshape(-1, 4), np.array(f.scores, np.float32))
        for f in frames.train
    }


def test_the_last_fifth_is_held_out_and_people_go_first(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "drive", 20, people=0)
    for k in (2, 5, 9, 17):
        cv2.imwrite(str(folder / f"{k:03d}.png"), picture(np.random.default_rng(k), 2))
    frames = choose(folder, tmp_path / "run")
    train, held_out = ([f.name for f in g] for g in (frames.train, frames.held_out))
    assert len(train) == 4 and {"002.png", "005.png", "009.png"} < set(train)
    assert "017.png" in held_out and all(name >= "016.png" for name in held_out)
    assert max(train) < "015.png"
    assert sorted(p.name for p in (tmp_path / "run/frames").glob("*.png")) == sorted(
        f.file for f in (*frames.train, *frames.held_out)
    )
    assert frames.image(frames.train[0]).shape == (96, 160, 3)
    assert [f.jpeg_quality for f in frames.train] == [None] * 4


def test_a_run_that_goes_on_takes_the_frames_that_it_has(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "drive", 12, suffix="jpg")
    first = choose(folder, tmp_path / "run", detector="a")
    assert {f.jpeg_quality for f in first.train} == {80}

    def fails(image: NDArray[np.uint8]) -> Found:
        raise AssertionError("looked at again")

    key = {"detector": "a"}
    assert choose_frames([str(folder)], "", fails, CONFIG, tmp_path / "run", key) == first
    with pytest.raises(TrainingError, match="chosen with other detector; choose another --out"):
        choose(folder, tmp_path / "run", detector="b")


def test_recordings_without_anybody_are_refused(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "empty", 12, people=0)
    with pytest.raises(
        TrainingDataError, match=r"sees nobody .* in 12 frames is 0\.10, the same in each .* 0\.2"
    ):
        choose(folder, tmp_path / "run")


def test_a_video_of_one_frame_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "one.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 96))
    writer.write(picture(np.random.default_rng(1), 2))
    writer.release()
    with pytest.raises(TrainingDataError, match=r"at least 5 frames, .* got 1"):
        choose(video, tmp_path / "run")


def test_an_unreadable_frame_is_left_out(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "drive", 12)
    (folder / "003.png").write_bytes(b"nothing")
    frames = choose(folder, tmp_path / "run", FrameConfig(candidates=40, most=9, held_out=2))
    assert "003.png" not in [f.name for f in frames.train] and len(frames.train) > 4


def test_frames_are_spaced_in_time(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "drive", 40)
    config = FrameConfig(candidates=5, most=9, held_out=9, background_fraction=0)
    frames = choose(folder, tmp_path / "run", config)
    assert [f.index for f in frames.train] == [0, 10, 20, 30]
    assert [f.index for f in frames.held_out] == [32]


def test_patches_hold_the_person_that_they_are_cut_around(tmp_path: Path) -> None:
    frames = choose(write_frames(tmp_path / "drive", 12, people=1), tmp_path / "run")
    labels = {f.file: (people(f, 0.2), np.zeros(1, bool)) for f in frames.train}
    degradations = {str(tmp_path / "drive"): Degradation(0.5, 0.0, 80)}
    config = CropConfig(people_fraction=1.0, background_fraction=0.0)
    sampler = CropSampler(
        frames, frames.train, own(frames), (64, 48), config, 0.2, degradations, labels
    )
    rng = np.random.default_rng(3)
    patches = [sampler.draw(rng) for _ in range(20)]
    assert all(p.image.shape == (48, 64, 3) for p in patches)
    assert all((p.image.max(2) < 60).any() and len(p.boxes) == 1 for p in patches)
    for patch in patches:
        x0, y0, x1, y1 = patch.boxes[0].round().astype(int)
        assert (patch.image[y0:y1, x0:x1].max(2) < 60).mean() > 0.9
        # The frame's one person, also where the patch is mirrored, cut by it or not.
        (person,) = patch.people
        assert person[:4].tolist() == patch.boxes[0].tolist()
    batch = sampler.collate(patches[:2], rng)
    assert batch.hr.shape == (2, 3, 48, 64) and batch.kind.tolist() == [[1], [1]]
    assert batch.people.tolist() == [p.people.tolist() for p in patches[:2]]
    assert batch.degradations == (Degradation(0.5, 0.0, 80),) * 2


def test_a_frame_without_labels_among_others_is_left_open(tmp_path: Path) -> None:
    frames = choose(write_frames(tmp_path / "drive", 12, people=1), tmp_path / "run")
    labels = {"another.png": (np.zeros((0, 4), np.float32), np.zeros(0, bool))}
    rng, degradations = np.random.default_rng(3), {str(tmp_path / "drive"): AS_IT_IS}
    for known, kinds in ((labels, [[True]]), (None, [[]])):
        sampler = CropSampler(
            frames, frames.train, own(frames), (64, 48), CropConfig(), 0.2, degradations, known
        )
        patches = [sampler.draw(rng) for _ in range(5)]
        assert [p.ignore.tolist() for p in patches] == kinds * 5
    assert patches[0].boxes.shape == (0, 4)


def test_an_image_smaller_than_the_patch_is_surrounded_by_grey() -> None:
    x, y, patch = cut_inside(np.full((4, 6, 3), 9, np.uint8), np.array([-3.0, 20.0]), (8, 8))
    assert (x, y) == (0, 0)
    assert patch[:4, :6].max() == 9 and patch[4:].min() == 114 and patch[:, 6:].min() == 114
