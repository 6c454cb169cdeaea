"""Tests of tasksr_ros.pipeline, with an engine whose answers are known, and with a real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros import pipeline as module
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import (
    DetectionConfig,
    PipelineConfig,
    RangeConfig,
    RegionConfig,
    TrackingConfig,
)
from tasksr_ros.engines.found import Found
from tasksr_ros.errors import BundleError, ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model
from tasksr_ros.pipeline import Pipeline


class PixelEngine:
    """Finds every region pixel that is pure red: a box of that pixel, with score 0.9.

    It stands for networks that see perfectly, so that the pipeline's geometry shows.
    """

    name = "pixel"
    region_size = (64, 32)
    scale_factor = 4

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        red = (regions == (255, 0, 0)).all(-1)
        count = max(1, red.sum((1, 2)).max())
        boxes = np.zeros((len(regions), count, 4), np.float32)
        scores = np.zeros((len(regions), count), np.float32)
        for index, mask in enumerate(red):
            y, x = np.nonzero(mask)
            found = np.stack((x, y, x + 1, y + 1), 1) * self.scale_factor
            boxes[index, : len(found)], scores[index, : len(found)] = found, 0.9
        return Found.of_one_class(boxes, scores)


def pipeline(**region: object) -> Pipeline:
    config = PipelineConfig(RegionConfig(tile_overlap=8, **region))  # type: ignore[arg-type]
    return Pipeline(PixelEngine(), config, 0.5)


@pytest.mark.parametrize("size", [(201, 97), (64, 32), (65, 33), (40, 20), (641, 31)])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_every_pixel_is_found_where_it_is_and_once(size: tuple[int, int], encoding: str) -> None:
    width, height = size
    rng = np.random.default_rng(0)
    index = rng.choice(width * height, 30, replace=False)
    image = np.zeros((height, width, 3), np.uint8)
    image.reshape(-1, 3)[index, 0 if encoding == "rgb8" else 2] = 255
    detections = pipeline(mode="full")(Frame(image, encoding=encoding))
    y, x = index // width, index % width
    expected = {(int(a), int(b), int(a) + 1, int(b) + 1) for a, b in zip(x, y, strict=True)}
    assert len(detections) == 30
    assert {tuple(box) for box in detections.xyxy.tolist()} == expected


def test_only_the_band_is_looked_at() -> None:
    image = np.zeros((100, 64, 3), np.uint8)
    image[[5, 50, 95], 10, 0] = 255
    detections = pipeline(mode="fixed", top=0.45, bottom=0.55)(Frame(image))
    assert detections.xyxy.tolist() == [[10, 50, 11, 51]]


def test_tiles_follow_the_image_and_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are worked out again where the image's size or the intrinsics change, and only there."""
    calls: list[object] = []
    monkeypatch.setattr(
        module, "distant_band", lambda *a, of=module.distant_band: calls.append(a) or of(*a)
    )
    looking = pipeline(mode="distance")
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 50.0)
    image = np.zeros((100, 200, 3), np.uint8)
    first = [looking.run(Frame(image)).tiles for _ in range(3)]
    assert first[0] == first[1] == first[2]
    assert len(calls) == 1
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 50.0)  # the next CameraInfo
    assert looking.tiles((200, 100)) == first[0]
    assert len(calls) == 1
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 30.0)
    assert looking.tiles((200, 100))[0].rect.y0 < first[0][0].rect.y0
    assert len(calls) == 2
    with pytest.raises(ConfigError, match="intrinsics are for 200x100 px"):
        looking.tiles((100, 50))
    assert looking.tiles((200, 100))[0].rect.y0 < first[0][0].rect.y0


def test_no_frames_pixels_reach_the_next() -> None:
    """The memory of the regions is used again."""
    looking = pipeline(mode="full")
    red = np.zeros((40, 100, 3), np.uint8)
    red[7, 80, 0] = 255
    sizes = []
    for image in (red, np.zeros_like(red), red[:, 30:], red[:, :60], red):
        prepared = looking.prepare(Frame(image))
        sizes.append(len(prepared.regions))
        assert (prepared.regions[..., 0] == 255).any() == (image == 255).any()
        assert len(looking(Frame(image))) == (image == 255).any()
    assert sizes == [4, 4, 4, 2, 4]
    assert looking.prepare(Frame(red)).regions is looking.prepare(Frame(red)).regions


class NearEngine(PixelEngine):
    """Sees the whole image, without super-resolution."""

    scale_factor = 1


