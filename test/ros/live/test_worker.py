"""Tests of tasksr_ros.ros.live.worker and tasksr_ros.ros.live.wire, without ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import DecodingConfig, RegionConfig, StampConfig, TrackingConfig
from tasksr_ros.config import PipelineConfig as Config
from tasksr_ros.detections import Detections
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.errors import ImageError
from tasksr_ros.options import build, flatten
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.ros.live.accounts import REPLACED, STOPPED, TIME_JUMP, Account, Report
from tasksr_ros.ros.live.scheduler import RateLimit
from tasksr_ros.ros.live.stamps import StampGate
from tasksr_ros.ros.live.wire import COMPRESSED_IMAGE, IMAGE, Serialized, decode, stamp_of
from tasksr_ros.ros.live.worker import Answer, Channel, Worker
from tasksr_ros.tracking import Tracker

STORE = get_typestore(Stores.ROS2_JAZZY)
S = 1_000_000_000


def image_message(stamp_ns: int, value: int = 0, size: tuple[int, int] = (64, 32)) -> Serialized:
    """A mono8 image of one value."""
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, S))
    header = types["std_msgs/msg/Header"](stamp, "front")
    width, height = size
    data = np.full(width * height, value, np.uint8)
    image = types[IMAGE](header, height, width, "mono8", 0, width, data)
    return Serialized(IMAGE, bytes(STORE.serialize_cdr(image, IMAGE)))


def compressed_message(stamp_ns: int, data: bytes) -> Serialized:
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, S))
    header = types["std_msgs/msg/Header"](stamp, "front")
    image = types[COMPRESSED_IMAGE](header, "jpeg", np.frombuffer(data, np.uint8))
    return Serialized(COMPRESSED_IMAGE, bytes(STORE.serialize_cdr(image, COMPRESSED_IMAGE)))


class Engine:
    """Finds one box in each region, whose score is the region's value / 255; can be held up."""

    name = "test"
    region_size = (64, 32)
    scale_factor = 2
    runs_batches = True

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.called = threading.Semaphore(0)
        self.batches: list[int] = []
        self.fails = False

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        self.batches.append(len(regions))
        self.called.release()
        assert self.free.wait(timeout=30)
        if self.fails:
            raise RuntimeError("device lost")
        boxes = np.tile(np.array((10, 10, 20, 30), np.float32), (len(regions), 1, 1))
        return Found.of_one_class(boxes, regions[:, 0, :1, 0].astype(np.float32) / 255)


class Outlet:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.warnings: list[str] = []
        self.ranged: set[str] = set()

    def publish(self, answer: Answer) -> None:
        self.answers.append(answer)

    def wants_ranges(self, channel: str) -> bool:
        return channel in self.ranged

    def warn(self, what: str, text: str) -> None:
        del what
        self.warnings.append(text)

    def now_ns(self) -> int:
        return 1000 * S

    def is_open(self) -> bool:
        return True


