"""Faults of cameras, stamps and engines over real ROS 2 topics: what is published stays right,
diagnostics say what is wrong, and every frame is accounted for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile, ReliabilityPolicy
from red_node import Gate, RedEngine
from ros_client import (
    Camera,
    Client,
    Diagnostics,
    Expected,
    LiveNode,
    assert_accounted,
    factory,
    header,
    live_node,
    red_image,
    values,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from tasksr_ros.io.decoding import decode_message
from tasksr_ros.ros import messages
from tasksr_ros.ros.live.accounts import RATE_LIMIT, REPLACED
from tasksr_ros.ros.live.stamps import OUT_OF_ORDER, REPEATED, ZERO

pytestmark = pytest.mark.wire

S = 1_000_000_000
OK, WARN, ERROR = 0, 1, 2


@pytest.fixture
def arrays(client: Client) -> list[Detection2DArray]:
    return client.listen(Detection2DArray, "detections")


@pytest.fixture
def diagnostics(client: Client) -> Diagnostics:
    return Diagnostics(client)


def send_and_wait(camera: Camera, arrays: list[Detection2DArray], **what: Any) -> None:
    count = len(arrays)
    camera.send(**what)
    camera.client.wait(lambda: len(arrays) > count, f"detections of image {len(camera.sent)}")


def test_a_camera_dies_and_returns(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    limits = {"diagnostics__silent_warn": 0.5, "diagnostics__silent_error": 1.0}
    with live_node(ros_domain, tiny_bundle, **limits) as live:
        client.wait(lambda: diagnostics.state("camera")[1] == "waiting", "waiting")
        camera = Camera(client)
        for _ in range(3):
            send_and_wait(camera, arrays)
        client.wait(lambda: diagnostics.state("camera") == (ERROR, "stale"), "stale")
        client.forget("image")
        assert diagnostics.count("camera", "processed") == 3
        gone_s = time.time()
        send_and_wait(camera, arrays)  # with a new publisher
        client.wait(lambda: (OK, "ok") in diagnostics.states("camera", gone_s), "ok")
        assert_accounted(live.report())
    Expected(tiny_bundle).check(arrays, camera.sent)
    assert len(arrays) == 4


def test_a_publisher_restarts_with_another_size_and_encoding(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    with live_node(ros_domain, tiny_bundle) as live:
        sent: list[Image] = []
        for size, encoding in (((100, 50), "bgr8"), ((64, 33), "rgb8"), ((201, 77), "bgra8")):
            client.forget("image")
            camera = Camera(client, size=size)
            camera.sent = sent
            bgr = decode_message(camera.image()).image
            pixels = {"bgr8": bgr, "rgb8": bgr[..., ::-1], "bgra8": np.insert(bgr, 3, 255, 2)}
            image = messages.to_image(
                np.ascontiguousarray(pixels[encoding]), encoding, header(client, encoding)
            )
            send_and_wait(camera, arrays, image=image)
        client.wait(lambda: diagnostics.count("camera", "processed") == 3, "diagnostics")
        assert diagnostics.state("camera") == (OK, "ok")
        assert diagnostics.count("camera", "rejected") == 0
        assert_accounted(live.report())
    Expected(tiny_bundle).check(arrays, sent)
    assert all(len(array.detections) for array in arrays)


def send_and_receive(live: LiveNode, name: str, camera: Camera) -> None:
    """Send, and wait until the node has it: what it does with it is decided then."""
    count = live.report(name).received
    camera.send()
    camera.client.wait(lambda: live.report(name).received > count, f"image of {name}")


def answer_one(client: Client, live: LiveNode, names: Iterable[str], gate: Gate) -> None:
    """Let the frame in work be answered, and wait until the next is in work."""
    processed = sum(live.report(name).processed for name in names)
    calls = len(gate.entered)
    gate.let_one_on()
    client.wait(lambda: len(gate.entered) > calls, "the next frame")
    client.wait(lambda: sum(live.report(n).processed for n in names) > processed, "an answer")


def test_two_cameras_at_30_and_10_hz_with_room_for_20(
    client: Client, ros_domain: int, tiny_bundle: Path, diagnostics: Diagnostics
) -> None:
    """The slow camera gets all of its frames, the fast one the rest.

    Three images of the fast one come for one of the slow one and two answers.
    """
    cameras = {name: Camera(client, f"{name}/image") for name in ("fast", "slow")}
    answers = {name: client.listen(Detection2DArray, f"{name}/detections") for name in cameras}
    gate = Gate()
    with live_node(ros_domain, tiny_bundle, factory(gate=gate), cameras=list(cameras)) as live:
        try:
            send_and_receive(live, "fast", cameras["fast"])
            client.wait(lambda: gate.entered, "the first frame")
            for _ in range(20):
                for name in ("fast", "slow", "fast"):
                    send_and_receive(live, name, cameras[name])
                answer_one(client, live, cameras, gate)
                send_and_receive(live, "fast", cameras["fast"])
                answer_one(client, live, cameras, gate)
        finally:
            gate.open()
        client.wait(lambda: all(live.report(name).pending == 0 for name in cameras), "the end")
        reports = {name: live.report(name) for name in cameras}
        client.wait(
            lambda: all(len(answers[name]) == reports[name].processed for name in cameras), "all"
        )
        client.wait(
            lambda: all(diagnostics.count(n, "processed") == reports[n].processed for n in cameras),
            "diagnostics",
        )
        for name, report in reports.items():
            assert diagnostics.count(name, "dropped") == sum(report.dropped.values())
    for name, camera in cameras.items():
        assert_accounted(reports[name])
        Expected(tiny_bundle).check(answers[name], camera.sent)
    assert (reports["slow"].received, reports["slow"].processed) == (20, 20)
    assert reports["fast"].received == 61
    assert set(reports["fast"].dropped) == {"replaced"}
    assert 20 <= reports["fast"].processed <= 22


def test_four_cameras_with_unequal_loads_get_equal_shares(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    """Images of 1, 2, 4 and 8 tiles; the engine takes 4 ms for each, and all always wait."""
    sizes = {"a": (60, 30), "b": (110, 30), "c": (100, 50), "d": (200, 50)}
    cameras = {name: Camera(client, f"{name}/image", size) for name, size in sizes.items()}
    gate = Gate()
    engine = factory(work_s=0.004, gate=gate)
    with live_node(ros_domain, tiny_bundle, engine, cameras=list(sizes)) as live:
        try:
            send_and_receive(live, "a", cameras["a"])
            client.wait(lambda: gate.entered, "the first frame")
            for _ in range(40):
                for name, camera in cameras.items():
                    send_and_receive(live, name, camera)
                answer_one(client, live, cameras, gate)
            reports = {name: live.report(name) for name in sizes}
        finally:
            gate.open()
    print(f"processed: { {name: report.processed for name, report in reports.items()} }")
    assert [report.received for report in reports.values()] == [41, 40, 40, 40]
    assert [report.processed for report in reports.values()] == [10, 10, 10, 10]


def test_stamps_shuffled_doubled_zero_and_jumping_back(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    now_ns = client.node.get_clock().now().nanoseconds - 700 * S
    ms = 1_000_000
    with live_node(ros_domain, tiny_bundle) as live:
        camera = Camera(client)

        def sent(stamp_ns: int, published: bool) -> None:
            count, received = len(arrays), live.report().received
            camera.send(stamp_ns)
            client.wait(
                lambda: live.report().received > received and not live.report().pending, "it"
            )
            client.wait(lambda: len(arrays) == count + published, "what is published")

        for offset, published in ((0, 1), (50, 1), (20, 0), (80, 1), (60, 0)):
            sent(now_ns + offset * ms, bool(published))
        assert live.report().dropped == {OUT_OF_ORDER: 2}
        sent(now_ns + 80 * ms, True)
        assert live.report().notes == {REPEATED: 1}
        sent(0, True)
        assert live.report().notes == {REPEATED: 1, ZERO: 1}
        client.wait(lambda: diagnostics.count("camera", "published: zero stamp"), "a warning")
        sent(now_ns + 100 * ms, True)
        sent(now_ns - 600 * S, True)
        sent(now_ns - 600 * S + 33 * ms, True)
        assert live.report().time_jumps == 1
        assert_accounted(live.report())
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_stamps_that_the_user_does_not_want_are_dropped(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    policy = {"stamps__zero": "drop", "stamps__future": "drop", "stamps__repeated": "drop"}
    with live_node(ros_domain, tiny_bundle, **policy) as live:
        camera = Camera(client)
        now_ns = client.node.get_clock().now().nanoseconds
        for stamp_ns in (0, now_ns + 100 * S, now_ns, now_ns, now_ns + 1):
            camera.send(stamp_ns)
            client.wait(
                lambda: live.report().received == len(camera.sent) and not live.report().pending,
                "it",
            )
        client.wait(lambda: len(arrays) == 2, "the two good ones")
        assert live.report().dropped == {"zero stamp": 1, "future stamp": 1, REPEATED: 1}
    assert [array.header.frame_id for array in arrays] == ["image 2", "image 4"]


def test_simulated_time_pauses_and_jumps_back(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    limits = {"diagnostics__silent_warn": 0.3, "diagnostics__silent_error": 0.6}
    with live_node(ros_domain, tiny_bundle, use_sim_time=True, **limits) as live:
        camera = Camera(client)

        def tick(seconds: float) -> None:
            clock = Clock()
            clock.clock.sec, clock.clock.nanosec = int(seconds), int(seconds % 1 * 1e9)
            client.publish(clock, "/clock")
            client.wait(
                lambda: live.node.get_clock().now().nanoseconds == int(seconds) * S, "the clock"
            )

        tick(1000.0)
        send_and_wait(camera, arrays, stamp_ns=1000 * S)
        client.wait(lambda: diagnostics.state("camera") == (WARN, "stale"), "a pause")
        client.spin(1.0)
        paused = diagnostics["camera"]
        assert paused is not None
        assert "simulated time stands still" in paused.message
        tick(1001.0)
        send_and_wait(camera, arrays, stamp_ns=1001 * S)
        assert live.report().time_jumps == 0
        client.wait(lambda: live.report().processed == 2, "both to be accounted for")
        tick(400.0)  # the bag begins anew
        client.wait(lambda: live.report().time_jumps == 1, "the jump")
        assert math.isnan(live.report().percentiles("total")[0])
        send_and_wait(camera, arrays, stamp_ns=400 * S)
        assert live.report().time_jumps == 1  # by /clock and by the stamp, but once
        assert live.report().processed == 3
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_an_engine_that_raises_every_10th_call(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    engine = factory(fail_every=10)
    with live_node(ros_domain, tiny_bundle, engine, diagnostics__period=10.0) as live:
        camera = Camera(client)
        for _ in range(35):
            camera.send()
            client.wait(
                lambda: live.report().received == len(camera.sent) and not live.report().pending,
                "it",
            )
        client.wait(lambda: len(arrays) == 32, "32 of 35 detections")
        assert live.report().dropped == {"rejected RuntimeError": 3}
        assert live.report().last_rejection == "call 30 fails"
        live.node._report()
        client.wait(lambda: diagnostics.count("camera", "rejected") == 3, "diagnostics")
        assert diagnostics.state("camera") == (WARN, "rejected")
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_tracks_have_ids_that_last_until_time_jumps(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    stamps_s = [100.0, 100.1, 100.2, 0.0, 100.3, 50.0, 50.1]  # one is missing; the bag begins anew
    with live_node(ros_domain, tiny_bundle, tracking__enabled=True):
        for number, stamp_s in enumerate(stamps_s):
            stamp = header(client, str(number))
            stamp.stamp.sec, stamp.stamp.nanosec = int(stamp_s), round(stamp_s % 1 * 1e9)
            client.publish(red_image(stamp, (20, 10)), "image")
            client.wait(lambda n=number: len(arrays) > n, f"detections of image {number}")
    assert [d.id for array in arrays for d in array.detections] == ["", "0", "0", "0", "0", "", "1"]


def test_memory_beyond_its_limit_is_told(
    ros_domain: int, tiny_bundle: Path, diagnostics: Diagnostics, client: Client
) -> None:
    with live_node(
        ros_domain, tiny_bundle, diagnostics__memory_warn=5.0, diagnostics__memory_error=10.0
    ):
        client.wait(lambda: diagnostics.state("engine") == (ERROR, "memory"), "ERROR")
        status = diagnostics["engine"]
        assert status is not None
        assert status.message.endswith(" MB, 10 or more")


def blue_image(camera: Camera) -> Image:
    """An image that lets `RedEngine` hang."""
    image = np.zeros((50, 100, 3), np.uint8)
    image[5, 5] = (255, 0, 0)
    return messages.to_image(image, "bgr8", header(camera.client, f"blue {len(camera.sent)}"))


def test_an_engine_that_hangs_and_returns(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    """What it finds late is published; meanwhile the newest frame waits for it."""
    hang = Gate()
    limits = {"diagnostics__engine_timeout": 0.5, "input__depth": 10, "schedule__max_age": 600.0}
    with live_node(ros_domain, tiny_bundle, factory(hang=hang), **limits) as live:
        try:
            camera = Camera(client)
            send_and_wait(camera, arrays)
            camera.send(image=blue_image(camera))
            client.wait(lambda: diagnostics.state("engine") == (ERROR, "hangs"), "the watchdog")
            for _ in range(5):
                send_and_receive(live, "", camera)
            assert live.report().dropped == {REPLACED: 4}
            late_s = hang.entered[0] + 0.5 + 0.1  # the timeout and a period
            client.wait(lambda: diagnostics.states("engine", late_s), "a report after the timeout")
            assert set(diagnostics.states("engine", late_s)) == {(ERROR, "hangs")}
        finally:
            hang.open()
        client.wait(lambda: diagnostics.state("engine") == (OK, "ok"), "recovery")
        client.wait(lambda: len(arrays) == 3, "the late frame and the newest")
        assert [array.header for array in arrays[1:]] == [
            camera.sent[1].header,
            camera.sent[-1].header,
        ]
        assert live.report().dropped == {REPLACED: 4}
        client.wait(lambda: live.report().processed == 3, "the account, after the answer")
        assert_accounted(live.report())
    Expected(tiny_bundle).check(arrays[:1] + arrays[2:], camera.sent)


def test_a_hanging_engine_is_left_alone_and_replaced(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    hang = Gate()
    engine = factory(hang=hang)
    with live_node(ros_domain, tiny_bundle, engine, diagnostics__engine_timeout=0.3) as live:
        try:
            camera = Camera(client)
            camera.send(image=blue_image(camera))
            client.wait(lambda: live.node._activity.worker.hangs, "the engine to hang")
            assert client.transition(Transition.TRANSITION_DEACTIVATE)
            assert not client.transition(Transition.TRANSITION_ACTIVATE)  # its engine hangs still
            assert client.transition(Transition.TRANSITION_CLEANUP)
            assert client.transition(Transition.TRANSITION_CONFIGURE)
            assert client.transition(Transition.TRANSITION_ACTIVATE)
            client.forget("image")
            send_and_wait(camera, arrays)
        finally:
            hang.open()
    Expected(tiny_bundle).check(arrays, camera.sent)


class ForgetfulEngine(RedEngine):
    """Has memory for so many regions only."""

    runs_batches = True
    room = 1

    def __call__(self, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        if len(regions) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().__call__(regions)


def test_want_of_gpu_memory(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    diagnostics: Diagnostics,
) -> None:
    """Half a frame's four tiles fit; then nothing does; then all do."""
    made: list[ForgetfulEngine] = []

    def build(bundle: Any, _: Any) -> ForgetfulEngine:
        made.append(ForgetfulEngine(bundle))
        return made[-1]

    with live_node(ros_domain, tiny_bundle, build) as live:
        camera = Camera(client)
        made[0].room = 2
        send_and_wait(camera, arrays)
        client.wait(lambda: diagnostics.state("engine")[0] == WARN, "smaller batches")
        told = diagnostics["engine"]
        assert told is not None
        assert values(told)["batch limit"] == "2"
        made[0].room = 0
        camera.send()
        client.wait(lambda: diagnostics.state("engine") == (ERROR, "out of memory"), "an error")
        assert live.report().dropped == {"rejected EngineError": 1}
        made[0].room = 4
        send_and_wait(camera, arrays)
        client.wait(lambda: diagnostics.state("engine")[0] == WARN, "the engine to be back")
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_a_publisher_with_less_than_the_qos_asked_for(
    client: Client, ros_domain: int, tiny_bundle: Path, diagnostics: Diagnostics
) -> None:
    with live_node(ros_domain, tiny_bundle):
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        client.node.create_publisher(Image, "image", best_effort)

        def told() -> str:
            status = diagnostics["camera"]
            return (
                "" if status is None or diagnostics.state("camera")[0] != ERROR else status.message
            )

        client.wait(lambda: "set input.reliability to best_effort" in told(), "the mend")
        assert told().startswith("/image: ")


