from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from tasksr_training.errors import TrainingDataError
from tasksr_training.published_weights import convolutions, load_onnx_weights

from tasksr_ros.networks.detectors.picodet import PicoDet

PUBLISHED = "weights/picodet_s_416_coco.onnx"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@torch.no_grad()
@pytest.mark.parametrize("name", ["camvid", "bdd100k", "kitti_object"])
def test_parity_with_the_published_file(shared: Path, name: str) -> None:
    """On a crop around a pedestrian of a real image, 416x416."""
    content = json.loads((shared / f"data/{name}/train.json").read_text())
    person = next(a for a in content["annotations"] if not a["ignore"] and a["height"] > 60)
    listed = next(i for i in content["images"] if i["id"] == person["image_id"])
    image = cv2.imread(str(shared / "data" / name / listed["file_name"]))[..., ::-1]
    x = int(np.clip(person["bbox"][0] - 150, 0, image.shape[1] - 416))
    y = int(np.clip(person["bbox"][1] - 150, 0, max(image.shape[0] - 416, 0)))
    crop = np.zeros((416, 416, 3), np.float32)
    part = image[y : y + 416, x : x + 416]
    crop[: len(part)] = part / 255
    file = shared / PUBLISHED
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), quiet)
    published = session.run(None, {"image": ((crop - MEAN) / STD).transpose(2, 0, 1)[None]})
    ours, one_class = PicoDet(80).eval(), PicoDet(1).eval()
    load_onnx_weights(ours, file)
    load_onnx_weights(one_class, file)
    images = torch.from_numpy(crop.transpose(2, 0, 1)[None].copy())
    best = 0.0
    for level, person_only, scores, distances in zip(
        ours.levels(images), one_class.levels(images), published[:4], published[4:], strict=True
    ):
        got = level.logits.sigmoid().flatten(2).transpose(1, 2).numpy()
        np.testing.assert_allclose(got, scores, rtol=0, atol=1e-5)
        assert level.distributions is not None
        got = level.distributions.flatten(3).permute(0, 3, 1, 2).numpy()
        expected = softmax(distances.reshape(1, -1, 4, 8))
        np.testing.assert_allclose(softmax(got), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(person_only.logits, level.logits[:, :1])
        torch.testing.assert_close(person_only.distances, level.distances)
        best = max(best, float(scores[..., 0].max()))
    assert best > 0.3  # somebody is seen at all


def small_file(path: Path, constant_bias: bool = True) -> Path:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 1, 1], [1, 2, 3, 4, 5, 6])
    bias = helper.make_tensor("b", TensorProto.FLOAT, [2], [7, 8])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])]
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"])]
    if constant_bias:
        nodes.insert(0, helper.make_node("Constant", [], ["b"], value=bias))
    else:
        inputs.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])
    graph = helper.make_graph(nodes, "small", inputs, [output], [weight])
    onnx.save(helper.make_model(graph), str(path))
    return path


def test_convolutions_are_read_from_initialisers_and_constants(tmp_path: Path) -> None:
    ((weight, bias),) = convolutions(small_file(tmp_path / "a.onnx"))
    assert weight[:, :, 0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert bias.tolist() == [7, 8]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    small = small_file(tmp_path / "small.onnx")
    with pytest.raises(TrainingDataError, match="expected 133 convolutions, got 1"):
        load_onnx_weights(PicoDet(1), small)
    with pytest.raises(TrainingDataError, match="expected a model of 1 or 80 classes, got 3"):
        load_onnx_weights(PicoDet(3), small)
    with pytest.raises(TrainingDataError, match=r"constant weight and bias of y, got \['w', 'b'\]"):
        convolutions(small_file(tmp_path / "open.onnx", constant_bias=False))
    with pytest.raises(TrainingDataError, match="expected an ONNX file, got"):
        convolutions(tmp_path / "none.onnx")