def test_the_near_pass_finds_what_lies_outside_the_band() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[0:2, 4:6, 0] = 255  # a red pixel of the image reduced by 2
    config = PipelineConfig(RegionConfig(top=0.9, bottom=1.0, tile_overlap=8))
    assert len(Pipeline(PixelEngine(), config, 0.5)(Frame(image))) == 0
    found = Pipeline(PixelEngine(), config, 0.5, near=NearEngine())(Frame(image))
    assert found.xyxy.tolist() == [[4, 0, 6, 2]]


def test_who_is_seen_near_and_in_a_region_is_one() -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[20, 30, 0] = 255
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8))
    found = Pipeline(PixelEngine(), config, 0.5, near=NearEngine())(Frame(image))
    assert found.xyxy.tolist() == [[30, 20, 31, 21]]


def test_a_part_seen_at_the_edge_of_the_band_is_the_person_of_the_near_pass() -> None:
    class Torso(PixelEngine):
        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            boxes = np.array([[[40.0, 0.0, 80.0, 128.0]]], np.float32)  # as high as the region
            return Found.of_one_class(boxes, np.array([[0.95]], np.float32))

    class Whole(NearEngine):
        region_size = (64, 96)

        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            boxes = np.array([[[8.0, 10.0, 22.0, 80.0]]], np.float32)
            return Found.of_one_class(boxes, np.array([[0.7]], np.float32))

    config = PipelineConfig(RegionConfig(top=0.34, bottom=0.66, tile_overlap=8))
    image = np.zeros((96, 64, 3), np.uint8)
    without = Pipeline(Torso(), config, 0.5)(Frame(image))
    assert without.xyxy.tolist() == [[10, 32, 20, 64]]
    found = Pipeline(Torso(), config, 0.5, near=Whole())(Frame(image))
    assert found.xyxy.tolist() == [[8, 10, 22, 80]]


def test_score_threshold_of_bundle_and_config() -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[3, 3, 0] = 255
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8))
    assert len(Pipeline(PixelEngine(), config, 0.89)(Frame(image))) == 1
    assert len(Pipeline(PixelEngine(), config, 0.91)(Frame(image))) == 0
    strict = PipelineConfig(config.region, DetectionConfig(score_threshold=0.95))
    assert len(Pipeline(PixelEngine(), strict, 0.5)(Frame(image))) == 0


def test_boxes_are_clipped_to_the_image() -> None:
    class Beyond(PixelEngine):
        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            boxes = np.array([[[-40, -8, 40, 40], [-40, -40, -8, -8]]], np.float32)
            return Found.of_one_class(boxes, np.full((1, 2), 0.9, np.float32))

    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8))
    detections = Pipeline(Beyond(), config, 0.5)(Frame(np.zeros((32, 64, 3), np.uint8)))
    assert detections.xyxy.tolist() == [[0, 0, 10, 10]]


