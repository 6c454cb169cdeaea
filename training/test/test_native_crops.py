from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage, ReadConfig
from tasksr_training.datasets import Batches, PatchConfig
from tasksr_training.errors import TrainingDataError
from tasksr_training.native_crops import (
    HeldOut,
    NativeSampler,
    NativeSourceConfig,
    read_held_out,
    read_native,
    split,
)

PATCHES = PatchConfig(size=32, min_height=8, max_height=30, min_box_height=4, jitter=0)


def image(grey: int, sequence: str = "", frame: int | None = None, **more: float) -> LabelledImage:
    pixels = np.full((40, 60, 3), grey, np.uint8)
    boxes = np.array([[10, 5, 20, 35]], np.float32)
    name = f"{grey}.png"
    return LabelledImage(pixels, boxes, np.zeros(1, bool), grey, name, sequence, frame, **more)  # type: ignore[arg-type]


def ids(images: list[LabelledImage]) -> list[int]:
    return [i.image_id for i in images]


def test_every_third_sequence_is_held_out_whole() -> None:
    images = [image(k, sequence) for k, sequence in enumerate("ccabbdcfe")]
    train, held = split(images, HeldOut(every=3))
    assert ids(held) == [0, 1, 6, 7]  # c and f of a b c d e f
    assert ids(train) == [2, 3, 4, 5, 8]


def test_images_without_a_sequence_are_one_each() -> None:
    assert ids(split([image(k) for k in range(10, 15)], HeldOut(every=2))[1]) == [11, 13]


def test_frames_of_a_sequence_are_held_out() -> None:
    images = [image(k, "a", k) for k in range(4)] + [image(5, "b", 2), image(6, "a")]
    assert ids(split(images, HeldOut(sequence="a", first=1, last=2))[1]) == [1, 2]
    assert ids(split(images, HeldOut())[1]) == []


def test_a_batch_has_crops_of_every_set_in_their_number() -> None:
    sources = [
        NativeSourceConfig("a.json", crops=2),
        NativeSourceConfig("b.json", crops=1),
        NativeSourceConfig("c.json", crops=0),
    ]
    images = [[image(50, labelled_from=12.0)], [image(100)], [image(200)]]
    batches = Batches(NativeSampler(images, sources, PATCHES), 2, seed=3)
    batch = batches[7]
    middle = (batch.hr[:, 0].flatten(1).median(1).values * 255).round()
    assert sorted(middle.tolist()) == [50, 50, 50, 50, 100, 100]
    assert middle.tolist() != sorted(middle.tolist())  # its first ones are not of one set
    assert batch.open_below is not None
    assert torch.equal(batch.open_below > 0, middle == 50)
    assert torch.equal(batch.hr, batches[7].hr)
    assert not torch.equal(batch.boxes, batches[8].boxes)


def test_the_least_labelled_height_is_in_px_of_the_crop() -> None:
    """A pedestrian of 30 px that is cut at 10 to 60 px: a scale of 1/3 to 2."""
    sampler = NativeSampler(
        [[image(50, labelled_from=12.0)]], [NativeSourceConfig("a.json", max_scale=2.0)], PATCHES
    )
    whole = 0
    for seed in range(20):
        (patch,) = sampler.draw(np.random.default_rng(seed))
        for _, top, _, bottom in patch.boxes:
            if top > 0 and bottom < 32:
                whole += 1
                assert patch.open_below == pytest.approx(12 / 30 * (bottom - top), rel=1e-3)
    assert whole > 5


def test_sets_that_cannot_be_drawn_from() -> None:
    source = NativeSourceConfig("a.json")
    with pytest.raises(TrainingDataError, match=r"a.json: expected images .* got 0 images"):
        NativeSampler([[]], [source], PATCHES)
    with pytest.raises(TrainingDataError, match="expected crops of at least one set, got none"):
        NativeSampler([[image(1)]], [NativeSourceConfig("a.json", crops=0)], PATCHES)


def test_reading_with_held_out_images_and_pseudo_labels(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"images": [{"id": 10}, {"id": 12}], "annotations": '
        '[{"image_id": 10, "bbox": [0, 100, 10, 25], "score": 0.9}]}'
    )
    source = NativeSourceConfig(
        "train.json", held_out=HeldOut(every=2), pseudo_labels="a.json", read=ReadConfig()
    )
    (train,) = read_native(data, tmp_path, [source])
    assert ids(train) == [10, 12]
    assert [len(i.boxes) for i in train] == [3, 2]
    assert train[0].ignore.tolist() == [False, True, True]
    assert ids(read_held_out(data, source)) == [11, 13]
    with pytest.raises(TrainingDataError, match="expected pseudo-labels, got"):
        read_native(data, tmp_path / "none", [source])