class Bench:
    """A worker with two cameras."""

    def __init__(
        self, timeout_s: float = 30.0, batch: int = 2, decoding: DecodingConfig | None = None
    ) -> None:
        self.engine = Engine()
        self.outlet = Outlet()
        config = build(
            Config, {**flatten(Config()), "region.mode": "full", "region.tile_overlap": 8}
        )
        self.channels = {
            name: Channel(
                name,
                Pipeline(self.engine, config, 0.1),
                Account(time.monotonic()),
                StampGate(StampConfig()),
                RateLimit(0.0),
            )
            for name in ("front", "left")
        }
        self.worker = Worker(
            list(self.channels.values()),
            self.outlet,
            batch=batch,
            max_age_s=60.0,
            timeout_s=timeout_s,
            decoding=decoding,
        )

    def send(self, name: str, stamp_ns: int, value: int = 255) -> None:
        self.worker.receive(name, image_message(stamp_ns, value))

    def hold(self, name: str = "front", stamp_ns: int = 100 * S) -> None:
        """Send a frame that stays in work until ``engine.free`` is set."""
        self.engine.free.clear()
        self.send(name, stamp_ns)
        assert self.engine.called.acquire(timeout=30)

    def report(self, name: str = "front") -> Report:
        return self.channels[name].account.report(time.monotonic())

    def wait(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench()
    yield opened
    opened.engine.free.set()
    assert opened.worker.close()


def test_an_answer_belongs_to_its_image(bench: Bench) -> None:
    for index in range(5):
        bench.send("front", (100 + index) * S, value=50 * (index + 1))
        bench.wait(lambda index=index: len(bench.outlet.answers) == index + 1)
    for index, answer in enumerate(bench.outlet.answers):
        assert (answer.channel, answer.header.stamp.sec) == ("front", 100 + index)
        assert answer.header.frame_id == "front"
        assert answer.result.detections.score == pytest.approx(50 * (index + 1) / 255)
        assert answer.result.detections.xyxy.tolist() == [[5, 5, 10, 15]]
        assert list(answer.latency_ms) == [
            *("decode", "regions", "engine", "merge", "total", "delay", "age")
        ]
        assert answer.latency_ms["age"] == pytest.approx((900 - index) * 1e3)
    assert bench.report().processed == 5


def test_distances_are_worked_out_while_somebody_asks(bench: Bench) -> None:
    for channel in bench.channels.values():
        channel.camera = CameraModel(64, 32, 100.0, 100.0, 32.0, 16.0)
    for index, ranged in enumerate((set(), {"left"}, {"front"}, set())):
        bench.outlet.ranged = ranged
        bench.send("front", (100 + index) * S)
        bench.wait(lambda index=index: len(bench.outlet.answers) == index + 1)
    told = [(a.ranged, a.result.ranges is not None) for a in bench.outlet.answers]
    assert told == [(False, False), (False, False), (True, True), (False, False)]
    assert len(bench.report().latency_ms["range"]) == 1  # of the frames that had the stage
    assert len(bench.report().latency_ms["merge"]) == 4


def test_compressed_images_are_limited_and_checked() -> None:
    """What is damaged or too large is its camera's rejection; a good one after it is worked on."""
    image = np.full((32, 64, 3), 255, np.uint8)
    good = cv2.imencode(".jpg", image)[1].tobytes()
    large = cv2.imencode(".jpg", np.zeros((33, 64, 3), np.uint8))[1].tobytes()
    bench = Bench(decoding=DecodingConfig(max_pixels=64 * 32))
    for index, data in enumerate((good, large, good[:-10], good)):
        bench.worker.receive("front", compressed_message((100 + index) * S, data))
        bench.wait(lambda index=index: _done(bench.report()) == index + 1)
    assert bench.report().processed == 2
    assert [answer.header.stamp.sec for answer in bench.outlet.answers] == [100, 103]
    first, second = (answer.result.detections for answer in bench.outlet.answers)
    assert np.array_equal(first.xyxy, second.xyxy)
    assert "JPEG is damaged" in bench.report().last_rejection
    assert bench.outlet.answers[0].latency_ms["decode"] > 0
    assert bench.worker.close()


def _done(report: Report) -> int:
    return report.processed + report.rejected


def test_frames_of_several_cameras_share_an_engine_call(bench: Bench) -> None:
    bench.hold()
    bench.send("left", 101 * S, value=100)
    bench.send("front", 102 * S, value=200)
    bench.engine.free.set()
    bench.wait(lambda: len(bench.outlet.answers) == 3)
    assert bench.engine.batches == [1, 2]
    scores = {a.header.stamp.sec: float(a.result.detections.score[0]) for a in bench.outlet.answers}
    assert scores == pytest.approx({100: 1.0, 101: 100 / 255, 102: 200 / 255})


def test_a_broken_frame_of_one_camera_leaves_the_others_of_its_batch(bench: Bench) -> None:
    bench.hold()
    bench.worker.receive("left", Serialized(IMAGE, image_message(101 * S).data[:40]))
    bench.send("front", 102 * S)
    bench.engine.free.set()
    bench.wait(lambda: len(bench.outlet.answers) == 2)
    left = bench.report("left")
    assert left.dropped == {"rejected ImageError": 1}
    assert left.last_rejection.startswith("40 bytes are no Image message")


def test_a_failing_engine_is_counted_and_the_worker_goes_on(bench: Bench) -> None:
    bench.engine.fails = True
    bench.send("front", 100 * S)
    bench.wait(lambda: bench.report().rejected == 1)
    bench.engine.fails = False
    bench.send("front", 101 * S)
    bench.wait(lambda: bench.outlet.answers)
    assert bench.report().last_rejection == "device lost"
    assert bench.outlet.warnings == ["front: frame rejected: device lost"]


def test_a_late_answer_is_published_with_its_stamp() -> None:
    """Meanwhile each camera's newest frame waits, and is next."""
    bench = Bench(timeout_s=0.2)
    bench.hold()
    bench.send("front", 101 * S)
    bench.wait(lambda: bench.worker.hangs)
    bench.send("front", 102 * S)
    bench.send("left", 103 * S)
    assert bench.report().dropped == {REPLACED: 1}
    bench.engine.free.set()
    bench.wait(lambda: len(bench.outlet.answers) == 3)
    stamps = [answer.header.stamp.sec for answer in bench.outlet.answers]
    assert (stamps[0], sorted(stamps[1:])) == (100, [102, 103])
    assert bench.outlet.answers[0].latency_ms["total"] >= 200
    assert "the engine answers again after" in bench.outlet.warnings[0]
    bench.wait(lambda: not bench.worker.hangs)
    report = bench.report()
    assert (report.received, report.processed, report.dropped) == (3, 2, {REPLACED: 1})
    assert bench.worker.close()


def test_every_frame_may_take_longer_than_the_timeout() -> None:
    bench = Bench(timeout_s=0.05)
    for index in range(4):
        bench.hold(stamp_ns=(100 + index) * S)
        bench.wait(lambda: bench.worker.hangs)
        bench.engine.free.set()
        bench.wait(lambda index=index: len(bench.outlet.answers) == index + 1)
    assert (bench.report().received, bench.report().processed) == (4, 4)
    assert bench.worker.close()


class SlowEngine(GuardedEngine):
    """Says that a region takes half a second, whatever it takes."""

    @property
    def region_s(self) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("timeout_s", "columns", "limit_s", "slowness"),
    [
        (0.0, 3, 10.0, ""),
        (0.0, 6, 15.0, ""),
        (0.0, 21, 52.5, "21 regions x 0.50 s = 10.5 s a frame, more than 10 s: look at less ("),
        (20.0, 21, 20.0, ""),
        (
            10.0,
            21,
            10.0,
            "21 regions x 0.50 s = 10.5 s a frame, more than diagnostics.engine_timeout (10 s), "
            "after which it counts as hanging: look at less (",
        ),
    ],
)
def test_the_limit_is_of_regions_and_measured_time(
    timeout_s: float, columns: int, limit_s: float, slowness: str
) -> None:
    bench = Bench(timeout_s=timeout_s)
    config = bench.channels["front"].pipeline.config
    bench.channels["front"].pipeline = Pipeline(SlowEngine(bench.engine), config, 0.1)
    width = 64 + (columns - 1) * 56  # tiles of 64 px that overlap by 8
    for count in (1, 2):
        message = image_message((100 + count) * S, 255, (width, 32))
        bench.worker.receive("front", message)
        bench.wait(lambda count=count: len(bench.outlet.answers) == count)
    assert len(bench.outlet.answers[0].result.tiles) == columns
    assert bench.worker.limit_s == pytest.approx(limit_s)
    assert bench.worker.slowness.startswith(slowness)
    assert bool(bench.worker.slowness) == bool(slowness)
    assert bench.outlet.warnings == [bench.worker.slowness] * bool(slowness)  # once
    assert bench.worker.close()


