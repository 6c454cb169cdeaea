"""Detectors of others in the running node, over real ROS 2 topics: boxes, classes and labels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from dark_boxes import write_bundle
from ros_client import LATCHED, Client, running
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tasksr_training.adapt.export import export_adapted
from vision_msgs.msg import Detection2DArray, LabelInfo

from tasksr_ros.bundle import load_bundle
from tasksr_ros.bundle.import_detector import Import, import_detector
from tasksr_ros.config import DetectionConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.model import load_model
from tasksr_ros.networks import build_sr
from tasksr_ros.ros import messages

pytestmark = [pytest.mark.wire, pytest.mark.slow]

DETECTORS = {
    "picodet": ("picodet_s_416_coco.onnx", "coco", ["person", "bicycle"]),
    "yolox": ("yolox_nano_coco.onnx", "coco", ["bicycle", "person", "car"]),
    "detr": ("deimv2_hgnetv2_femto_coco.onnx", "coco", ["person"]),
    "boxes": ("person-detection-0203.xml", "", ["person"]),
}


@pytest.mark.parametrize("decoder", list(DETECTORS))
def test_the_node_publishes_what_the_pipeline_finds(
    client: Client,
    ros_env: dict[str, str],
    shared: Path,
    tmp_path: Path,
    decoder: str,
) -> None:
    file, classes, keep = DETECTORS[decoder]
    (tmp_path / "person.txt").write_text("person\n")
    bundle = tmp_path / "theirs"
    import_detector(
        Import(
            file=shared / "weights" / file,
            decoder=decoder,
            classes=classes or str(tmp_path / "person.txt"),
            keep=keep,
            out=bundle,
        )
    )
    found = published_as_found(bundle, crowded(shared).read_bytes(), keep, client, ros_env)
    assert len(found) >= 2 and keep.index("person") in found.class_id


def test_a_detector_behind_a_network_that_learnt_for_it(
    client: Client, ros_env: dict[str, str], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    description = {"name": "dbpn-ss-8", "scale_factor": 2, "residual": True}
    network = build_sr("dbpn-ss-8", 2, residual=True)
    detector, bundle = load_bundle(write_bundle(tmp_path / "mine")), tmp_path / "adapted"
    export_adapted(detector, network, description, {"steps": 1, "minutes": 0.1}, "", bundle)
    image = np.full((96, 160, 3), 140, np.uint8)
    image[20:60, 40:56] = 20
    _, png = cv2.imencode(".png", image)
    found = published_as_found(bundle, png.tobytes(), ["person"], client, ros_env, "png")
    assert len(found) >= 1


def published_as_found(
    bundle: Path,
    data: bytes,
    names: list[str],
    client: Client,
    ros_env: dict[str, str],
    form: str = "jpeg",
) -> Detections:
    """What the node publishes of an image, which is what the pipeline finds."""
    message = CompressedImage(header=Header(frame_id="front"), format=form)
    message.data = data
    config = PipelineConfig(RegionConfig(mode="full"), DetectionConfig(score_threshold=0.2))
    expected = load_model(bundle).pipeline(config)(decode_message(message))
    parameters = {
        "input__reliability": "reliable",  # one image alone: lost, nothing would come
        "input__transport": "compressed",
        "region__mode": "full",
        "detection__score_threshold": 0.2,
    }
    with running(ros_env, bundle=str(bundle), **parameters):
        infos = client.listen(LabelInfo, "label_info", LATCHED)
        arrays = client.listen(Detection2DArray, "detections")
        client.publish(message, "image/compressed")
        client.wait(lambda: arrays and infos, "detections and labels", 60)
    received = messages.from_detection_array(arrays[0])
    np.testing.assert_allclose(received.xyxy, expected.xyxy, atol=1e-3)
    np.testing.assert_allclose(received.score, expected.score, atol=1e-5)
    assert received.class_id.tolist() == expected.class_id.tolist()
    assert {c.class_id: c.class_name for c in infos[0].class_map} == dict(enumerate(names))
    return received


def crowded(shared: Path) -> Path:
    """The image of CamVid with most people of at least 60 px."""
    folder = shared / "data" / "camvid"
    truth = json.loads((folder / "val.json").read_text())
    near = [a["image_id"] for a in truth["annotations"] if a["bbox"][3] > 60]
    most = max(set(near), key=lambda image_id: (near.count(image_id), -image_id))
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    return folder / str(files[most])
