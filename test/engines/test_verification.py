"""Tests of tasksr_ros.engines.verification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.verification import compare, example_clips, example_regions, verify
from tasksr_ros.errors import EngineError


def outputs() -> Found:
    """Two regions of 200 cells; in each the two last are the likely ones."""
    scores = np.linspace(0, 1, 200, dtype=np.float32)
    return Found.of_one_class(np.zeros((2, 200, 4), np.float32), np.stack([scores, scores]))


def test_difference_is_of_all_scores_and_of_likely_boxes() -> None:
    found, expected = outputs(), outputs()
    boxes, scores, *_ = found
    scores[0, 3] += 0.25
    boxes[1, 0] = 9  # unlikely
    boxes[1, 198, 2] = -0.5
    difference = compare(found, expected)
    assert (difference.score, difference.box, difference.regions) == (0.25, 0.5, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_far_off(value: float) -> None:
    found, expected = outputs(), outputs()
    boxes, scores, *_ = found
    scores[0, 0], boxes[0, 199, 0] = value, value
    difference = compare(found, expected)
    assert (difference.score, difference.box) == (np.inf, np.inf)


def test_examples_show_the_band_of_distant_people() -> None:
    regions = example_regions((64, 32), 2)
    assert (regions.shape, regions.dtype) == ((2, 32, 64, 3), np.uint8)
    assert regions.std() > 1
    np.testing.assert_array_equal(regions, example_regions((64, 32), 2))


def test_examples_of_video_show_what_was_there_before(video_bundle: Path) -> None:
    clips = example_clips((64, 32), (-1, -2), number=2)
    assert clips.neighbours.shape == (2, 2, 32, 64, 3)
    assert (clips.neighbours[0] == clips.regions[0]).all() and not clips.flows[0].any()
    assert (clips.neighbours[1, 0] != clips.regions[1]).any()
    assert (clips.neighbours[1, 1] == clips.regions[1]).all()
    bundle, config = load_bundle(video_bundle), EngineConfig(name="torch", device="cpu")
    assert verify(build_engine(bundle, config), bundle, config, clips).score <= 1e-5


def test_an_engine_that_computes_something_else_is_refused(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    config = EngineConfig(name="torch", device="cpu")
    engine = build_engine(bundle, config)

    class Wrong:
        name, region_size, scale_factor = engine.name, engine.region_size, engine.scale_factor
        runs_batches = False

        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            found = engine(regions)
            return found._replace(scores=found.scores + np.float32(0.01))

    assert verify(engine, bundle, config, example_regions((64, 32), 1)).score == 0
    with pytest.raises(EngineError, match=r"at most 0\.001 off in fp32, got 0\.01"):
        verify(Wrong(), bundle, config, example_regions((64, 32), 1))
