"""Tests of tasksr_ros.ros.node over real ROS 2 topics: this process publishes and listens, a second
one is the node."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_client import (
    LATCHED,
    RELIABLE,
    WAIT_S,
    Client,
    header,
    red_image,
    red_node,
    running,
    start,
    values,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from tasksr_ros.config import DetectionConfig, NodeConfig, PipelineConfig, RegionConfig
from tasksr_ros.io.decoding import decode_message, stamp_ns
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.model import load_model
from tasksr_ros.options import walk
from tasksr_ros.ros import messages
from tasksr_ros.ros.node import TaskSRNode
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

pytestmark = pytest.mark.wire


def test_headers_boxes_and_empty_arrays(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    with red_node(ros_env, tiny_bundle):
        arrays = client.listen(Detection2DArray, "detections")
        latencies = client.listen(DiagnosticArray, "latency")
        stamps = [header(client, name) for name in ("a", "b")]
        client.publish(red_image(stamps[0], (7, 3), (90, 40)))
        client.wait(lambda: len(arrays) == 1, "the first detections")
        client.publish(red_image(stamps[1]))
        client.wait(lambda: len(arrays) == 2 and len(latencies) == 2, "the second detections")

    assert [array.header for array in arrays] == stamps
    assert [d.header for d in arrays[0].detections] == [stamps[0], stamps[0]]
    assert len(arrays[1].detections) == 0
    first = arrays[0].detections[0]
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (7.5, 3.5)
    assert (first.bbox.size_x, first.bbox.size_y, first.bbox.center.theta) == (1.0, 1.0, 0.0)
    assert first.results[0].hypothesis.class_id == "0"
    assert first.results[0].hypothesis.score == pytest.approx(0.9)
    assert [latency.header for latency in latencies] == stamps
    assert list(values(latencies[0].status[0])) == [
        *("decode", "regions", "engine", "merge", "total", "delay", "age")
    ]


def test_label_info_is_latched(client: Client, ros_env: dict[str, str], tiny_bundle: Path) -> None:
    with red_node(ros_env, tiny_bundle):
        client.publish(red_image(header(client)))  # the node is up, and published it before
        infos = client.listen(LabelInfo, "label_info", LATCHED)
        client.wait(lambda: infos, "label_info")
    assert [(c.class_id, c.class_name) for c in infos[0].class_map] == [(0, "pedestrian")]
    assert infos[0].threshold == pytest.approx(0.01)


def test_debug_image_only_while_someone_listens(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    with red_node(ros_env, tiny_bundle):
        arrays = client.listen(Detection2DArray, "detections")
        client.publish(red_image(header(client)))
        client.wait(lambda: len(arrays) == 1, "detections")
        received: list[Image] = []
        listener = client.node.create_subscription(Image, "debug_image", received.append, RELIABLE)
        client.wait(lambda: client.node.count_publishers("debug_image"), "its publisher")
        client.spin(1.0)
        assert not received  # the frame before is not drawn later
        source = red_image(header(client), (20, 20))
        client.publish(source)
        client.wait(lambda: received, "a debug image")
        assert received[0].header == source.header
        drawn = decode_message(received[0]).image
        assert drawn.shape == (50, 100, 3)
        assert (drawn != decode_message(source).image).any()
        client.node.destroy_subscription(listener)
        client.spin(1.0)
        count = len(arrays)
        client.publish(red_image(header(client)))
        client.wait(lambda: len(arrays) > count, "detections without a listener")
        assert len(received) == 1


def test_age_stays_under_a_period_and_the_work(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    """60 ms of work per frame at 30 Hz: half of the frames are dropped, none waits."""
    period_s, frames = 1 / 30, 150
    with red_node(ros_env, tiny_bundle, work_ms=60.0 / 4):
        arrays = client.listen(Detection2DArray, "detections")
        latencies = client.listen(DiagnosticArray, "latency")
        client.publish(red_image(header(client)))
        client.wait(lambda: len(latencies) == 1, "the first detections")
        start_s = time.monotonic()
        for index in range(frames):
            client.publish(red_image(header(client)))
            client.spin(max(0.0, start_s + (index + 1) * period_s - time.monotonic()))
        client.spin(1.0)
    told = [values(latency.status[0]) for latency in latencies[1:]]
    age = np.array([float(v["age"]) for v in told])
    work = np.array([float(v["total"]) for v in told])
    assert len(told) >= frames / 4
    assert work.min() >= 60
    # Since it was received: how long the way there takes is the machine's affair.
    delay = np.array([float(v["delay"]) for v in told])
    assert np.median(delay) <= period_s * 1e3 + np.median(work)
    half = len(age) // 2
    assert np.median(age[half:]) <= np.median(age[:half]) + period_s * 1e3  # does not grow
    stamps = [stamp_ns(array.header) for array in arrays]
    assert stamps == sorted(stamps)


def bad_images(stamp: Header) -> dict[str, tuple[Image, str]]:
    def edited(**changes: Any) -> Image:
        message = red_image(stamp)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    return {
        "unknown encoding": (edited(encoding="32FC1"), "encoding must be one of"),
        "lying height": (edited(height=51), "must hold step x rows"),
        "step too small": (edited(step=299), "step of a 100 px wide bgr8 image"),
        "no pixels": (edited(width=0), "image must not be empty"),
    }


def test_bad_images_are_counted_and_the_node_goes_on(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    with red_node(ros_env, tiny_bundle):
        arrays = client.listen(Detection2DArray, "detections")
        reports = client.listen(DiagnosticArray, "/diagnostics")
        for number, (name, (message, reason)) in enumerate(bad_images(header(client)).items(), 1):
            client.publish(message)

            def rejected(number: int = number, reason: str = reason) -> bool:
                told = values(reports[-1].status[0]) if reports else {}
                return told.get("rejected") == str(number) and reason in told["last rejection"]

            client.wait(rejected, f"{name} to be counted")
        assert arrays == []
        assert values(reports[-1].status[0])["dropped: rejected ImageError"] == "4"
        good = red_image(header(client), (5, 5))
        client.publish(good)
        client.wait(lambda: arrays, "detections of a good image")
        assert arrays[0].header == good.header
        assert len(arrays[0].detections) == 1
        count = len(reports)
        client.wait(lambda: len(reports) >= count + 2, "another report")
    told = values(reports[-1].status[0])
    assert (told["received"], told["processed"], told["dropped"]) == ("5", "1", "4")


def test_compressed_images(client: Client, ros_env: dict[str, str], tiny_bundle: Path) -> None:
    import cv2

    with red_node(ros_env, tiny_bundle, input__transport="compressed"):
        arrays = client.listen(Detection2DArray, "detections")
        reports = client.listen(DiagnosticArray, "/diagnostics")
        broken = CompressedImage(header=header(client), format="jpeg", data=b"\xff\xd8nothing")
        client.publish(broken, "image/compressed")
        client.wait(
            lambda: reports and values(reports[-1].status[0])["rejected"] == "1", "a rejection"
        )
        image = np.zeros((50, 101, 3), np.uint8)
        image[20, 30, 2] = 255
        png = cv2.imencode(".png", image)[1].tobytes()
        good = CompressedImage(header=header(client), format="png", data=png)
        client.publish(good, "image/compressed")
        client.wait(lambda: arrays, "detections")
    assert arrays[0].header == good.header
    assert arrays[0].detections[0].bbox.center.position.x == 30.5


def test_distance_mode_waits_for_camera_info(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    with red_node(ros_env, tiny_bundle, region__mode="distance"):
        arrays = client.listen(Detection2DArray, "detections")
        reports = client.listen(DiagnosticArray, "/diagnostics")
        client.publish(red_image(header(client)))
        client.wait(
            lambda: reports and "CameraInfo" in values(reports[-1].status[0])["last rejection"],
            "a rejection for want of intrinsics",
        )
        info = CameraInfo(width=100, height=50)
        info.k = [90.0, 0.0, 50.0, 0.0, 90.0, 25.0, 0.0, 0.0, 1.0]
        client.publish(info, "camera_info")
        client.spin(0.5)
        client.publish(red_image(header(client), (3, 26)))
        client.wait(lambda: arrays, "detections")
    assert len(arrays[0].detections) == 1


def test_several_cameras(client: Client, ros_env: dict[str, str], tiny_bundle: Path) -> None:
    with red_node(ros_env, tiny_bundle, cameras=["front", "left"]):
        front = client.listen(Detection2DArray, "front/detections")
        left = client.listen(Detection2DArray, "left/detections")
        reports = client.listen(DiagnosticArray, "/diagnostics")
        client.publish(red_image(header(client, "front"), (1, 1)), "front/image")
        client.publish(red_image(header(client, "left"), (2, 2)), "left/image")
        client.wait(lambda: front and left, "detections of both")
        client.wait(lambda: reports, "diagnostics")
    assert (front[0].header.frame_id, left[0].header.frame_id) == ("front", "left")
    assert left[0].detections[0].bbox.center.position.x == 2.5
    assert [s.name for s in reports[-1].status] == [
        *("tasksr: front", "tasksr: left", "tasksr: engine")
    ]


def test_lifecycle(client: Client, ros_env: dict[str, str], tiny_bundle: Path) -> None:
    with red_node(ros_env, tiny_bundle, autostart=False):
        arrays = client.listen(Detection2DArray, "detections")
        assert client.transition(Transition.TRANSITION_CONFIGURE)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
        client.publish(red_image(header(client)))
        client.wait(lambda: len(arrays) == 1, "detections while active")
        assert client.transition(Transition.TRANSITION_DEACTIVATE)
        client.publish(red_image(header(client)))
        client.spin(1.0)
        assert len(arrays) == 1
        assert client.transition(Transition.TRANSITION_CLEANUP)
        assert client.transition(Transition.TRANSITION_CONFIGURE)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
        client.wait(lambda: client.node.count_subscribers("image"), "the subscription")
        client.spin(0.5)
        client.publish(red_image(header(client)))
        client.wait(lambda: len(arrays) == 2, "detections after a second start")


SLOW_WAKING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>
int rcl_trigger_guard_condition(void * condition)
{
  void * rcl = dlopen("librcl.so", RTLD_LAZY | RTLD_NOLOAD);
  int (*trigger)(void *) = (int (*)(void *))dlsym(rcl, "rcl_trigger_guard_condition");
  int result = trigger(condition);
  if (syscall(SYS_gettid) != getpid()) {
    if (write(2, "woken\\n", 6) == 6) usleep(500000);
  }
  return result;
}
"""


