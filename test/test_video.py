"""Tests of tasksr_ros.video, and of pipelines whose super-resolution is of video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import DetectionConfig, NearConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.engines.clips import Clips
from tasksr_ros.engines.found import Found
from tasksr_ros.io.frames import Frame
from tasksr_ros.merge import merge
from tasksr_ros.model import Model, load_model
from tasksr_ros.networks.super_resolution.flow import neighbours_and_flows
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.regions import Rect, Tile
from tasksr_ros.video import Window

MS = 1_000_000
WHOLE = Tile(Rect(0, 0, 32, 16), (32, 16))
PAST, AROUND = (-1, -2), (-2, -1, 1)


def frame(ms: int, value: int, size: tuple[int, int] = (32, 16)) -> Frame:
    """An image of one value."""
    return Frame(np.full((size[1], size[0], 3), value, np.uint8), stamp_ns=ms * MS)


def seen(window: Window, *stamps_ms: int) -> list[int | None]:
    """What the last frame of a run has beside it; its frames have the values 1, 2, 3, …"""
    for value, ms in enumerate(stamps_ms, 1):
        past = window.see(frame(ms, value), [WHOLE])
    bands = [None if band is None else band.pixels(WHOLE, (32, 16)) for band in past.bands]
    return [None if pixels is None else int(pixels[0, 0, 0]) for pixels in bands]


@pytest.mark.parametrize(
    ("stamps_ms", "expected"),
    [
        ((1000,), [None, None]),
        ((1000, 1100), [1, None]),
        ((1000, 1100, 1200), [2, 1]),
        ((1000, 1100, 1200, 1300), [3, 2]),
        ((1000, 1100, 1300), [2, 1]),  # one was dropped: it leaves no place
        ((1000, 1100, 2000), [2, 1]),  # as old as may be
        ((1000, 1100, 2001), [2, None]),  # the first is too old
        ((1000, 1100, 2101), [None, None]),
        ((1000, 1100, 1200, 1150), [2, None]),  # late: those before it, of what is kept
        ((1000, 1100, 1200, 1150, 1300), [3, 2]),  # … and as if it had not come
        ((1000, 1100, 1100), [1, None]),  # doubled: it is not beside itself
        ((1000, 1100, 1100, 1200), [2, 1]),  # the first of the two stays
        ((5000, 5100, 4099), [None, None]),  # a bag that is played again …
        ((5000, 5100, 4099, 4200), [3, None]),  # … is another course of time
        ((5000, 5100, 4100), [None, None]),  # late by as much as may be …
        ((5000, 5100, 4100, 5200), [2, 1]),
        ((0, 0, 0), [2, 1]),  # without stamps: as they come
        ((5000, 0, 5100), [2, 1]),
    ],
)
def test_frames_before(stamps_ms: tuple[int, ...], expected: list[int | None]) -> None:
    assert seen(Window(PAST, 1.0), *stamps_ms) == expected


def test_frames_after_are_never_there() -> None:
    assert seen(Window(AROUND, 1.0), 1000, 1100, 1200) == [1, 2, None]
    assert seen(Window(AROUND, 1.0), 1000) == [None, None, None]


def test_no_more_is_kept_than_is_looked_at() -> None:
    window = Window(PAST, 60.0)
    for ms in range(1000, 1050):
        window.see(frame(ms, 0, (640, 360)), [WHOLE])
        assert len(window._kept) <= 2
    assert [band.frame.image.shape for band in window._kept] == [(16, 32, 3)] * 2


def test_what_is_kept_is_a_copy() -> None:
    """Of the camera's message nothing stays, and nobody writes into what was seen."""
    window, first = Window(PAST, 1.0), frame(1000, 7)
    window.see(first, [WHOLE])
    first.image[:] = 99
    (band, _) = window.see(frame(1100, 8), [WHOLE]).bands
    assert band is not None
    assert band.frame.image.base is None
    assert set(band.frame.image.ravel().tolist()) == {7}


