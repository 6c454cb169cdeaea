"""What the node listens to, and what it says where nothing comes, over real ROS 2 topics."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from ros_client import LATCHED, RELIABLE, Camera, Client, Diagnostics, header, live_node, values
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float64, String
from vision_msgs.msg import Detection2DArray

from tasksr_ros.ros import messages

pytestmark = pytest.mark.wire


def info(focal: float = 90.0, model: str = "plumb_bob") -> CameraInfo:
    message = CameraInfo(width=100, height=50, distortion_model=model)
    message.k = [focal, 0.0, 50.0, 0.0, focal, 25.0, 0.0, 0.0, 1.0]
    return message


def jpeg(client: Client) -> CompressedImage:
    data = cv2.imencode(".jpg", np.zeros((50, 100, 3), np.uint8))[1].tobytes()
    return CompressedImage(header=header(client), format="jpeg", data=data)


def test_silence_is_explained(
    client: Client, ros_domain: int, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One camera for each mistake; what the log and /diagnostics say of it."""
    for kind, topic in (
        (Image, "/cam/image_raw"),
        (CompressedImage, "/jpeg/image/compressed"),
        (String, "/words"),
    ):
        client.node.create_publisher(kind, topic, RELIABLE)
    diagnostics = Diagnostics(client)
    topics = {
        "mistyped": "/cam/image_rw",
        "suffix": "/jpeg/image/compressed",
        "bare": "/jpeg/image",
        "words": "/words",
        "quiet": "/cam/image_raw",
    }
    expected = {
        "mistyped": "on /cam/image_rw yet, for .* s: nobody publishes it; did you mean /cam/image_",
        "suffix": "the node takes sensor_msgs/msg/Image: set suffix.input.transport to compressed",
        "bare": "compressed images are on /jpeg/image/compressed: set bare.input.transport to",
        "words": "/client publishes std_msgs/msg/String there, the node takes sensor_msgs/msg/Ima",
        "quiet": "its publisher is there and fits, but sends nothing, or all of it is lost",
    }
    own = {f"{name}__input__topic": topic for name, topic in topics.items()}
    with live_node(ros_domain, tiny_bundle, cameras=list(topics), **own):

        def told(name: str) -> str:
            status = diagnostics[name]
            return "" if status is None else status.message

        for name, text in expected.items():
            client.wait(lambda n=name: ": " in told(n), f"why {name} is silent")
            assert re.search(text, told(name)), told(name)
            status = diagnostics[name]
            assert status is not None
            assert values(status)["topic"] == topics[name]
    log = capfd.readouterr().err
    assert (
        "mistyped: takes images of /cam/image_rw (sensor_msgs/msg/Image; reliable, volatile, "
        "depth 1)"
    ) in log
    assert (
        "quiet: takes CameraInfo (K, for raw images) of /cam/camera_info "
        "(sensor_msgs/msg/CameraInfo; best_effort, volatile, depth 1)"
    ) in log
    assert (
        log.count("[WARN]") == len(topics) + 1
    )  # each reason once, and that two share a CameraInfo
    assert "mistyped: no image on /cam/image_rw: nobody publishes it; did you mean" in log