class ScriptedEngine(PixelEngine):
    """Finds these (x, score) in every region, boxes 6 x 18 region px at the top."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        boxes = np.array([(x, 2, x + 6, 20) for x, _ in self.found], np.float32) * self.scale_factor
        scores = np.array([score for _, score in self.found], np.float32)
        return Found.of_one_class(
            np.tile(boxes, (len(regions), 1, 1)), np.tile(scores, (len(regions), 1))
        )


def tracked(enabled: bool, max_detections: int = 300) -> tuple[ScriptedEngine, Pipeline]:
    engine = ScriptedEngine()
    config = PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8),
        DetectionConfig(max_detections=max_detections),
        tracking=TrackingConfig(enabled=enabled, weak_score=0.6),
    )
    return engine, Pipeline(engine, config, 0.5)


def test_tracking_gives_ids_and_keeps_weak_detections_of_a_track() -> None:
    engine, track = tracked(True)
    image = np.zeros((32, 64, 3), np.uint8)
    seen = []
    for k, score in enumerate((0.9, 0.9, 0.35, 0.25, 0.9)):
        engine.found = [(10 + k, score), (50, 0.45)]
        result = track.run(Frame(image, stamp_ns=k * 100_000_000))
        seen.append((result.detections.track_id.tolist(), len(result.detections)))
    assert seen == [([-1], 1), ([0], 1), ([0], 1), ([], 0), ([0], 1)]
    assert "track" in result.latency_ms
    track.reset()
    assert track.run(Frame(image, stamp_ns=10**9)).detections.track_id.tolist() == [-1]


def test_tracking_moves_and_drops_no_strong_detection() -> None:
    image = np.zeros((32, 120, 3), np.uint8)
    results = {}
    for enabled in (False, True):
        engine, track = tracked(enabled)
        rng = np.random.default_rng(0)
        results[enabled] = []
        for k in range(20):
            engine.found = [(x, score) for x, score in rng.uniform((0, 0.2), (58, 1), (12, 2))]
            found = track(Frame(image, stamp_ns=k * 100_000_000))
            strong = found.select(found.score >= 0.5)
            results[enabled].append((strong.xyxy.tolist(), strong.score.tolist()))
    assert results[True] == results[False]


def test_tracking_keeps_max_detections_the_strongest() -> None:
    engine, track = tracked(True, max_detections=2)
    image = np.zeros((32, 64, 3), np.uint8)
    for k in range(3):
        engine.found = [(5, 0.9 if k < 2 else 0.4), (25, 0.8), (45, 0.7)]
        found = track(Frame(image, stamp_ns=k * 100_000_000))
    assert found.score.tolist() == [pytest.approx(0.8), pytest.approx(0.7)]


def test_run_tells_stages_and_tiles() -> None:
    result = pipeline(mode="full").run(Frame(np.zeros((32, 120, 3), np.uint8)))
    assert list(result.latency_ms) == ["decode", "regions", "engine", "merge"]
    assert all(ms >= 0 for ms in result.latency_ms.values())
    assert [tile.rect.x0 for tile in result.tiles] == [0, 56]


def test_distance_mode_without_a_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs the camera's intrinsics"):
        pipeline(mode="distance")(Frame(np.zeros((32, 64, 3), np.uint8)))


def test_a_model_runs_real_networks(tiny_bundle: Path) -> None:
    frame = Frame(np.random.default_rng(0).integers(0, 256, (70, 150, 3), np.uint8))
    config = PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8),
        DetectionConfig(score_threshold=0.0, max_detections=20),
    )
    built = load_model(tiny_bundle, "torch").pipeline(config)
    first, second = built(frame), built(frame)
    assert 0 < len(first) <= 20
    assert (np.diff(first.score) <= 0).all()
    np.testing.assert_array_equal(first.xyxy, second.xyxy)


def test_a_model_of_nothing() -> None:
    with pytest.raises(BundleError, match="no bundle 'nope'"):
        load_model("nope")


class SeeingEngine(PixelEngine):
    """Finds the red rectangle as far as a region shows it, if it shows half of it."""

    def __init__(self, height: int) -> None:
        self._height = height

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        boxes = np.zeros((len(regions), 1, 4), np.float32)
        scores = np.zeros((len(regions), 1), np.float32)
        for index, mask in enumerate((regions == (255, 0, 0)).all(-1)):
            y, x = np.nonzero(mask)
            if len(y) and np.ptp(y) + 1 >= self._height / 2:
                box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
                boxes[index, 0], scores[index, 0] = np.array(box) * self.scale_factor, 0.9
        return Found.of_one_class(boxes, scores)


@pytest.mark.parametrize("overlap", [8, 12, 16])
def test_nobody_is_found_twice_or_lost_at_a_seam(overlap: int) -> None:
    """A person of any height up to a tile's, anywhere across the seams of tile rows."""
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=overlap))
    for height in range(4, 33):
        built = Pipeline(SeeingEngine(height), config, 0.5)
        for top in range(0, 90 - height):
            image = np.zeros((90, 64, 3), np.uint8)
            image[top : top + height, 20:24, 0] = 255
            found = built(Frame(image)).xyxy
            assert len(found) == 1, (height, top, found.tolist())


def test_values_that_a_file_would_not_pass_are_refused_here_too() -> None:
    for region, message in (
        ({"top": 0.7}, "region.top must be less than region.bottom"),
        ({"top": -3.0}, "region.top must be at least 0"),
        ({"tile_overlap": 32}, "region.tile_overlap must be less than"),
    ):
        with pytest.raises(ConfigError, match=message):
            Pipeline(PixelEngine(), PipelineConfig(RegionConfig(**region)), 0.5)


class TwoClasses(PixelEngine):
    """Red pixels are of class 0 with score 0.6, green ones of class 1 with 0.4."""

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        boxes = np.array([[[0, 0, 8, 8], [80, 0, 88, 8]]], np.float32)
        scores, class_ids = np.array([[0.6, 0.4]], np.float32), np.array([[0, 1]], np.int32)
        return Found(boxes, scores, class_ids)