def test_another_size_and_a_reset_begin_anew() -> None:
    window = Window(PAST, 1.0)
    assert seen(window, 1000, 1100) == [1, None]
    assert window.see(frame(1200, 3, (64, 32)), [WHOLE]).bands == (None, None)
    assert window.see(frame(1300, 4, (64, 32)), [WHOLE]).bands[0] is not None
    window.reset()
    assert window.see(frame(1400, 5, (64, 32)), [WHOLE]).bands == (None, None)


def test_another_window_goes_on_with_as_much_as_it_looks_at() -> None:
    old, new = Window((-1, -2, -3), 1.0), Window((-1,), 1.0)
    seen(old, 1000, 1100, 1200)
    new.follow(old)
    assert len(new._kept) == 1
    (band,) = new.see(frame(1300, 4), [WHOLE]).bands
    assert band is not None and band.frame.stamp_ns == 1200 * MS


def texture(width: int = 120, height: int = 48) -> NDArray[np.uint8]:
    """Smooth random blobs, in which flow can be followed."""
    noise = np.random.default_rng(0).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def moving(number: int, step: int = 3, width: int = 64, height: int = 32) -> list[Frame]:
    """A camera that turns to the right: the scene goes to the left by ``step`` px a frame."""
    wide = texture(width + number * step, height)
    return [
        Frame(
            np.ascontiguousarray(wide[:, k * step : k * step + width]),
            stamp_ns=(1000 + 100 * k) * MS,
        )
        for k in range(number)
    ]


def test_flow_is_of_the_region_and_leads_to_where_it_was() -> None:
    tile = Tile(Rect(8, 4, 56, 28), (48, 24))
    window, (first, second) = Window(PAST, 1.0), moving(2)
    window.see(first, [tile])
    region = second.image[4:28, 8:56]
    clips = window.see(second, [tile]).clips(region[None], [tile])
    assert clips.neighbours.shape == (1, 2, 24, 48, 3)
    np.testing.assert_array_equal(clips.neighbours[0, 0], first.image[4:28, 8:56])
    assert np.median(clips.flows[0, 0, 0]) == pytest.approx(3, abs=0.2)  # it was to the right
    assert np.median(clips.flows[0, 0, 1]) == pytest.approx(0, abs=0.2)
    np.testing.assert_array_equal(clips.neighbours[0, 1], region)  # nothing was there
    assert not clips.flows[0, 1].any()


def test_what_the_frames_before_do_not_show_is_left_out() -> None:
    """The band moved, as the intrinsics or ``region.top`` changed."""
    low, high = Tile(Rect(0, 16, 64, 32), (64, 16)), Tile(Rect(0, 8, 64, 24), (64, 16))
    window, (first, second) = Window(PAST, 1.0), moving(2)
    window.see(first, [low])
    past, region = window.see(second, [high]), second.image[8:24]
    clips = past.clips(region[None], [high])
    np.testing.assert_array_equal(clips.neighbours[0, 0], region)
    assert not clips.flows.any()


def config(**more: Any) -> PipelineConfig:
    return PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8),
        DetectionConfig(score_threshold=0.0),
        near=NearConfig(width=0),
        **more,
    )


@pytest.fixture(scope="module")
def model(video_bundle: Path) -> Model:
    return load_model(video_bundle, "torch", NearConfig(width=0))


