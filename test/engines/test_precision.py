"""Tests of engine.precision: bf16 and int8 stay near fp32, and what they need is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine, openvino
from tasksr_ros.engines.openvino_library import openvino_core
from tasksr_ros.engines.quantisation import calibration_regions, detector_operations
from tasksr_ros.errors import EngineError, RecordingError

ov = pytest.importorskip("openvino")


def smooth(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """An image with structure at several scales."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), smooth(180, 320, index))
    return folder


def engine_config(cache: Path, precision: str, calibration: str = "") -> EngineConfig:
    return EngineConfig(
        name="openvino",
        cache_dir=str(cache),
        precision=precision,  # type: ignore[arg-type]
        calibration=calibration,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted models, shared by the tests."""
    return tmp_path_factory.mktemp("cache")


def check_near_fp32(tiny_bundle: Path, cache: Path, config: EngineConfig, atol: float) -> None:
    bundle = load_bundle(tiny_bundle)
    regions = smooth(32, 64, 9)[None]
    exact, engine = build_engine(bundle, engine_config(cache, "fp32")), build_engine(bundle, config)
    (boxes, scores, *_), (other_boxes, other_scores, *_) = exact(regions), engine(regions)
    np.testing.assert_allclose(other_scores, scores, atol=atol)
    assert np.abs(other_scores - scores).max() > 0  # it is not the same model
    assert other_boxes.shape == boxes.shape


def test_bf16_is_near_fp32(tiny_bundle: Path, cache: Path) -> None:
    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16 instructions")
    check_near_fp32(tiny_bundle, cache, engine_config(cache, "bf16"), 1e-3)


@pytest.mark.slow
def test_int8_is_near_fp32_and_is_made_once(
    tiny_bundle: Path, cache: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    config = engine_config(cache, "int8", str(images))
    check_near_fp32(tiny_bundle, cache, config, 5e-3)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda _: None
    )  # not needed any more, nor the images
    build_engine(load_bundle(tiny_bundle), engine_config(cache, "int8"))
    build_engine(load_bundle(tiny_bundle), config)
    with pytest.raises(EngineError, match="nncf"):  # other images make another model
        build_engine(load_bundle(tiny_bundle), engine_config(cache, "int8", str(images.parent)))


def test_the_detector_stays_out_of_int8(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    model = openvino._convert(bundle)
    left_out = set(detector_operations(model))
    layers = [op for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"]
    detector = [op for op in layers if op.get_friendly_name() in left_out]
    convolutions = [m for m in bundle.load().detector.modules() if isinstance(m, nn.Conv2d)]
    assert len(detector) == len(convolutions) < len(layers)


def test_bf16_without_instructions_is_one_line(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ov.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(EngineError, match=r"bf16 needs a CPU with .* got one with FP32, INT8"):
        build_engine(load_bundle(tiny_bundle), engine_config(tmp_path, "bf16"))


def test_int8_says_what_it_needs(
    tiny_bundle: Path, tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(EngineError, match=r"int8 needs engine\.calibration .* got none"):
        build_engine(bundle, engine_config(tmp_path, "int8"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: "installed")
    with pytest.raises(RecordingError, match="does not exist"):
        build_engine(bundle, engine_config(tmp_path, "int8", str(tmp_path / "nothing")))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"int8 needs the Python package nncf \(pip install"):
        build_engine(bundle, engine_config(tmp_path, "int8", str(images)))


def test_torch_has_no_int8(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match=r"torch runs in fp32, fp16, bf16, got .* int8"):
        build_engine(load_bundle(tiny_bundle), EngineConfig(name="torch", precision="int8"))


def test_openvino_has_no_fp16(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"openvino runs in fp32, bf16, int8, got .* fp16"):
        build_engine(load_bundle(tiny_bundle), engine_config(tmp_path, "fp16"))


def test_torch_in_bf16(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    regions = smooth(32, 64)[None]
    engines = [
        build_engine(bundle, EngineConfig(name="torch", device="cpu", precision=precision))
        for precision in ("fp32", "bf16")
    ]
    (boxes, scores, *_), (other_boxes, other_scores, *_) = (engine(regions) for engine in engines)
    assert (other_boxes.dtype, other_scores.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(other_scores, scores, atol=2e-3)
    assert other_boxes.shape == boxes.shape


def test_calibration_regions_come_from_all_images(images: Path) -> None:
    regions = calibration_regions(images, (64, 32), number=3)
    assert (regions.shape, regions.dtype) == ((3, 32, 64, 3), np.uint8)
    # The distant band begins at .40 of 180 rows; the first tile of the first image is its left.
    np.testing.assert_array_equal(regions[0], smooth(180, 320, 0)[72:104, :64, ::-1])
    assert len(calibration_regions(images, (64, 32), number=2)) == 2


def test_an_unreadable_image_does_not_end_the_calibration(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(images, tmp_path / "images")
    (tmp_path / "images/1.png").write_bytes(b"broken")
    assert len(calibration_regions(tmp_path / "images", (64, 32), number=3)) == 2
    assert "frame 1 not read: " in caplog.text