@pytest.mark.parametrize(
    ("detection", "found"),
    [
        ({"score_threshold": 0.3}, [0, 1]),
        ({"score_threshold": 0.5}, [0]),
        ({"score_threshold": 0.3, "classes": ("bicycle",)}, [1]),
        ({"score_threshold": 0.5, "class_thresholds": ("bicycle=0.4",)}, [0, 1]),
        ({"score_threshold": 0.3, "class_thresholds": ("person=0.7",)}, [1]),
        (
            {"score_threshold": 0.3, "classes": ("bicycle",), "class_thresholds": ("bicycle=0.5",)},
            [],
        ),
    ],
)
@pytest.mark.parametrize("tracking", [False, True])
def test_classes_are_chosen_and_have_thresholds_of_their_own(
    detection: dict[str, Any], found: list[int], tracking: bool
) -> None:
    config = PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8),
        DetectionConfig(**detection),
        tracking=TrackingConfig(enabled=tracking, weak_score=1.0),
    )
    built = Pipeline(TwoClasses(), config, 0.3, classes=("person", "bicycle"))
    frame = Frame(np.zeros((32, 64, 3), np.uint8), stamp_ns=1)
    assert built(frame).class_id.tolist() == found


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        ({"classes": ("car",)}, "must be of the bundle's, person, bicycle, got 'car'"),
        ({"class_thresholds": ("car=0.5",)}, "must be of the bundle's, person, bicycle, got 'car'"),
        ({"class_thresholds": ("person",)}, "name=value with values from 0 to 1, got 'person'"),
        ({"class_thresholds": ("person=2",)}, "name=value with values from 0 to 1, got 'person=2'"),
    ],
)
def test_classes_that_there_are_not_are_named(detection: dict[str, Any], message: str) -> None:
    config = PipelineConfig(RegionConfig(tile_overlap=8), DetectionConfig(**detection))
    with pytest.raises(ConfigError, match=message):
        Pipeline(TwoClasses(), config, 0.3, classes=("person", "bicycle"))


def attentive(budget: int | str, **detection: float) -> Pipeline:
    """Eight tiles of 64 x 32 px in a row; the near pass sees the image reduced by 2."""
    region = RegionConfig(mode="full", tile_overlap=0, budget=budget)  # type: ignore[arg-type]
    config = PipelineConfig(region, DetectionConfig(**detection))
    near = NearEngine()
    near.region_size = (256, 16)
    return Pipeline(PixelEngine(), config, 0.5, near=near)


def wide(*reds: tuple[int, int], side: int = 1) -> NDArray[np.uint8]:
    image = np.zeros((32, 512, 3), np.uint8)
    for x, y in reds:
        image[y : y + side, x : x + side, 0] = 255
    return image


def test_with_a_budget_the_near_pass_says_where_to_look() -> None:
    image = wide((300, 16), side=2)  # a red pixel of the near pass
    looking = attentive(1)
    assert looking.prepare(Frame(image, stamp_ns=1)).regions is None
    result = looking.run(Frame(image, stamp_ns=1))
    assert [tile.rect.x0 for tile in result.tiles] == [269]  # 32 before the middle
    assert result.attended is not None
    assert result.attended.why == ("person",)
    assert result.attended.coverage == pytest.approx(1 / 8)
    assert list(result.latency_ms) == ["decode", "regions", "engine", "merge"]
    without = attentive(0).run(Frame(image, stamp_ns=1))
    assert len(without.tiles) == 8
    assert without.attended is None


def test_what_only_a_region_shows_is_found_in_turn_and_then_held() -> None:
    image = wide((300, 16))  # less than a pixel of the near pass
    looking = attentive(1)
    found = [len(looking(Frame(image, stamp_ns=k * 10**8))) for k in range(20)]
    first = found.index(1)
    assert 1 <= first <= 7
    # Then a look goes to everything else now and again: 8 tiles in 20 frames.
    assert sum(found[first + 1 :]) >= (19 - first) // 2


def test_cameras_of_one_call_each_look_where_their_own_people_are() -> None:
    left, right = attentive(1), attentive(2)
    images = wide((100, 16), side=2), wide((300, 16), side=2)
    frames = [
        one.prepare(Frame(image, stamp_ns=1))
        for one, image in zip((left, right), images, strict=True)
    ]
    looked = left.look(frames)
    results = [one.pipeline.finish(one, of) for one, of in zip(frames, looked, strict=True)]
    assert [tile.rect.x0 for tile in results[0].tiles] == [69]
    assert [tile.rect.x0 for tile in results[1].tiles] == [269, 0]
    assert [result.detections.xyxy[:, 0].min() for result in results] == [100, 300]