def by_hand(bundle: Path, images: list[NDArray[np.uint8]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes and scores of the last of three images, nearest neighbour first, of one region."""
    import torch

    tdsr = load_bundle(bundle).load()
    neighbours, flows = neighbours_and_flows(images[-1], images[-2::-1])
    target, before = (torch.from_numpy(a).float() / 255 for a in (images[-1], neighbours))
    with torch.no_grad():
        sr = tdsr.sr(
            target.permute(2, 0, 1)[None],
            before.permute(0, 3, 1, 2)[None],
            torch.from_numpy(flows)[None],
        )
        boxes, scores, _ = tdsr.detector(sr)
    return boxes[0].numpy() / 2, scores[0].numpy()


def check_same(found: Detections, expected: Detections) -> None:
    """The same boxes and scores; those of almost the same score in any order."""
    assert len(found) == len(expected) > 20
    np.testing.assert_allclose(found.score, expected.score, atol=1e-4)
    apart = np.abs(found.xyxy[:, None] - expected.xyxy[None]).max(2)
    assert max(apart.min(0).max(), apart.min(1).max()) < 1e-3


def test_the_pipeline_is_window_network_and_detector_in_series(
    model: Model, video_bundle: Path
) -> None:
    frames = moving(4)
    pipeline = model.pipeline(config())
    results = [pipeline.run(one) for one in frames]
    boxes, scores = by_hand(video_bundle, [one.image for one in frames[1:]])
    xyxy = boxes.clip(0, (64, 32, 64, 32))
    real = (xyxy[:, 2:] > xyxy[:, :2]).all(1)
    expected = merge(
        Detections.from_arrays(xyxy[real], scores[real], np.zeros(real.sum(), np.int32)),
        np.zeros(real.sum(), np.bool_),
        0.5,
        300,
    )
    found = results[-1].detections
    check_same(found, expected)
    alone = model.pipeline(config()).run(frames[-1]).detections  # it does look back
    number = min(len(alone), len(found))
    assert np.abs(alone.score[:number] - found.score[:number]).max() > 1e-3
    assert set(results[-1].latency_ms) == {"decode", "regions", "flow", "engine", "merge"}


def test_cameras_have_windows_of_their_own(model: Model) -> None:
    """In one call of the engine, each camera's frame has what that camera saw."""
    left, right = moving(3), [Frame(f.image[::-1], stamp_ns=f.stamp_ns) for f in moving(3, 1)]
    alone = []
    for frames in (left, right):
        pipeline = model.pipeline(config())
        alone.append([pipeline.run(one).detections for one in frames][-1])
    both = [model.pipeline(config()) for _ in range(2)]
    for pair in zip(left, right, strict=True):
        prepared = [p.prepare(one) for p, one in zip(both, pair, strict=True)]
        looked = both[0].look(prepared)
        results = [p.finish(*x) for p, *x in zip(both, prepared, looked, strict=True)]
    for result, expected in zip(results, alone, strict=True):
        check_same(result.detections, expected)


class Recorder:
    """Finds nothing, and keeps what it was given."""

    name, region_size, scale_factor = "recorder", (64, 32), 2

    def __init__(self) -> None:
        self.given: list[Clips] = []

    def __call__(self, regions: Clips) -> Found:
        self.given.append(replace(regions, regions=regions.regions.copy()))
        return Found.of_one_class(
            np.zeros((len(regions), 1, 4), np.float32), np.zeros((len(regions), 1), np.float32)
        )


def test_with_a_budget_only_what_is_looked_at_has_flow() -> None:
    """Wherever a region lies: its neighbours are cut from the same place."""
    engine = Recorder()
    region = RegionConfig(mode="full", tile_overlap=8, budget=1)
    pipeline = Pipeline(engine, PipelineConfig(region), 0.5, neighbours=PAST)
    frames = moving(6, width=150, height=40)
    results = [pipeline.run(one) for one in frames]
    assert len(pipeline.tiles((150, 40))) == 6
    for before, now, result, clips in zip(
        frames[:-1], frames[1:], results[1:], engine.given[1:], strict=True
    ):
        (tile,) = result.tiles
        assert len(clips) == 1
        for pixels, of in ((clips.regions[0], now), (clips.neighbours[0, 0], before)):
            np.testing.assert_array_equal(pixels, tile.pixels(of, (64, 32)))
    assert len({result.tiles for result in results}) > 1
    assert "flow" in results[-1].latency_ms


def test_a_pipeline_forgets_and_follows(model: Model) -> None:
    frames = moving(3)
    pipeline, next_one = model.pipeline(config()), model.pipeline(config())
    expected = [pipeline.run(one).detections for one in frames]
    pipeline.reset()
    fresh = model.pipeline(config()).run(frames[2]).detections
    again = pipeline.run(frames[2]).detections
    np.testing.assert_array_equal(again.xyxy, fresh.xyxy)
    pipeline.reset()
    for one in frames[:2]:
        pipeline.run(one)
    next_one.follow(pipeline)
    np.testing.assert_array_equal(next_one.run(frames[2]).detections.xyxy, expected[2].xyxy)
