from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.copy_paste import CopyPaste, person_mask
from tasksr_training.datasets import (
    Batches,
    Patch,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    jitter,
)
from tasksr_training.degradations import downscale
from tasksr_training.hard_backgrounds import overlaps

RED = (200, 30, 30)


def scene(
    *people: tuple[int, int, int, int],
    grey: int = 120,
    ignore: bool = False,
    size: tuple[int, int] = (200, 300),
) -> LabelledImage:
    """Grey with a red ellipse in each box."""
    image = np.random.default_rng(3).integers(grey - 9, grey + 9, (*size, 3)).astype(np.uint8)
    for x0, y0, x1, y1 in people:
        y, x = np.mgrid[y0:y1, x0:x1]
        u, v = (x - (x0 + x1) / 2) / (x1 - x0) * 2, (y - (y0 + y1) / 2) / (y1 - y0) * 2
        image[y0:y1, x0:x1][u**2 + v**2 < 0.9] = RED
    boxes = np.array(people, np.float32).reshape(-1, 4)
    return LabelledImage(image, boxes, np.full(len(people), ignore), 1, "a")


def paste_all(images: list[LabelledImage], index: int) -> list[tuple[LabelledImage, int]]:
    copies, rng = CopyPaste([images]), np.random.default_rng(0)
    pasted = [copies.paste(0, index, rng) for _ in range(60)]
    return [p for p in pasted if p is not None]


def test_pasted_people_stand_where_others_stand() -> None:
    donor, target = scene((100, 50, 140, 150)), scene((20, 60, 44, 120))
    before = target.image.copy()
    pasted = paste_all([donor, target], 1)
    assert len(pasted) > 40
    for image, b in pasted:
        x0, y0, x1, y1 = image.boxes[b]
        assert 0.85 * 60 <= y1 - y0 <= 1.2 * 60
        # A camera at 0.82 of a person's height: their eyes, so to say, are in one row.
        assert y1 - 0.82 * (y1 - y0) == pytest.approx(120 - 0.82 * 60, abs=1e-3)
        assert x0 >= 0 and x1 <= 300
        assert not overlaps(image.boxes[b : b + 1], target.boxes)[0]
        assert (image.ignore.tolist(), len(image.boxes)) == ([False, False], 2)
        middle = image.image[round((y0 + y1) / 2), round((x0 + x1) / 2)].astype(int)
        assert middle[0] > middle[1] + 80, "red, as the donor"
        changed = (image.image != target.image).any(2)
        y, x = np.nonzero(changed)
        assert x.min() >= x0 - 8 and x.max() <= x1 + 8 and y.min() >= y0 - 9 and y.max() <= y1 + 9
    assert np.array_equal(target.image, before), "the original stays as it was"
    assert len({round(float(image.boxes[b, 0])) for image, b in pasted}) > 10


def test_an_image_without_people_takes_its_models_from_images_of_its_size() -> None:
    donor, empty = scene((100, 50, 140, 150)), scene()
    for image, b in paste_all([donor, empty], 1):
        assert 85 <= image.boxes[b, 3] - image.boxes[b, 1] <= 101  # the donor is not enlarged
    assert paste_all([donor, empty], 1)
    cropped = replace(empty, image=empty.image[:150])
    assert paste_all([donor, cropped], 1) == []


@pytest.mark.parametrize(
    "donor",
    [
        scene((0, 50, 40, 150)),  # cut by the edge
        scene((100, 50, 200, 150)),  # too wide
        scene((100, 50, 140, 150), (130, 60, 170, 160)),  # one before the other
        scene((100, 50, 140, 150), ignore=True),
        scene((100, 50, 107, 70)),  # too small
    ],
)
def test_people_who_are_not_fit_are_not_copied(donor: LabelledImage) -> None:
    small = scene((20, 60, 30, 80))
    assert paste_all([donor, small], 1) == []


def test_a_full_image_stays_as_it_is() -> None:
    crowd = scene((0, 40, 300, 190), ignore=True)
    crowd = replace(crowd, boxes=np.concatenate([crowd.boxes, [[10, 60, 34, 120]]]).astype("f4"))
    crowd = replace(crowd, ignore=np.array([True, False]))
    assert paste_all([scene((100, 50, 140, 150)), crowd], 1) == []


def test_mask_covers_the_person_alone() -> None:
    person = scene((100, 50, 140, 150))
    crop = person.image[38:162, 95:145]
    mask = person_mask(crop)
    red = crop[..., 0].astype(int) - crop[..., 1] > 100
    assert mask.shape == (124, 50)
    assert mask[red].mean() > 0.95
    assert mask[~red].mean() < 0.05


