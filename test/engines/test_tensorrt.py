"""Tests of tasksr_ros.engines.tensorrt, with torch on the CPU in the place of TensorRT and GPU.

Everything of the engine is run but `tensorrt_library.TorchTensorRt`, which needs both; what can
be shown of the conversion without them is in test_tensorrt_conversion.py.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch

from tasksr_ros import engines
from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import Engine, build_engine, choose_engine
from tasksr_ros.engines.batches import Runner
from tasksr_ros.engines.cuda import Detect
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.engines.manifest import Machine, read_manifest
from tasksr_ros.engines.tensorrt import TensorRtEngine
from tasksr_ros.engines.torch import CpuRunner
from tasksr_ros.errors import EngineError


class OnCpu:
    """In the place of `tensorrt_library.TorchTensorRt`: its programs are the networks themselves.

    A file holds the number of one of them.
    """

    def __init__(self, gpu: str = "NVIDIA Test 1", **changes: str) -> None:
        versions = {"torch": "2.13.0", "torch_tensorrt": "2.13.0", "tensorrt": "11.0.0"}
        self.device = torch.device("cpu")
        self._machine = Machine(gpu=gpu, compute_capability="9.0", **{**versions, **changes})
        self.programs: list[Any] = []
        self.built: list[tuple[tuple[int, ...], object]] = []
        self.room = 64
        self.wrong_by = 0.0

    def machine(self) -> Machine:
        return self._machine

    def driver(self) -> str:
        return "580.1"

    def build(self, networks: Any, example: Any, timing_cache: Path) -> Any:
        assert timing_cache.parent.is_dir()
        self.built.append((tuple(example.shape), example.dtype))
        self.programs.append(networks)
        return len(self.programs) - 1

    def save(self, program: Any, example: Any, path: Path) -> None:
        path.write_text(f"program {program}")

    def load(self, data: bytes) -> Any:
        return self.programs[int(data.split()[1])]

    def runner(
        self, detect: Detect, batch: int, region_size: tuple[int, int], *, graph: bool
    ) -> Runner:
        if batch > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

        def wrong(regions: Any) -> Any:
            boxes, scores, class_ids = detect(regions)
            return boxes, scores + self.wrong_by, class_ids

        return CpuRunner(wrong, region_size, batch)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Engine:
    return build_engine(bundle, EngineConfig(name="torch", device="cpu"))


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quicker ones to verify with."""
    monkeypatch.setattr("tasksr_ros.engines.verification.example_regions", lambda *_: regions(2))


def config(cache: Path, **changes: Any) -> EngineConfig:
    values: dict[str, Any] = {"max_batch": 1, "graph": "reference", "device": "cpu", **changes}
    return EngineConfig(name="tensorrt", cache_dir=str(cache), **values)