def test_others_on_the_nodes_topics_are_told(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second player of images; a bag that holds detections."""
    monkeypatch.setattr("tasksr_ros.ros.activity.SHARED_S", 0.0)
    diagnostics = Diagnostics(client)
    client.node.create_publisher(Detection2DArray, "b/detections", RELIABLE)
    client.node.create_publisher(Image, "a/image", RELIABLE)
    cameras = Camera(client, "a/image"), Camera(client, "b/image")
    with live_node(ros_domain, tiny_bundle, cameras=["a", "b"]):

        def told(name: str, text: str) -> bool:
            for camera in cameras:
                camera.send()
            status = diagnostics[name]
            return status is not None and text in status.message

        sources = "/a/image has 2 publishers (/client, /client): their images are taken for those"
        client.wait(lambda: told("a", sources), "two publishers of images")
        answers = "/b/detections has 2 publishers (/client, /tasksr): who listens gets the detecti"
        client.wait(lambda: told("b", answers), "two publishers of detections")
    log = capfd.readouterr().err
    assert f"a: {sources}" in log
    assert f"b: {answers}" in log


def test_a_topic_that_the_node_uses_for_something_else_is_named(
    client: Client, ros_domain: int, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Detections onto the images' topic."""
    with live_node(ros_domain, tiny_bundle, remap=("detections:=image",)) as live:
        assert live.node._activity is None
    assert (
        "[tasksr]: /image cannot be subscribed to as sensor_msgs/msg/Image: does the node itself "
        "use it for something else, by a remapping or a parameter? ("
    ) in capfd.readouterr().err


@pytest.mark.parametrize(
    ("remap", "own", "topic"),
    [
        (("a/image:=/cam/image", "b/image:=/cam/image"), {}, "/cam/image"),
        (("b/image:=/a/image",), {}, "/a/image"),
        (("b/image:=/cam/image",), {"a__input__topic": "/cam/image"}, "/cam/image"),
        ((), {"a__input__topic": "b/image"}, "/b/image"),
        (
            ("a/image:=/x", "b/image:=/x/compressed"),
            {"input__transport": "auto"},
            "/x",
        ),
        (
            ("a/image/compressed:=/c", "b/image/compressed:=/c"),
            {"input__transport": "compressed"},
            "/c",
        ),
    ],
)
def test_two_cameras_on_one_topic_are_refused(
    ros_domain: int,
    tiny_bundle: Path,
    capfd: pytest.CaptureFixture[str],
    remap: tuple[str, ...],
    own: dict[str, object],
    topic: str,
) -> None:
    own = {"autostart": False, **own}
    with live_node(ros_domain, tiny_bundle, cameras=["a", "b"], remap=remap, **own) as live:
        assert live.node.on_configure(None) == TransitionCallbackReturn.FAILURE
    assert (
        f"[tasksr]: cameras must have topics of their own, got {topic} for the images of a and b, "
        "by remappings or parameters"
    ) in capfd.readouterr().err


def test_two_cameras_with_one_camera_info_are_told(
    ros_domain: int, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two images of one namespace: beside both is the same."""
    told = "a and b take their CameraInfo from one topic, /cam/camera_info: if they are two cameras"
    remap = ("a/image:=/cam/left", "b/image:=/cam/right")
    with live_node(ros_domain, tiny_bundle, cameras=["a", "b"], remap=remap) as live:
        assert live.node._activity is not None
    assert f"{told}, set b.input.info_topic or remap b/camera_info" in capfd.readouterr().err
    own = {"b__input__info_topic": "/cam/camera_info"}
    with live_node(ros_domain, tiny_bundle, cameras=["a", "b"], remap=remap, **own):
        pass
    assert told not in capfd.readouterr().err


def test_the_suffix_of_compressed_topics_may_be_given(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    """In the parameter, in the remapping of image, and by remapping image/compressed."""
    names = ("yaml", "remapped", "transport")
    answers = {name: client.listen(Detection2DArray, f"{name}/detections") for name in names}
    with live_node(
        ros_domain,
        tiny_bundle,
        cameras=list(names),
        remap=(
            "remapped/image:=/b/image_raw/compressed",
            "transport/image/compressed:=/c/image_raw/compressed",
        ),
        input__transport="compressed",
        yaml__input__topic="/a/image_raw/compressed",
    ) as live:
        for name, topic in zip(names, ("/a", "/b", "/c"), strict=True):
            client.publish(jpeg(client), f"{topic}/image_raw/compressed")
            client.wait(lambda n=name: answers[n], f"detections of {name}")
        found = live.node._activity.inputs()
    assert [found[name].topic for name in names] == [
        "/a/image_raw/compressed",
        "/b/image_raw/compressed",
        "/c/image_raw/compressed",
    ]
    assert [found[name].info_topic for name in names] == [
        "/a/camera_info",
        "/b/camera_info",
        "/c/camera_info",
    ]


def test_a_camera_info_that_was_latched_before_the_start(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    """On the topic beside the remapped image, as image_transport has it."""
    client.node.create_publisher(CameraInfo, "/cam/camera_info", LATCHED).publish(info())
    arrays = client.listen(Detection2DArray, "detections")
    remap = ("image:=/cam/image_raw",)
    with live_node(ros_domain, tiny_bundle, remap=remap, region__mode="distance") as live:
        channel = live.node._activity._channels[""]
        client.wait(lambda: channel.camera is not None, "the latched CameraInfo")
        Camera(client, "/cam/image_raw").send()
        client.wait(lambda: arrays, "detections")


def test_remapped_and_configured_camera_info(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    remap = ("a/image:=/cam/image_raw", "a/camera_info:=/elsewhere/info")
    own = {"b__input__topic": "/rear/image_rect", "b__input__info_topic": "/rear/info"}
    with live_node(ros_domain, tiny_bundle, cameras=["a", "b"], remap=remap, **own) as live:
        inputs = live.node._activity._inputs
        assert (inputs["a"].info_topic, inputs["a"].rectified) == ("/elsewhere/info", False)
        assert (inputs["b"].info_topic, inputs["b"].rectified) == ("/rear/info", True)


def test_a_camera_info_without_intrinsics_is_named_and_the_next_valid_one_taken(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not calibrated, then with a lens that is not known, then right."""
    arrays = client.listen(Detection2DArray, "detections")
    remap = ("image:=/cam/image_raw",)
    with live_node(ros_domain, tiny_bundle, remap=remap, region__mode="distance") as live:
        camera = Camera(client, "/cam/image_raw")
        topic = (
            "region.mode distance needs the camera's intrinsics (CameraInfo on /cam/camera_info): "
        )

        def rejected(reason: str) -> None:
            camera.send()
            client.wait(lambda: reason in live.report().last_rejection, reason)
            assert live.report().last_rejection.startswith(topic)

        rejected("none came yet")
        for message, reason in (
            (info(0.0), "camera must have positive size and focal lengths, got 100x50 px, fx 0"),
            (info(90.0, "fisheye62"), "got 'fisheye62'"),
        ):
            client.publish(message, "/cam/camera_info")
            client.wait(
                lambda r=reason: r in live.node._activity._channels[""].camera_error, reason
            )
            rejected(reason)
        assert not arrays
        client.publish(info(), "/cam/camera_info")
        client.wait(lambda: live.node._activity._channels[""].camera, "the camera")
        client.publish(info(0.0), "/cam/camera_info")  # the valid one stays
        client.spin(0.5)
        camera.send()
        client.wait(lambda: arrays, "detections")
    log = capfd.readouterr().err
    assert "camera: /cam/camera_info: camera must have positive size" in log


def test_what_nobody_listens_to_costs_nothing(
    client: Client, ros_domain: int, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(messages, "to_latency", lambda *of: made.append(of))
    arrays = client.listen(Detection2DArray, "detections")
    with live_node(ros_domain, tiny_bundle) as live:
        events = [len(p.event_handlers) for p in live.node._outputs[""]._publishers]
        Camera(client).send()
        client.wait(lambda: arrays, "detections")
    assert made == []
    assert events == [events[0], *[0] * (len(events) - 1)], "of detections alone"
    assert events[0] > 0


def test_latency_in_plain_numbers_and_in_the_log(
    client: Client, ros_domain: int, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As rqt_plot reads them, for those who listen."""
    plain = {stage: client.listen(Float64, f"latency/{stage}") for stage in ("total", "age")}
    latencies = client.listen(DiagnosticArray, "latency")
    with live_node(ros_domain, tiny_bundle, diagnostics__log_period=0.5) as live:
        camera = Camera(client)
        publishers = live.node._outputs[""]._plain.values()
        camera.send()
        client.wait(lambda: len(latencies) == 1, "an answer")
        client.wait(lambda: sum(p.get_subscription_count() for p in publishers) == 2, "listeners")
        for count in (1, 2):
            camera.send()
            client.wait(lambda n=count: len(latencies) == n + 1, "an answer")
        client.wait(lambda: all(len(numbers) >= 2 for numbers in plain.values()), "plain numbers")
        client.spin(0.7)
    for stage, numbers in plain.items():
        told = [float(values(latency.status[0])[stage]) for latency in latencies[-2:]]
        assert [number.data for number in numbers[-2:]] == pytest.approx(told, abs=1e-3)
    assert "camera: answers " in capfd.readouterr().err