def test_transport_auto_takes_what_is_published(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    import cv2

    with live_node(ros_domain, tiny_bundle, input__transport="auto"):
        camera = Camera(client)
        raw = camera.image()
        png = cv2.imencode(".png", decode_message(raw).image)[1].tobytes()
        compressed = CompressedImage(header=raw.header, format="png", data=png)
        client.publish(compressed, "image/compressed")
        client.wait(lambda: len(arrays) == 1, "detections of a compressed image")
        client.forget("image/compressed")
        camera.sent.append(raw)
        send_and_wait(camera, arrays)
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_a_cameras_own_topic_region_and_rate(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    own = {
        "front__input__topic": "/cam/front",
        "front__region__mode": "fixed",
        "front__region__bottom": 0.5,
        "left__input__rate_limit": 0.001,
    }
    top = {"region__mode": "fixed", "region__bottom": 0.5}
    answers = {n: client.listen(Detection2DArray, f"{n}/detections") for n in ("front", "left")}
    with live_node(ros_domain, tiny_bundle, cameras=["front", "left"], **own) as live:
        front, left = Camera(client, "/cam/front"), Camera(client, "left/image")
        for _ in range(5):
            send_and_wait(front, answers["front"])
            left.send()
            client.wait(lambda: live.report("left").received == len(left.sent), "it")
        client.wait(lambda: answers["left"] and not live.report("left").pending, "the left ones")
        report = live.report("left")
        assert (report.processed, report.dropped) == (1, {RATE_LIMIT: 4})
    Expected(tiny_bundle, **top).check(answers["front"], front.sent)
    Expected(tiny_bundle).check(answers["left"], left.sent)