def regions(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


def test_an_engine_is_built_once_and_then_loaded(
    bundle: Bundle, reference: Engine, tmp_path: Path
) -> None:
    library = OnCpu()
    cache = config(tmp_path / "cache", max_batch=2, graph="auto")
    built = TensorRtEngine(bundle, cache, library)
    assert library.built == [((1, 3, 32, 64), torch.float32), ((2, 3, 32, 64), torch.float32)]
    expected_boxes, expected_scores, *_ = reference(regions(3))
    for engine in (built, TensorRtEngine(bundle, cache, library)):
        boxes, scores, *_ = engine(regions(3))
        np.testing.assert_allclose(boxes, expected_boxes, atol=1e-2)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    assert len(library.built) == 2, "the second engine was loaded"
    manifest = read_manifest(built.folder)
    assert (manifest.origin.graph, manifest.origin.max_batch) == ("lr_space", 2)
    assert [file.batch for file in manifest.files] == [1, 2]
    assert manifest.score_difference < 1e-5
    assert built.folder.parent == tmp_path / "cache"
    assert built.folder.name.endswith("-64x32-fp32-lr_space-nvidia-test-1")


def test_fp16_networks_are_built_in_fp16(bundle: Bundle, reference: Engine, tmp_path: Path) -> None:
    library = OnCpu()
    engine = TensorRtEngine(bundle, config(tmp_path / "cache", precision="fp16"), library)
    assert library.built == [((1, 3, 32, 64), torch.float16)]
    boxes, scores, *_ = engine(regions(1))
    assert (boxes.dtype, scores.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(scores, reference(regions(1))[1], atol=2e-3)
    assert engine.difference is not None
    assert 0 < engine.difference.score < 2e-3


HARMS = {
    "truncated": lambda folder: (folder / "batch-1.pt2").write_bytes(b"PK"),
    "foreign": lambda folder: change_machine(folder, gpu="NVIDIA Test 2"),
    "outdated": lambda folder: change_machine(folder, tensorrt="10.15.1"),
    "writable by others": lambda folder: folder.chmod(0o777),
}


def change_machine(folder: Path, **changes: str) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    values["origin"]["machine"].update(changes)
    (folder / "manifest.json").write_text(json.dumps(values))


@pytest.mark.parametrize("harm", HARMS)
def test_an_unfit_engine_is_refused_or_set_aside_and_rebuilt(
    bundle: Bundle, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    library = OnCpu()
    cache = config(tmp_path / "cache")
    folder = TensorRtEngine(bundle, cache, library).folder
    HARMS[harm](folder)
    with pytest.raises(EngineError, match="on_mismatch is refuse: make one with tasksr build-"):
        TensorRtEngine(bundle, replace(cache, on_mismatch="refuse"), library)
    assert len(library.built) == 1
    with caplog.at_level(logging.WARNING):
        TensorRtEngine(bundle, cache, library)
    assert len(library.built) == 2
    assert "set aside as" in caplog.text
    assert (folder.parent / f"{folder.name}.set-aside" / "manifest.json").is_file()
    TensorRtEngine(bundle, replace(cache, on_mismatch="refuse"), library)
    assert len(library.built) == 2, "the new one is used"


def test_a_missing_engine_is_refused_with_one_line(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no engine there; engine\.on_mismatch is ref") as error:
        TensorRtEngine(bundle, config(tmp_path, on_mismatch="refuse"), OnCpu())
    assert "\n" not in str(error.value)


def test_what_the_library_cannot_load_is_rebuilt(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = OnCpu()
    TensorRtEngine(bundle, config(tmp_path / "cache"), library)
    load, failures = library.load, [RuntimeError("serialization version 1, expected 2")]

    def load_once_wrong(data: bytes) -> Any:
        if failures:
            raise failures.pop()
        return load(data)

    monkeypatch.setattr(library, "load", load_once_wrong)
    TensorRtEngine(bundle, config(tmp_path / "cache"), library)
    assert len(library.built) == 2


def test_an_engine_that_computes_something_else_is_not_kept(bundle: Bundle, tmp_path: Path) -> None:
    library = OnCpu()
    library.wrong_by = 0.1
    with pytest.raises(EngineError, match="does not compute what torch does"):
        TensorRtEngine(bundle, config(tmp_path / "cache"), library)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_failed_build_is_one_line_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = OnCpu()

    def fail(*_: object) -> None:
        raise RuntimeError("expected one TensorRT block,\n got none")

    monkeypatch.setattr(library, "build", fail)
    with pytest.raises(EngineError, match="tensorrt failed to build: expected one Tens") as error:
        TensorRtEngine(bundle, config(tmp_path / "cache"), library)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_a_cache_that_cannot_be_written_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="tensorrt engine cannot be kept"):
        TensorRtEngine(bundle, config(tmp_path / "file"), OnCpu())


def test_batches_without_memory_are_split(bundle: Bundle, tmp_path: Path) -> None:
    library = OnCpu()
    library.room = 1
    engine = TensorRtEngine(bundle, config(tmp_path / "cache", max_batch=2), library)
    assert engine(regions(2))[1].shape[0] == 2
    library.room = 0
    with pytest.raises(EngineError, match="out of memory"):
        TensorRtEngine(bundle, config(tmp_path / "cache", max_batch=2), library)
    assert len(library.built) == 2, "want of memory does not make an engine unfit"


def test_the_guard_sees_want_of_memory(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRtEngine(bundle, config(tmp_path / "cache"), OnCpu())

    def no_memory(batch: NDArray[np.uint8]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    guarded = GuardedEngine(engine)
    monkeypatch.setattr(engine, "_run", no_memory)
    with pytest.raises(EngineError, match="out of memory with a batch of 1, too: tensorrt failed"):
        guarded(regions(1))
    assert guarded.out_of_memory


def test_int8_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"tensorrt runs in fp32, fp16, bf16, got .* int8"):
        TensorRtEngine(bundle, config(tmp_path, precision="int8"), OnCpu())


def test_without_the_package_it_is_one_line(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(EngineError, match="tensorrt needs the Python package 'torch_tensorrt'"):
        build_engine(bundle, config(tmp_path))


def test_without_tensorrts_libraries_it_is_one_line(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        print("make sure tensorrt lib is in the LD_LIBRARY_PATH")
        raise Exception("import error when try to import _TensorRTProxyModule")  # as it does

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(EngineError, match="needs torch_tensorrt to be importable, which fails"):
        build_engine(bundle, config(tmp_path))


@pytest.mark.parametrize(
    ("cuda", "package", "chosen"),
    [(True, True, "tensorrt"), (True, False, "torch"), (False, True, "openvino")],
)
def test_auto_prefers_tensorrt_then_torch_on_cuda_then_openvino(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, cuda: bool, package: bool, chosen: str
) -> None:
    found = {"openvino": object(), "torch_tensorrt": object() if package else None}
    monkeypatch.setattr(engines, "_cuda_available", lambda: cuda)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found[name])
    monkeypatch.setattr(
        "tasksr_ros.engines.tensorrt_library.import_torch_tensorrt", lambda: object()
    )
    assert choose_engine(bundle) == chosen


def test_auto_takes_torch_where_tensorrt_cannot_be_imported(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise EngineError("engine tensorrt needs torch_tensorrt to be importable")

    monkeypatch.setattr(engines, "_cuda_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr("tasksr_ros.engines.tensorrt_library.import_torch_tensorrt", broken)
    with caplog.at_level(logging.WARNING):
        assert choose_engine(bundle) == "torch"
    assert "needs torch_tensorrt to be importable" in caplog.text


def test_auto_takes_torch_for_an_engine_that_cannot_be_built_but_not_for_a_refused_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("tensorrt failed to build: no kernel image")

    monkeypatch.setattr(engines, "choose_engine", lambda _: "tensorrt")
    monkeypatch.setattr("tasksr_ros.engines.tensorrt.TensorRtEngine", fail)
    automatic = EngineConfig(name="auto", device="cpu")
    with caplog.at_level(logging.WARNING):
        assert build_engine(bundle, automatic).name == "torch"
    assert "engine torch instead of tensorrt: tensorrt failed to build" in caplog.text
    with pytest.raises(EngineError, match="no kernel image"):
        build_engine(bundle, replace(automatic, on_mismatch="refuse"))