def test_the_choice_does_not_depend_on_what_is_published() -> None:
    """A replay keeps weaker detections than the node; it looks at the same regions."""

    class Faint(NearEngine):
        region_size = (256, 16)

        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            found = super().__call__(regions)
            return Found(found.boxes, found.scores / 3, found.class_ids)

    chosen = []
    for threshold in (-1.0, 0.05, 0.95):
        looking = attentive(2, score_threshold=threshold)
        looking.near = Faint()
        chosen.append(
            [
                looking.run(Frame(wide((20 + 9 * k, 16), (401, 7), side=2), stamp_ns=k * 10**8))
                for k in range(12)
            ]
        )
    tiles = [[result.tiles for result in results] for results in chosen]
    assert tiles[0] == tiles[1] == tiles[2]
    assert any(
        result.attended and "person" in result.attended.why
        for results in chosen
        for result in results
    )


def test_auto_keeps_to_the_time_as_the_machine_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timed(PixelEngine):
        """The time passes in its calls alone."""

        ms, now_s = 2.0, 0.0

        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            Timed.now_s += self.ms * len(regions) / 1e3
            return super().__call__(regions)

    monkeypatch.setattr(time, "perf_counter", lambda: Timed.now_s)

    looking = attentive("auto")
    looking.engine = Timed()
    image = wide()
    counts = [len(looking.run(Frame(image, stamp_ns=k * 10**8)).tiles) for k in range(12)]
    assert counts[0] == 1
    assert counts[-1] == 8  # 16 of 100 ms
    Timed.ms = 60.0
    counts = [len(looking.run(Frame(image, stamp_ns=k * 10**8)).tiles) for k in range(12, 18)]
    assert counts[0] == 8
    assert counts[-1] == 1


def test_attention_is_forgotten_and_goes_on_as_tracks_do() -> None:
    image = wide((300, 16))
    looking = attentive(1)
    for k in range(12):
        looking.run(Frame(image, stamp_ns=k * 10**8))
    other = attentive(1)
    other.follow(looking)
    attended = other.run(Frame(image, stamp_ns=12 * 10**8)).attended
    assert attended is not None
    assert attended.coverage > 0.8
    other.reset()
    attended = other.run(Frame(image, stamp_ns=13 * 10**8)).attended
    assert attended is not None
    assert attended.coverage == pytest.approx(1 / 8)


def test_with_intrinsics_of_the_image_detections_have_ranges() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[60, 100, 0] = 255
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8, camera_height=1.5))
    looking = Pipeline(PixelEngine(), config, 0.5, classes=("bicycle",))
    assert looking.run(Frame(image)).ranges is None
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 50.0)
    ranges = looking.run(Frame(image)).ranges
    assert ranges is not None
    assert ranges.depth == pytest.approx([1.5 * 300 / 11])
    assert looking.run(Frame(image[:50])).ranges is None  # not of this size


def test_distances_are_worked_out_for_whoever_asks() -> None:
    config = PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8, camera_height=1.5),
        range=RangeConfig(estimate_pitch=False),
    )
    looking = Pipeline(PixelEngine(), config, 0.5)
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 50.0)
    image = np.zeros((100, 200, 3), np.uint8)
    image[60, 100, 0] = 255
    for ranged in (False, True):
        prepared = looking.prepare(Frame(image))
        (looked,) = looking.look([prepared])
        result = looking.finish(prepared, looked, ranged)
        assert (result.ranges is not None) == ranged
        assert ("range" in result.latency_ms) == ranged


def test_the_pitch_is_followed_while_nobody_asks_for_distances() -> None:
    config = PipelineConfig(
        RegionConfig(mode="full", tile_overlap=8), range=RangeConfig(estimate_pitch=True)
    )
    looking = Pipeline(PixelEngine(), config, 0.5)
    looking.camera = CameraModel(200, 100, 300.0, 300.0, 100.0, 50.0)
    image = np.zeros((100, 200, 3), np.uint8)
    image[60, 100, 0] = 255
    assert looking.ranging is not None
    before = looking.ranging.pitch
    prepared = looking.prepare(Frame(image, stamp_ns=1))
    (looked,) = looking.look([prepared])
    result = looking.finish(prepared, looked, ranged=False)
    assert result.ranges is None
    assert result.latency_ms["range"] > 0
    assert looking.ranging.pitch != before


@pytest.mark.parametrize("budget", [0, 2])
def test_what_the_near_pass_found_is_converted_once(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = []
    monkeypatch.setattr(
        module, "in_image", lambda tile, *a, of=module.in_image: tiles.append(tile) or of(tile, *a)
    )
    looking = attentive(budget)
    result = looking.run(Frame(wide((300, 16), side=2), stamp_ns=1))
    assert len(tiles) == 1 + len(result.tiles)
    assert [300, 16, 302, 18] in result.detections.xyxy.tolist()  # as the near pass sees it
