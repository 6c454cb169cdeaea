from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tasksr_training.coco import LabelledImage
from tasksr_training.datasets import (
    Batches,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    read_sources,
)
from tasksr_training.errors import TrainingDataError
from tasksr_training.hard_backgrounds import (
    HardBackgrounds,
    hard_places,
    overlaps,
    pedestrian_rows,
    with_false_positives,
)


def street() -> LabelledImage:
    """A pole at x = 208, a fence of level rails at x = 64 to 96, a pedestrian, grey elsewhere."""
    image = np.full((256, 320, 3), 120, np.uint8)
    image[64:192, 208:214] = 20
    image[70:180:8, 64:96] = 20
    boxes = np.array([[130, 80, 150, 140], [10, 100, 30, 160]], np.float32)
    return LabelledImage(image, boxes, np.array([False, True]), 7, "a")


def test_upright_edges_are_found_in_the_rows_of_pedestrians() -> None:
    image = street()
    rows = pedestrian_rows([image])
    assert rows == (80 / 256, 140 / 256)  # not those of the ignored one
    boxes, weights = hard_places(image, rows)
    assert not overlaps(boxes, image.boxes).any()
    middle = boxes[:, [1, 3]].mean(1)
    assert (middle >= 80).all() and (middle <= 140).all()
    best = boxes[weights > weights.max() / 2]
    assert set(best[:, 0].tolist()) == {192.0}  # the pole; level rails have few such edges
    assert (best[:, 2:] - best[:, :2]).tolist() == [[32, 64]] * len(best)


def test_places_are_drawn_in_proportion_to_their_weights() -> None:
    image = street()
    places = np.array([[0, 0, 10, 20, 0.2], [50, 0, 60, 20, 0.6]], np.float32)
    hard = HardBackgrounds([street(), replace(image, false_positives=places)])
    only = HardBackgrounds([replace(image, false_positives=places)])
    rng = np.random.default_rng(0)
    drawn = [only.draw(rng)[1][0] for _ in range(400)]
    assert 0.7 < np.mean(np.array(drawn) == 50) < 0.8
    assert {hard.draw(rng)[0] for _ in range(200)} == {0}, "edges outweigh scores"


def test_images_without_any_edge_have_no_places() -> None:
    flat = replace(street(), image=np.full((256, 320, 3), 9, np.uint8))
    small = replace(street(), image=np.zeros((20, 20, 3), np.uint8))
    assert len(HardBackgrounds([flat, small])) == 0
    assert pedestrian_rows([replace(flat, boxes=np.zeros((0, 4)), ignore=np.zeros(0, bool))]) == (
        0,
        1,
    )


def test_false_positives_are_predictions_on_nobody(tmp_path: Path) -> None:
    def result(x: float, score: float, image_id: int = 7) -> dict[str, object]:
        return {"image_id": image_id, "bbox": [x, 80, 20, 60], "score": score}

    results = [
        result(131, 0.9),  # the pedestrian
        result(131, 0.8),  # the pedestrian again
        result(250, 0.3),
        result(200, 0.7),
        result(280, 0.01),  # too weak
        {"image_id": 7, "bbox": [12, 110, 10, 30], "score": 0.9},  # in the ignored box
    ]
    path = tmp_path / "predictions.json"
    for content in (results, {"detections": results}):
        path.write_text(json.dumps(content))
        (image,) = with_false_positives([street()], path)
        assert image.false_positives is not None
        assert np.allclose(
            image.false_positives,
            [[131, 80, 151, 140, 0.8], [200, 80, 220, 140, 0.7], [250, 80, 270, 140, 0.3]],
        )
    assert hard_places(image, (0, 1))[1].tolist() == pytest.approx([0.8, 0.7, 0.3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "expected COCO results"),
        ('[{"bbox": [1, 2]}]', "expected COCO results"),
        ('[{"image_id": 99, "bbox": [1, 2, 3, 4], "score": 1}]', "found none"),
    ],
)
def test_predictions_of_another_form_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(TrainingDataError, match="there is no such file"):
        with_false_positives([street()], path)
    path.write_text(content)
    with pytest.raises(TrainingDataError, match=message):
        with_false_positives([street()], path)


def test_patches_show_the_hard_places(data: Path) -> None:
    config = PatchConfig(size=64, min_height=20, max_height=40, jitter=0)
    config = replace(config, hard_background_fraction=1.0)
    ids = [i["id"] for i in json.loads((data / "train.json").read_text())["images"]]
    predictions = [{"image_id": i, "bbox": [130, 2, 20, 40], "score": 0.5} for i in ids]
    (data / "predictions").mkdir(exist_ok=True)
    (data / "predictions/train.json").write_text(json.dumps(predictions))
    sources = [SourceConfig("train.json", predictions="predictions/train.json")]
    images = read_sources(data, sources)
    # A white mark in the middle of the place: it is in every patch.
    for image in images[0]:
        image.image[20:24, 138:142] = 255
    sampler, rng = PatchSampler(images, sources, config), np.random.default_rng(0)
    assert all((sampler.draw(rng).image.min(2) > 230).any() for _ in range(20))
    first = Batches(sampler, 2, seed=5)[3]
    assert torch.equal(first.hr, Batches(PatchSampler(images, sources, config), 2, seed=5)[3].hr)
    off = [replace(sources[0], hard_backgrounds=False)]
    sampler = PatchSampler(images, off, config)
    assert not all((sampler.draw(rng).image.min(2) > 230).any() for _ in range(20))


def test_shares_above_one_are_refused(data: Path) -> None:
    sources = [SourceConfig("train.json")]
    config = PatchConfig(hard_background_fraction=0.6, copy_paste_fraction=0.5)
    with pytest.raises(TrainingDataError, match=r"at most 1 together, got 0\.6 and 0\.5"):
        PatchSampler(read_sources(data, sources), sources, config)
