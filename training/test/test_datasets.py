from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.datasets import (
    IGNORE,
    NO_BOX,
    PADDING,
    PEDESTRIAN,
    Batch,
    Batches,
    Patch,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    collate,
    cut,
    flip,
    jitter,
    loader,
    night,
    read_sources,
)
from tasksr_training.errors import TrainingDataError


def labelled(*boxes: tuple[float, ...], ignore: tuple[bool, ...] = ()) -> LabelledImage:
    image = np.arange(100 * 200 * 3, dtype=np.uint32).reshape(100, 200, 3).astype(np.uint8)
    flags = np.array(ignore or (False,) * len(boxes))
    return LabelledImage(image, np.array(boxes, np.float32).reshape(-1, 4), flags, 1, "a")


def test_cut_without_scaling_copies_pixels_and_moves_boxes() -> None:
    source = labelled((30, 20, 50, 60))
    patch = cut(source, np.array([20.0, 10.0]), 64, PatchConfig(size=64))
    assert np.array_equal(patch.image, source.image[10:74, 20:84])
    assert patch.boxes.tolist() == [[10, 10, 30, 50]]
    assert patch.ignore.tolist() == [False]


def test_cut_scales_boxes() -> None:
    patch = cut(labelled((30, 20, 50, 60)), np.array([20.0, 10.0]), 80, PatchConfig(size=40))
    assert patch.boxes.tolist() == [[5, 5, 15, 25]]


def test_cut_is_moved_into_the_image_or_padded() -> None:
    source = labelled((30, 20, 50, 60))
    inside = cut(source, np.array([-40.0, 90.0]), 50, PatchConfig(size=50))
    assert np.array_equal(inside.image, source.image[50:100, 0:50])
    padded = cut(source, np.array([0.0, -20.0]), 120, PatchConfig(size=120))
    assert np.array_equal(padded.image[20:], source.image[:, :120])
    assert (padded.image[:20] == PADDING).all()
    assert padded.boxes.tolist() == [[30, 40, 50, 80]]


def test_remnants_and_tiny_boxes_are_ignored_and_what_is_outside_is_dropped() -> None:
    source = labelled(
        (0, 0, 20, 40),  # 3 of 20 columns inside: a remnant
        (20, 10, 30, 40),  # inside
        (40, 50, 44, 60),  # 10 px high
        (150, 0, 170, 60),  # outside
        (30, 10, 50, 50),  # ignored from the start
        ignore=(False, False, False, False, True),
    )
    patch = cut(source, np.array([17.0, 0.0]), 80, PatchConfig(size=80, min_box_height=12))
    assert patch.boxes.tolist() == [
        [0, 0, 3, 40],
        [3, 10, 13, 40],
        [23, 50, 27, 60],
        [13, 10, 33, 50],
    ]
    assert patch.ignore.tolist() == [True, False, True, True]


def test_flip_is_its_own_inverse() -> None:
    patch = cut(labelled((30, 20, 50, 60)), np.array([20.0, 10.0]), 64, PatchConfig(size=64))
    assert flip(patch).boxes.tolist() == [[34, 10, 54, 50]]
    assert np.array_equal(flip(flip(patch)).image, patch.image)
    assert flip(flip(patch)).boxes.tolist() == patch.boxes.tolist()


def test_jitter_of_strength_zero_changes_nothing() -> None:
    image = labelled().image
    assert np.array_equal(jitter(image, 0.0, np.random.default_rng(1)), image)
    assert not np.array_equal(jitter(image, 1.0, np.random.default_rng(1)), image)


def test_collate_fills_up() -> None:
    image = np.full((8, 8, 3), 51, np.uint8)
    one = Patch(image, np.array([[1, 2, 3, 4]], np.float32), np.array([True]))
    two = Patch(image, np.array([[0, 0, 2, 2], [4, 4, 8, 8]], np.float32), np.zeros(2, bool))
    batch = collate([one, two], np.random.default_rng(1))
    assert batch.hr.shape == (2, 3, 8, 8)
    assert torch.allclose(batch.hr, torch.tensor(0.2))
    assert batch.kind.tolist() == [[IGNORE, NO_BOX], [PEDESTRIAN, PEDESTRIAN]]
    assert batch.boxes[0].tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]


def sampler(data: Path, **changes: float) -> PatchSampler:
    sources = [SourceConfig("train.json")]
    config = PatchConfig(size=64, min_height=20, max_height=40, **changes)  # type: ignore[arg-type]
    return PatchSampler(read_sources(data, sources), sources, config)


def test_batches_depend_on_seed_rank_and_step_alone(data: Path) -> None:
    def same(a: Batch, b: Batch) -> bool:
        return torch.equal(a.hr, b.hr) and torch.equal(a.boxes, b.boxes) and a.seed == b.seed

    batches = Batches(sampler(data), 2, seed=5)
    third = batches[3]
    assert same(third, Batches(sampler(data), 2, seed=5)[3])
    assert same(third, next(iter(loader(batches, 3, 9, workers=0))))
    assert not same(third, batches[4])
    assert not same(third, Batches(sampler(data), 2, seed=6)[3])
    assert not same(third, Batches(sampler(data), 2, seed=5, rank=1)[3])


def test_chosen_pedestrians_have_the_wanted_heights(data: Path) -> None:
    draw, rng = sampler(data, pedestrian_fraction=1.0), np.random.default_rng(0)
    whole = []
    for _ in range(60):
        patch = draw.draw(rng)
        assert patch.image.shape == (64, 64, 3)
        assert len(patch.boxes) >= 1  # the chosen one, it may be a remnant at the patch's edge
        boxes = patch.boxes[~patch.ignore]
        assert len(boxes) <= 1  # the image has one pedestrian that counts
        inside = (boxes[:, 1] > 0) & (boxes[:, 3] < 64)
        whole += (boxes[inside, 3] - boxes[inside, 1]).tolist()
    assert len(whole) >= 20
    assert 19 <= min(whole) < 24 and 36 < max(whole) <= 41


def test_an_empty_list_of_sources_is_refused(data: Path) -> None:
    with pytest.raises(TrainingDataError, match="at least one"):
        read_sources(data, [])


def test_night_is_darker_and_keeps_the_order_of_greys() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    for seed in range(5):
        dark = night(ramp, np.random.default_rng(seed)).astype(int)
        assert (np.diff(dark, axis=1) >= 0).all()
        assert (dark.mean(2) <= ramp.mean(2) + 1).all()
        assert dark.mean() < 0.9 * ramp.mean()
        assert dark[0, 0].tolist() == [0, 0, 0]


def test_the_least_labelled_height_follows_the_scale_of_the_patch() -> None:
    source = replace(labelled((30, 20, 50, 60)), labelled_from=25.0)
    patch = cut(source, np.array([20.0, 10.0]), 80, PatchConfig(size=40))
    assert patch.open_below == 12.5
    assert flip(patch).open_below == 12.5
    batch = collate([patch, replace(patch, open_below=0.0)], np.random.default_rng(0))
    assert batch.open_below is not None
    assert batch.to(torch.device("cpu")).open_below.tolist() == [12.5, 0]  # type: ignore[union-attr]