def test_closing_while_the_engine_hangs_leaves_the_thread_alone() -> None:
    bench = Bench(timeout_s=0.2)
    bench.hold()
    assert not bench.worker.close()
    assert bench.report().dropped == {STOPPED: 1}
    bench.engine.free.set()
    bench.wait(lambda: not bench.worker.alive)
    assert not bench.outlet.answers
    assert bench.report().pending == 0


def test_closing_counts_what_waits(bench: Bench) -> None:
    bench.hold()
    bench.send("left", 101 * S)
    threading.Timer(0.1, bench.engine.free.set).start()
    assert bench.worker.close()
    assert bench.report("left").dropped == {STOPPED: 1}
    assert bench.report("front").processed == 1


def test_pipelines_are_exchanged_between_frames(bench: Bench) -> None:
    bench.hold()
    other = Engine()
    config = bench.channels["front"].pipeline.config
    order: list[str] = []
    bench.worker.exchange(
        {name: Pipeline(other, config, 0.99) for name in bench.channels},
        1,
        lambda: order.append(f"after {len(bench.outlet.answers)}"),
    )
    assert not order
    bench.engine.free.set()
    bench.wait(lambda: order)  # no frame is needed for it
    assert order == ["after 1"]
    bench.send("front", 101 * S, value=200)
    bench.wait(lambda: len(bench.outlet.answers) == 2)
    assert (bench.engine.batches, other.batches) == ([1], [1])
    assert len(bench.outlet.answers[1].result.detections) == 0


