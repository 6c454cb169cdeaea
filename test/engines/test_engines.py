"""Tests of tasksr_ros.engines."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasksr_ros.bundle import load_bundle, save_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.cache import cache_folder
from tasksr_ros.errors import EngineError
from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.fcos import Detector

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def torch_engine(tiny_bundle: Path) -> Engine:
    return build_engine(load_bundle(tiny_bundle), EngineConfig(name="torch", device="cpu"))


@pytest.fixture(scope="module")
def openvino_engine(tiny_bundle: Path, cache: Path) -> Engine:
    return build_engine(
        load_bundle(tiny_bundle), EngineConfig(name="openvino", cache_dir=str(cache))
    )


@pytest.fixture(scope="module")
def throughput_engine(tiny_bundle: Path, cache: Path) -> Engine:
    config = EngineConfig(name="openvino", cache_dir=str(cache), hint="throughput", threads=2)
    return build_engine(load_bundle(tiny_bundle), config)


@pytest.fixture(scope="module")
def detector_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without super-resolution, for tests of where a converted model is kept."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundles") / "alone"
    description = {
        "name": "alone",
        "sr": "none",
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.5,
        "recipe": {},
    }
    save_bundle(folder, description, "", detector=Detector(0.25))
    return folder


@pytest.fixture(scope="module")
def alone_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def alone_engine(detector_alone: Path, alone_cache: Path) -> Engine:
    config = EngineConfig(name="openvino", cache_dir=str(alone_cache))
    return build_engine(load_bundle(detector_alone), config)


@pytest.fixture(params=["torch_engine", "openvino_engine", "throughput_engine"])
def engine(request: pytest.FixtureRequest) -> Engine:
    built: Engine = request.getfixturevalue(request.param)
    return built


def regions(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


def test_engines_agree(torch_engine: Engine, openvino_engine: Engine) -> None:
    """OpenVINO runs the LR-space form, torch the reference graph."""
    boxes, scores, *_ = torch_engine(regions(3))
    other_boxes, other_scores, *_ = openvino_engine(regions(3))
    np.testing.assert_allclose(other_boxes, boxes, atol=1e-2)
    np.testing.assert_allclose(other_scores, scores, atol=1e-5)


def test_shapes_and_ranges(engine: Engine) -> None:
    boxes, scores, *_ = engine(regions(2))
    cells = 64 * 128 // 16 + 64 * 128 // 64 + 64 * 128 // 256
    assert (boxes.shape, boxes.dtype) == ((2, cells, 4), np.float32)
    assert (scores.shape, scores.dtype) == ((2, cells), np.float32)
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_a_batch_gives_what_its_regions_give_alone(engine: Engine) -> None:
    batch = regions(3)
    boxes, scores, *_ = engine(batch)
    for index in range(3):
        alone_boxes, alone_scores, *_ = engine(batch[index : index + 1])
        np.testing.assert_allclose(boxes[index], alone_boxes[0], atol=1e-3)
        np.testing.assert_allclose(scores[index], alone_scores[0], atol=1e-6)


def test_results_are_not_overwritten_by_the_next_call(engine: Engine) -> None:
    boxes, _, *_ = engine(regions(1))
    before = boxes.copy()
    engine(255 - regions(1))
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((1, 64, 32, 3), np.uint8), r"shape \(N, 32, 64, 3\), got \(1, 64, 32, 3\)"),
        (np.zeros((0, 32, 64, 3), np.uint8), r"got \(0, 32, 64, 3\)"),
        (np.zeros((1, 32, 64, 3), np.float32), "must be uint8, got float32"),
    ],
)
def test_other_regions_are_refused(engine: Engine, wrong: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        engine(wrong)


def test_converted_model_is_read_from_the_cache(
    alone_engine: Engine, detector_alone: Path, alone_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("converted although it is in the cache")

    monkeypatch.setattr("tasksr_ros.engines.openvino._convert", fail)
    config = EngineConfig(name="openvino", cache_dir=str(alone_cache))
    again = build_engine(load_bundle(detector_alone), config)
    np.testing.assert_allclose(again(regions(1))[1], alone_engine(regions(1))[1], atol=1e-6)


def test_bundles_that_share_their_weights_do_not_share_a_model(tmp_path: Path) -> None:
    """Bicubic networks have no weights, so that only the description tells x2 from x4."""
    torch.manual_seed(0)
    detector = Detector(0.25)
    shapes = []
    for scale_factor in (2, 4):
        folder = tmp_path / f"x{scale_factor}"
        description = {
            "name": "bicubic",
            "sr": {"network": "bicubic", "scale_factor": scale_factor},
            "detector": {"network": "fcos", "options": {"width": 0.25}},
            "classes": ["pedestrian"],
            "region_size": [64, 32],
            "score_threshold": 0.5,
            "recipe": {},
        }
        save_bundle(folder, description, "", sr=build_sr("bicubic", 2), detector=detector)
        config = EngineConfig(name="openvino", cache_dir=str(tmp_path / "cache"))
        shapes.append(build_engine(load_bundle(folder), config)(regions(1))[1].shape)
    assert shapes == [(1, 672), (1, 2688)]


def test_corrupt_cache_is_converted_again(
    alone_engine: Engine, detector_alone: Path, alone_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = list(alone_cache.glob("openvino-*"))
    assert len(folders) == 1
    (folders[0] / "model.xml").write_text("<net><layers>")
    config = EngineConfig(name="openvino", cache_dir=str(alone_cache))
    with caplog.at_level(logging.WARNING):
        again = build_engine(load_bundle(detector_alone), config)
    assert "unreadable, converting again" in caplog.text
    np.testing.assert_allclose(again(regions(1))[1], alone_engine(regions(1))[1], atol=1e-6)
    assert not list(alone_cache.glob(".partial-*"))


def test_cache_that_others_may_write_is_not_loaded(
    alone_engine: Engine, detector_alone: Path, alone_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder,) = alone_cache.glob("openvino-*")
    folder.chmod(0o777)
    config = EngineConfig(name="openvino", cache_dir=str(alone_cache))
    with caplog.at_level(logging.INFO):
        build_engine(load_bundle(detector_alone), config)
    assert "may be written by others" in caplog.text
    assert "converting alone" in caplog.text
    assert folder.stat().st_mode & 0o077 == 0, "the new one is the user's alone"


def test_unwritable_cache_does_not_stop_the_engine(
    detector_alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    config = EngineConfig(name="openvino", cache_dir=str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        engine = build_engine(load_bundle(detector_alone), config)
    assert "the converted model is not kept" in caplog.text
    assert engine(regions(1))[1].shape[0] == 1


def test_unknown_device_is_one_clear_line(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match=r"engine\.device 'cuda:99' cannot be used") as error:
        build_engine(load_bundle(tiny_bundle), EngineConfig(name="torch", device="cuda:99"))
    assert "\n" not in str(error.value)


def test_cache_lies_in_the_users_cache_unless_configured(tmp_path: Path) -> None:
    assert cache_folder(EngineConfig()).name == "tasksr_ros"
    assert cache_folder(EngineConfig(cache_dir=str(tmp_path))) == tmp_path