def test_the_thread_that_takes_signals_may_be_slow(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path, tmp_path: Path
) -> None:
    """rclpy's thread wakes the executor, then reads on in a list that the executor's end frees."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler (cc)")
    (tmp_path / "slow.c").write_text(SLOW_WAKING)
    library = str(tmp_path / "slow.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, "slow.c", "-ldl"],
                   cwd=tmp_path, check=True)  # fmt: skip
    with red_node({**ros_env, "LD_PRELOAD": library}, tiny_bundle) as process:
        assert client.state() == "active"  # so the executor spins
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert "woken" in process.stderr.read()


@pytest.fixture
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Six frames of the real drive beside the checkout, of the generated one without it."""
    folder = tmp_path / "frames"
    shared = Path(__file__).resolve().parents[3] / "shared" / "data" / "kitti_drive_0005"
    if not shared.is_dir():
        write_coco(GeneratedDrive(DriveConfig(num_frames=6)), folder)
        return folder
    folder.mkdir()
    for index in range(0, 150, 25):
        source = shared / "image_02" / "data" / f"{index:010d}.jpg"
        (folder / source.name).write_bytes(source.read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_a_bag_over_topics_gives_what_the_pipeline_gives(
    client: Client,
    ros_env: dict[str, str],
    recording: Path,
    tmp_path: Path,
    compressed: bool,
) -> None:
    """A bag's frames through the real node, the shipped bundle and the default engine."""
    bag = open_recording(make_bag(recording, tmp_path / "bag", compressed=compressed))
    band = {"top": 0.4, "bottom": 0.6, "right": 0.5}
    config = PipelineConfig(RegionConfig(**band), DetectionConfig(score_threshold=0.1))
    offline = load_model("tdsr-ss-x4").pipeline(config)
    parameters = {f"region__{name}": value for name, value in band.items()}
    with running(
        ros_env,
        bundle="tdsr-ss-x4",
        input__reliability="reliable",
        input__transport="compressed" if compressed else "raw",
        detection__score_threshold=0.1,
        **parameters,
    ):
        arrays = client.listen(Detection2DArray, "detections")
        count = 0
        for count, (frame, message) in enumerate(
            zip(bag, wire_messages(bag, compressed), strict=True), 1
        ):
            client.publish(message, "image/compressed" if compressed else "image")
            client.wait(lambda count=count: len(arrays) == count, f"detections of frame {count}")
            expected = offline(frame)
            received = messages.from_detection_array(arrays[-1])
            assert stamp_ns(arrays[-1].header) == frame.stamp_ns
            np.testing.assert_allclose(received.xyxy, expected.xyxy, atol=1e-3)
            np.testing.assert_allclose(received.score, expected.score, atol=1e-6)
    assert count == 6
    assert any(len(array.detections) for array in arrays)


def wire_messages(bag: Any, compressed: bool) -> Iterator[Image | CompressedImage]:
    for item in bag.encoded() if compressed else bag:
        stamp = Header(frame_id=item.frame_id)
        stamp.stamp.sec, stamp.stamp.nanosec = divmod(item.stamp_ns, 1_000_000_000)
        if isinstance(item, Frame):
            yield messages.to_image(item.image, item.encoding, stamp)
        else:
            yield CompressedImage(header=stamp, format=item.format, data=item.data)


def ended(env: dict[str, str], *command: str) -> tuple[int, str]:
    """Status and stderr of a node that ends by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "tasksr_ros.ros.node", "--ros-args", *command],
        env=env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    return done.returncode, done.stderr


def test_a_wrong_parameter_leaves_the_others_and_can_be_mended(
    client: Client, ros_env: dict[str, str], tiny_bundle: Path
) -> None:
    with red_node(ros_env, tiny_bundle, autostart=False, region__tpo=0.3, region__top=0.25):
        assert not client.transition(Transition.TRANSITION_CONFIGURE)
        setter = client.node.create_client(SetParameters, "tasksr/set_parameters")
        client.wait(setter.service_is_ready, "the parameter service")
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=0.3)
        request = SetParameters.Request(
            parameters=[ParameterMessage(name="region.top", value=value)]
        )
        future = setter.call_async(request)
        client.wait(future.done, "the parameter to be set")
        assert future.result().results[0].successful
        assert client.transition(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_being_ended_while_it_starts_is_no_error(
    ros_env: dict[str, str], tiny_bundle: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    """With an empty cache, the conversion of the model takes seconds."""
    parameters = {"bundle": str(tiny_bundle), "engine__cache_dir": str(tmp_path / "cache")}
    with start(ros_env, engine__name="openvino", **parameters) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "converting" in line
        process.send_signal(sent)
        _, rest = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, rest
        assert "Traceback" not in rest


def test_wrong_parameters_and_bundles_end_the_node_with_one_line(
    ros_env: dict[str, str], tiny_bundle: Path, tmp_path: Path
) -> None:
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("tasksr:\n  ros__parameters:\n    region:\n      tpo: 0.3\n")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_bundle.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    with (broken / "detector.safetensors").open("ab") as weights:
        weights.write(b"x")
    wrong: dict[str, tuple[str, ...]] = {
        "unknown parameter 'region.tpo'; did you mean 'region.top'?": (
            "--params-file",
            str(parameters),
        ),
        "no bundle 'nope'": ("-p", "bundle:=nope"),
        "wrong hash": ("-p", f"bundle:={broken}"),
        "region.top must be at most 1": ("-p", "region.top:=7.0"),
        "engine.name must be one of": ("-p", "engine.name:=tvm"),
        "cameras must be names as ROS topics have them": ("-p", "cameras:=['front cam']"),
        "cameras must be of type str, got 1": ("-p", "cameras:=[1, 2]"),
        "region.tile_overlap must be less than": ("-p", "region.tile_overlap:=200"),
    }
    for message, arguments in wrong.items():
        status, stderr = ended(ros_env, *arguments)
        lines = [line for line in stderr.splitlines() if line.strip()]
        assert status != 0, message
        assert len(lines) == 1, stderr
        assert message in lines[0]
    status, stderr = ended(ros_env, "--params-file", str(tmp_path / "none.yaml"))
    assert status != 0
    assert "Couldn't parse params file" in stderr  # rcl's own line is before ours
    assert "Traceback" not in stderr


def test_parameters_are_the_configs_fields(ros_domain: int) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = TaskSRNode(context=context)
    try:
        for name, type_, default, option in walk(NodeConfig):
            value = node.get_parameter(name).value
            assert value == (list(default) if isinstance(default, tuple) else default), name
            descriptor = node.describe_parameter(name)
            assert descriptor.description == option.description
            if type_ is float and option.low is not None:
                told = descriptor.floating_point_range[0]
                assert (told.from_value, told.to_value) == (option.low, option.high)
        result = node.set_parameters([Parameter("engine.name", value="tvm")])[0]
        assert not result.successful
        assert "engine.name must be one of" in result.reason
        both = [Parameter("region.top", value=0.9), Parameter("region.bottom", value=0.95)]
        assert all(done.successful for done in node.set_parameters(both))
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
