"""Engines of bundles whose super-resolution estimates the blur."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle, load_bundle, save_bundle
from tasksr_ros.bundle.export_onnx import export_onnx
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine, choose_engine
from tasksr_ros.errors import EngineError
from tasksr_ros.networks import build_sr

REGIONS: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)


@pytest.fixture
def bundle(blind_bundle: Path) -> Bundle:
    return load_bundle(blind_bundle)


@pytest.fixture
def expected(bundle: Bundle) -> NDArray[np.float32]:
    """The kernels of the network itself."""
    images = torch.from_numpy(REGIONS).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        kernels: NDArray[np.float32] = bundle.load_sr()(images)[1].numpy()
    return kernels


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_engines_give_the_networks_kernels(
    bundle: Bundle, expected: NDArray[np.float32], name: str, tmp_path: Path
) -> None:
    pytest.importorskip(name)
    config = EngineConfig(name=name, device="cpu", cache_dir=str(tmp_path))
    found = build_engine(bundle, config)(REGIONS)
    assert found.kernels is not None
    assert found.kernels.shape == (3, 7, 7)
    assert found.kernels.dtype == np.float32
    np.testing.assert_allclose(found.kernels, expected, atol=1e-4)
    np.testing.assert_allclose(found.kernels.sum((1, 2)), 1, atol=1e-5)
    with torch.no_grad():
        sr = bundle.load_sr()(torch.from_numpy(REGIONS).permute(0, 3, 1, 2) / 255)[0]
        boxes, scores, _ = bundle.load().detector(sr)
    np.testing.assert_allclose(found.scores, scores.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes.numpy(), atol=1e-2)


def test_half_precision_gives_kernels_in_float32(bundle: Bundle) -> None:
    found = build_engine(bundle, EngineConfig(name="torch", device="cpu", precision="bf16"))(
        REGIONS
    )
    assert found.kernels is not None
    assert found.kernels.dtype == np.float32


@pytest.mark.parametrize("name", ["onnxruntime", "tensorrt"])
def test_other_engines_refuse_in_one_line(bundle: Bundle, name: str) -> None:
    expected = rf"engine {name} runs no super-resolution that estimates the blur, got kbpn-small"
    with pytest.raises(EngineError, match=expected + "; openvino and torch run it$"):
        build_engine(bundle, EngineConfig(name=name))


def test_int8_and_onnx_graphs_are_refused_in_one_line(
    bundle: Bundle, blind_bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    config = EngineConfig(
        name="openvino", precision="int8", calibration=str(tmp_path), cache_dir=str(tmp_path)
    )
    with pytest.raises(EngineError, match=r"does not estimate the blur, got kbpn-small; fp32 and"):
        build_engine(bundle, config)
    pytest.importorskip("onnxscript")
    with pytest.raises(EngineError, match=r"blind: no ONNX graph can be made of kbpn-small"):
        export_onnx(str(blind_bundle), tmp_path / "x.onnx")


def test_auto_passes_tensorrt_over(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasksr_ros.engines._cuda_available", lambda: True)
    monkeypatch.setattr("tasksr_ros.engines._tensorrt_works", lambda: True)
    assert choose_engine(bundle) == "torch"


@pytest.mark.slow
def test_kernels_come_beside_what_anothers_detector_finds(
    blind_bundle: Path, tmp_path: Path
) -> None:
    """After two stages: the second sees what the first made of the kernel."""
    pytest.importorskip("openvino")
    weights = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32) / 100
    file = one_layer(tmp_path / "theirs.onnx", weights)
    described = yaml.safe_load((blind_bundle / "model.yaml").read_text())
    taken = {"channels": "bgr", "mean": [0.0] * 3, "std": [255.0] * 3, "size": [128, 64]}
    section = {"decoder": "yolov8", "labels": [0], "input": taken}
    options = {**described["sr"]["options"], "num_stage": 2}
    super_resolution = {"network": "kbpn-small", "scale_factor": 2, "options": options}
    description = {**described, "name": "joined", "sr": super_resolution, "detector": section}
    del description["format"], description["files"]
    sr = build_sr("kbpn-small", 2, **options).eval()
    save_bundle(tmp_path / "joined", description, "# joined\n", sr=sr, detector=[file])
    config = EngineConfig(name="openvino", cache_dir=str(tmp_path / "cache"))
    found = build_engine(load_bundle(tmp_path / "joined"), config)(REGIONS)
    assert found.kernels is not None
    with torch.no_grad():
        sharp, kernels = sr(torch.from_numpy(REGIONS).permute(0, 3, 1, 2) / 255)
        image = sharp.clamp(0, 1).flip(1)
        scores = torch.conv2d(image, torch.from_numpy(weights), stride=8)[:, 4].flatten(1)
    np.testing.assert_allclose(found.kernels, kernels.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.scores, scores.numpy(), atol=1e-4)


def one_layer(file: Path, weights: NDArray[np.float32]) -> Path:
    """A detector in ONNX of one convolution by 8, for images of 128x64 px; YOLOv8's form."""
    helper = pytest.importorskip("onnx").helper
    kind = 1  # float32
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "weights"], ["map"], strides=[8, 8]),
            helper.make_node("Reshape", ["map", "shape"], ["output0"]),
        ],
        "theirs",
        [helper.make_tensor_value_info("images", kind, [1, 3, 64, 128])],
        [helper.make_tensor_value_info("output0", kind, [1, 5, 128])],
        [
            helper.make_tensor("weights", kind, weights.shape, weights.ravel()),
            helper.make_tensor("shape", 7, [3], [1, 5, 128]),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    file.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    )
    return file
