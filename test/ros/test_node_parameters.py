"""Changes of parameters and of the bundle while the node runs, over real ROS 2 services."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from red_node import RedEngine
from ros_client import (
    LATCHED,
    Camera,
    Client,
    Diagnostics,
    Expected,
    assert_accounted,
    header,
    live_node,
    red_image,
    values,
)
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.ros import messages

pytestmark = pytest.mark.wire


@pytest.fixture
def arrays(client: Client) -> list[Detection2DArray]:
    return client.listen(Detection2DArray, "detections")


def send(camera: Camera, arrays: list[Detection2DArray]) -> None:
    count = len(arrays)
    camera.send()
    camera.client.wait(lambda: len(arrays) > count, "detections")


def test_regions_threshold_and_rate_change_while_running(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    with live_node(ros_domain, tiny_bundle, input__depth=10) as live:
        camera = Camera(client)
        send(camera, arrays)
        band = {"region__mode": "fixed", "region__top": 0.7, "region__bottom": 0.95}
        assert client.set_parameters(**band) == ""  # top alone would be below bottom
        send(camera, arrays)
        Expected(tiny_bundle, **band).check(arrays[1:2], camera.sent)
        assert client.set_parameters(detection__score_threshold=0.95) == ""
        send(camera, arrays)
        assert [len(array.detections) > 0 for array in arrays] == [True, True, False]
        assert client.set_parameters(input__rate_limit=0.1) == ""
        camera.send()
        camera.send()
        client.wait(lambda: live.report().received == 5, "all")
        client.wait(lambda: not live.report().pending, "all")
        assert live.report().dropped["rate limit"] >= 1


def test_debug_images_can_be_turned_off(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    pictures = client.listen(Image, "debug_image")
    with live_node(ros_domain, tiny_bundle):
        camera = Camera(client)
        send(camera, arrays)
        client.wait(lambda: len(pictures) == 1, "a debug image")
        assert client.set_parameters(debug__image=False) == ""
        send(camera, arrays)
        assert client.set_parameters(debug__image=True) == ""
        send(camera, arrays)
        client.wait(lambda: len(pictures) == 2, "another debug image")
    assert [picture.header.frame_id for picture in pictures] == ["image 0", "image 2"]


def test_what_does_not_fit_is_refused_and_changes_nothing(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"region__top": 0.7}, "region.top must be less than region.bottom, got 0.7 and 0.6"),
        ({"region__bottom": 0.5, "region__tpo": 0.1}, "unknown parameter 'region.tpo'; did you"),
        ({"region__bottom": 0.5, "region__tile_overlap": 40}, "region.tile_overlap must be less"),
        ({"region__bottom": "low"}, "Wrong parameter type"),
        ({"input__depth": 5}, "input.depth: takes effect in configure: cleanup the node first"),
        ({"cameras": ["front"]}, "cameras: takes effect in configure: cleanup the node first"),
        ({"bundle": "nope"}, "no bundle 'nope'"),
        ({"front__region__top": 0.1}, "unknown parameter 'front.region.top'"),
    ]
    with live_node(ros_domain, tiny_bundle):
        for changes, reason in refused:
            assert reason in client.set_parameters(**changes), changes
        camera = Camera(client)
        send(camera, arrays)
    Expected(tiny_bundle).check(arrays, camera.sent)


def test_the_near_pass_finds_who_stands_outside_the_band(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    with live_node(ros_domain, tiny_bundle, region__mode="fixed", near__width=128):
        client.publish(red_image(header(client), (7, 3), (40, 25)))  # the band is rows 20 to 30
        client.wait(lambda: len(arrays) == 1, "detections")
    centres = [d.bbox.center.position for d in arrays[0].detections]
    assert sorted((c.x, c.y) for c in centres) == [(7.5, 3.5), (40.5, 25.5)]


def test_a_budget_looks_where_the_near_pass_sees_someone_and_diagnostics_tell(
    client: Client, ros_domain: int, tiny_bundle: Path, arrays: list[Detection2DArray]
) -> None:
    """And someone who listens hears how far away they are."""
    diagnostics = client.listen(DiagnosticArray, "/diagnostics")
    in_space = client.listen(Detection3DArray, "detections_3d")
    markers = client.listen(MarkerArray, "markers")
    info = messages.to_camera_info(CameraModel(100, 50, 90.0, 90.0, 50.0, 25.0), header(client))

    def told() -> dict[str, str]:
        statuses = [s for d in diagnostics for s in d.status if s.name == "tasksr: camera"]
        return values(statuses[-1]) if statuses else {}

    with live_node(ros_domain, tiny_bundle, near__width=128):
        assert client.set_parameters(region__budget="some") != ""
        assert client.set_parameters(region__budget=1) == ""
        client.publish(info, "camera_info")
        client.publish(red_image(header(client), (90, 40)))
        client.wait(lambda: len(arrays) == 1, "detections")
        client.wait(lambda: "regions" in told(), "what was looked at")
        assert told()["regions"] == "1: person"
        assert told()["coverage"].endswith(" within 2 s")
        assert float(told()["coverage"].split()[0]) < 0.8
        assert float(told()["oldest tile s"]) == 0.0
        assert client.set_parameters(region__budget="auto") == ""
        client.publish(red_image(header(client), (90, 40)))
        client.wait(lambda: len(arrays) == 2, "detections")
        client.wait(lambda: in_space and in_space[-1].header == arrays[-1].header, "detections_3d")
        client.wait(lambda: markers, "markers")
    (person,) = in_space[-1].detections
    # A foot 16 px below the horizon of a camera of 90 px and 1.4 m: as near as 7.9 m. The box of
    # 1 px says 153 m.
    assert person.bbox.center.position.z > 7.9
    assert person.bbox.center.position.x == pytest.approx(person.bbox.center.position.z * 40.5 / 90)
    centres = [[(d.bbox.center.position.x) for d in a.detections] for a in arrays]
    assert centres == [[90.5], [90.5]]
    assert [m.ns for m in markers[-1].markers] == ["", "people", "distances"]


@pytest.mark.parametrize("changes", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_storm_of_parameters(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    arrays: list[Detection2DArray],
    changes: int,
) -> None:
    """Good and bad changes while images flow: each frame is looked at as one of the good says."""
    storm = random.Random(3)
    bands = [(0.0, 0.4), (0.3, 0.7), (0.5, 1.0)]
    with live_node(ros_domain, tiny_bundle, region__mode="fixed", input__depth=10) as live:
        camera = Camera(client)
        top, bottom = 0.4, 0.6
        used = [(top, bottom)]
        for _ in range(changes):
            if storm.random() < 0.5:
                top, bottom = storm.choice(bands)
                used.append((top, bottom))
                assert client.set_parameters(region__top=top, region__bottom=bottom) == ""
            else:
                assert client.set_parameters(region__top=0.9, region__bottom=0.1) != ""
            camera.send()
        client.wait(lambda: live.report().received == len(camera.sent), "all images")
        client.wait(lambda: not live.report().pending, "the last one")
        assert_accounted(live.report())
        client.wait(lambda: len(arrays) == live.report().processed, "all detections")
    expected = {
        band: Expected(
            tiny_bundle, region__mode="fixed", region__top=band[0], region__bottom=band[1]
        )
        for band in set(used)
    }
    sent = {image.header.frame_id: image for image in camera.sent}
    assert len(sent) == changes
    for array in arrays:
        image = sent[array.header.frame_id]
        assert any(_fits(expected[band], array, image) for band in expected)
    assert _fits(expected[top, bottom], arrays[-1], sent[arrays[-1].header.frame_id])


def _fits(expected: Expected, array: Detection2DArray, sent: Image) -> bool:
    try:
        expected.check([array], [sent])
    except AssertionError:
        return False
    return True


def other_bundle(tiny_bundle: Path, folder: Path, **changes: object) -> Path:
    """The tiny bundle with another description."""
    folder.mkdir()
    for file in tiny_bundle.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    described = yaml.safe_load((folder / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump({**described, **changes}))
    return folder


class Factory:
    """Builds engines, each when it is let to; records for which bundles."""

    def __init__(self) -> None:
        self.may_build = threading.Event()
        self.may_build.set()
        self.names: list[str] = []
        self.fails = False

    def __call__(self, bundle: Any, _: Any) -> RedEngine:
        assert self.may_build.wait(timeout=60)
        self.names.append(bundle.name)
        if self.fails:
            raise RuntimeError("device is full")
        return RedEngine(bundle)


def test_the_bundle_changes_between_frames_and_falls_back(
    client: Client,
    ros_domain: int,
    tiny_bundle: Path,
    tmp_path: Path,
    arrays: list[Detection2DArray],
) -> None:
    other = other_bundle(tiny_bundle, tmp_path / "other", name="other", classes=["person"])
    other_bundle(tiny_bundle, tmp_path / "large", name="large", region_size=[128, 64])
    labels = client.listen(LabelInfo, "label_info", LATCHED)
    diagnostics = Diagnostics(client)
    build = Factory()

    def engine(key: str) -> str:
        status = diagnostics["engine"]
        return "" if status is None else values(status)[key]

    with live_node(ros_domain, tiny_bundle, build) as live:
        camera = Camera(client)
        send(camera, arrays)
        build.may_build.clear()
        assert client.set_parameters(bundle=str(other)) == ""
        client.wait(lambda: engine("building") == str(other), "the build")
        assert "is being built: try again later" in client.set_parameters(
            bundle=str(tmp_path / "large")
        )
        send(camera, arrays)  # with the old bundle, while the other is built
        build.may_build.set()
        client.wait(lambda: engine("bundle") == "other", "the other bundle")
        client.wait(lambda: labels[-1].class_map[0].class_name == "person", "its classes")
        send(camera, arrays)

        build.fails = True
        assert client.set_parameters(bundle=str(tiny_bundle)) == ""
        client.wait(lambda: diagnostics.state("engine")[0] == 1, "a warning")
        told = diagnostics["engine"]
        assert told is not None
        assert "still other: bundle" in told.message
        assert "device is full" in told.message
        assert live.node.get_parameter("bundle").value == str(other)
        send(camera, arrays)

        build.fails = False
        assert client.set_parameters(bundle=str(tmp_path / "large")) == ""
        client.wait(lambda: engine("bundle") == "large", "regions of another size")
        assert diagnostics.state("engine") == (0, "ok")
        send(camera, arrays)
        assert_accounted(live.report())
    assert build.names == ["tiny", "other", "tiny", "large"]
    Expected(tiny_bundle).check(arrays[:4], camera.sent)
    Expected(tmp_path / "large").check(arrays[4:], camera.sent)
    assert [label.class_map[0].class_name for label in labels][:2] == ["pedestrian", "person"]


def test_a_bundle_that_does_not_fit_is_refused_while_inactive_too(
    client: Client, ros_domain: int, tiny_bundle: Path, tmp_path: Path
) -> None:
    small = other_bundle(tiny_bundle, tmp_path / "small", name="small", region_size=[16, 16])
    diagnostics = Diagnostics(client)
    with live_node(ros_domain, tiny_bundle, autostart=False, region__tile_overlap=20) as live:
        assert client.transition(Transition.TRANSITION_CONFIGURE)
        assert client.set_parameters(bundle=str(small)) == ""
        client.wait(lambda: diagnostics.state("engine")[0] == 1, "a warning")
        told = diagnostics["engine"]
        assert told is not None
        assert "still tiny" in told.message
        assert "tile_overlap" in told.message
        assert live.node.get_parameter("bundle").value == str(tiny_bundle)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