def test_brightness_is_that_of_the_place() -> None:
    donor, dark = scene((100, 50, 140, 150)), scene((20, 60, 44, 120), grey=60)
    image, b = paste_all([donor, dark], 1)[0]
    x0, y0, x1, y1 = image.boxes[b].round().astype(int)
    red = image.image[(y0 + y1) // 2 - 3 : (y0 + y1) // 2 + 3, (x0 + x1) // 2, 0]
    assert red.mean() == pytest.approx(200 * 60 / 120, rel=0.08)


def test_patches_show_pasted_people() -> None:
    people = scene((100, 50, 140, 150)), scene((20, 60, 44, 120))
    images = [[*people, *(scene() for _ in range(18))]]
    sources = [SourceConfig("a.json")]
    config = PatchConfig(size=64, min_height=20, max_height=40, pedestrian_fraction=0.0)
    plain = PatchSampler(images, sources, config)
    pasting = PatchSampler(images, sources, replace(config, copy_paste_fraction=1.0))
    rng = np.random.default_rng(0)
    without = sum(len(plain.draw(rng).boxes) > 0 for _ in range(40))
    with_people = [p for p in (pasting.draw(rng) for _ in range(40)) if len(p.boxes)]
    assert without < 10 < 25 < len(with_people)
    batch = Batches(pasting, 2, seed=5)[3]
    again = Batches(PatchSampler(images, sources, replace(config, copy_paste_fraction=1.0)), 2, 5)
    assert torch.equal(batch.hr, again[3].hr) and torch.equal(batch.boxes, again[3].boxes)


def shown_height(patch: Patch, box: int) -> float:
    """Rows of the LR image at x4 in which the red of that person is seen."""
    hr = torch.from_numpy(patch.image.copy()).permute(2, 0, 1)[None].float() / 255
    lr = downscale(hr, 4)[0].numpy()
    x0, y0, x1, y1 = np.round(patch.boxes[box] / 4).astype(int)
    part = lr[:, max(y0 - 2, 0) : y1 + 3, x0 : x1 + 1]
    return float((part[0] - part[1] > 0.15).any(1).sum())


@pytest.mark.parametrize("fraction", ["pedestrian_fraction", "copy_paste_fraction"])
def test_people_are_8_to_60_px_high_in_lr_where_settings_ask_for_it(fraction: str) -> None:
    size = (1080, 1080)
    person, donor = scene((500, 400, 532, 480), size=size), scene((9, 9, 69, 159), size=size)
    images = [[person, *[scene(size=size)] * 9], [donor]]
    sources = [SourceConfig("a.json", max_scale=3.0), SourceConfig("donor.json", weight=0)]
    wanted = PatchConfig(640, min_height=32, max_height=240, pedestrian_fraction=0, jitter=0)
    sampler = PatchSampler(images, sources, replace(wanted, **{fraction: 1.0}))
    rng = np.random.default_rng(0)
    drawn = [sampler.draw(rng) for _ in range(60)]
    whole = [p for p in drawn if len(p.boxes) and 0 < p.boxes[-1].min() < p.boxes[-1].max() < 640]
    assert len(whole) > 50
    heights = np.array([p.boxes[-1, 3] - p.boxes[-1, 1] for p in whole]) / 4
    assert 7.9 < heights.min() < 10 and 50 < heights.max() < 60.1
    assert np.histogram(heights, [0, 16, 32, 61])[0].min() >= 15, "each octave"
    for patch, height in zip(whole, heights, strict=True):
        assert shown_height(patch, -1) == pytest.approx(height, rel=0.1, abs=1.5)
        assert not patch.ignore[-1]


def jittered_levels(colour: tuple[int, ...], strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest levels per channel that the ranges of the colour jitter allow."""
    gammas = np.exp(strength * np.linspace(-0.4, 0.4, 9))
    gains, single = (np.exp(strength * np.array([-r, r])) for r in (0.2, 0.06))
    saturations = 1 + strength * np.array([-0.4, 0.3])
    levels = []
    for gamma, gain, saturation, *of_one in product(gammas, gains, saturations, *[single] * 3):
        toned = ((np.array(colour) / 255) ** gamma * gain * of_one).clip(0, 1)
        grey = toned @ (0.299, 0.587, 0.114)
        levels.append((grey + saturation * (toned - grey)).clip(0, 1) * 255)
    return np.min(levels, 0), np.max(levels, 0)


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("colour", [(60, 110, 150), (150, 70, 60), (40, 40, 40), (190, 190, 190)])
def test_colour_jitter_stays_within_its_range_and_uses_it(
    colour: tuple[int, ...], strength: float
) -> None:
    rng = np.random.default_rng(0)
    image = np.full((1, 1, 3), colour, np.uint8)
    drawn = np.array([jitter(image, strength, rng)[0, 0] for _ in range(400)], float)
    low, high = jittered_levels(colour, strength)
    assert (drawn >= low - 2).all() and (drawn <= high + 2).all()
    assert (np.ptp(drawn, 0) > 0.6 * (high - low)).all()


def test_colour_jitter_leaves_boxes_alone() -> None:
    images, sources = [[scene((100, 50, 140, 150), (20, 60, 44, 120))]], [SourceConfig("a.json")]
    config = PatchConfig(size=64, min_height=20, max_height=40, pedestrian_fraction=1.0, jitter=0)
    plain = PatchSampler(images, sources, config)
    jittering = PatchSampler(images, sources, replace(config, jitter=1.0))
    for seed in range(10):
        before, after = (s.draw(np.random.default_rng(seed)) for s in (plain, jittering))
        assert np.array_equal(before.boxes, after.boxes) and len(after.boxes)
        assert np.array_equal(before.ignore, after.ignore)
        assert not np.array_equal(before.image, after.image)