def test_a_jump_back_drops_what_waits_and_resets_the_tracker(bench: Bench) -> None:
    calls: list[object] = []

    class Recorder(Tracker):
        def update(
            self, detections: Detections, stamp_ns: int, camera: CameraModel | None = None
        ) -> Detections:
            calls.append(stamp_ns // S)
            return super().update(detections, stamp_ns, camera)

        def reset(self) -> None:
            calls.append("reset")
            super().reset()

    bench.channels["front"].pipeline.tracker = Recorder(TrackingConfig(), RegionConfig(), 0.1)
    calls.clear()
    bench.hold(stamp_ns=700 * S)
    bench.send("front", 701 * S)
    bench.send("front", 100 * S)
    bench.send("front", 101 * S)
    bench.engine.free.set()
    bench.wait(lambda: len(bench.outlet.answers) == 2)
    assert calls == [700, "reset", 101]
    report = bench.report()
    assert report.dropped == {TIME_JUMP: 1, REPLACED: 1}
    assert report.time_jumps == 1


def test_tracks_go_on_when_a_pipeline_is_exchanged(bench: Bench) -> None:
    config = bench.channels["front"].pipeline.config
    tracked = replace(config, tracking=TrackingConfig(enabled=True, min_hits=1))
    for index, threshold in enumerate((0.1, 0.1, 0.2, 0.3)):
        pipeline = Pipeline(bench.engine, tracked, threshold)
        bench.worker.exchange({"front": pipeline}, 1, lambda: None)
        bench.send("front", (100 + index) * S)
        bench.wait(lambda index=index: len(bench.outlet.answers) == index + 1)
        assert pipeline.tracker is not None
        assert pipeline.tracker.thresholds.tolist() == pytest.approx([threshold])
    ids = [answer.result.detections.track_id.tolist() for answer in bench.outlet.answers]
    assert "track" in bench.outlet.answers[0].latency_ms
    assert len(ids[1]) == 1
    assert ids[1] == ids[2] == ids[3]


@pytest.mark.parametrize("big_endian", [False, True])
def test_stamps_are_read_without_the_rest(big_endian: bool) -> None:
    message = image_message(1_700_000_000_123_456_789)
    if big_endian:
        image = STORE.deserialize_cdr(message.data, IMAGE)
        data = bytes(STORE.serialize_cdr(image, IMAGE, little_endian=False))
        message = Serialized(IMAGE, data)
    assert stamp_of(message) == 1_700_000_000_123_456_789
    header, frame = decode(message)
    assert (header.stamp.sec, header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (frame.size, frame.stamp_ns) == ((64, 32), 1_700_000_000_123_456_789)


@pytest.mark.parametrize("kind", [IMAGE, COMPRESSED_IMAGE])
def test_mutated_messages_are_rejected_or_read(kind: str) -> None:
    """Nothing but ImageError, and no pixels from outside the message."""
    random = np.random.default_rng(0)
    good = bytearray(image_message(100 * S, size=(8, 4)).data)
    outcomes: dict[str, int] = {}
    for _ in range(3000):
        data = bytearray(good)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            data[place] = random.integers(0, 256)
        if random.random() < 0.2:
            data = data[: random.integers(0, len(data))]
        outcome = _outcome(Serialized(kind, bytes(data)))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) <= {"read", "rejected"}
    assert outcomes["rejected"] > 300


def _outcome(message: Serialized) -> str:
    try:
        stamp_of(message)
        _, frame = decode(message)
    except ImageError:
        return "rejected"
    assert frame.image.base is not None or frame.image.flags.owndata
    return "read"


def test_pixels_stay_where_they_came() -> None:
    message = image_message(0)
    frame = decode(message)[1]
    assert np.shares_memory(frame.image, np.frombuffer(message.data, np.uint8))
