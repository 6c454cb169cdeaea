"""Tests of tasksr_ros.engines.torch: precisions, graph forms, compilation; on a GPU, recording."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch._inductor import config as inductor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.cuda import fastest_convolutions
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.engines.torch import TorchEngine
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import TDSR

on_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs an NVIDIA GPU with a PyTorch for CUDA"
)
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler"
)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Engine:
    return build_engine(bundle, EngineConfig(name="torch", device="cpu"))


def regions(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 64, 3), np.uint8)


def check_near(engine: Engine, reference: Engine, atol: float, count: int = 3) -> None:
    (boxes, scores, *_), (expected_boxes, expected_scores, *_) = (
        engine(regions(count)),
        reference(regions(count)),
    )
    assert (boxes.dtype, scores.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(scores, expected_scores, atol=atol)
    np.testing.assert_allclose(boxes, expected_boxes, atol=1000 * atol)


def test_fp32_on_a_gpu_is_without_tf32_and_leaves_other_networks_alone() -> None:
    seen: list[tuple[bool, bool]] = []

    def detect(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark))
        return batch, batch, batch

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    for exact in (True, False):
        fastest_convolutions(detect, exact=exact)(torch.zeros(1))
    assert seen == [(False, True), (True, True)]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before


def test_lr_space_computes_the_same(bundle: Bundle, reference: Engine) -> None:
    config = EngineConfig(name="torch", device="cpu", graph="lr_space")
    check_near(TorchEngine(bundle, config), reference, 1e-5)


@pytest.mark.parametrize(("precision", "atol"), [("fp16", 1e-3), ("bf16", 4e-3)])
def test_lower_precisions_are_near(
    bundle: Bundle, reference: Engine, precision: Any, atol: float
) -> None:
    config = EngineConfig(name="torch", device="cpu", precision=precision)
    engine = TorchEngine(bundle, config)
    check_near(engine, reference, atol, 1)
    assert np.abs(engine(regions(1))[1] - reference(regions(1))[1]).max() > 0


class OneLayer(nn.Module):
    """(N, 3, H, W) -> boxes (N, H·W, 4), scores, class ids (N, H·W): compiled within seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.layer(images).flatten(2).transpose(1, 2).float()
        scores = found[..., 4].sigmoid()
        return found[..., :4], scores, torch.zeros_like(scores, dtype=torch.int32)


@pytest.fixture
def quick_compiler() -> Iterator[None]:
    """Compiles what is asked for alone.

    Not PyTorch's trial of each set of instructions, nor its headers, of use from the third kernel.
    """
    with inductor.patch({"cpp.vec_isa_ok": True, "cpp_cache_precompile_headers": False}):
        yield


@needs_compiler
@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_networks_compute_the_same(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())  # as if unset
    torch.manual_seed(0)
    networks = TDSR(nn.Identity(), OneLayer()).eval().requires_grad_(False)
    forms: list[str] = []

    def load_graph(_: Bundle, form: str) -> TDSR:
        forms.append(form)
        return networks

    monkeypatch.setattr("tasksr_ros.engines.torch.load_graph", load_graph)
    cache = tmp_path / "cache"
    eager, compiled = (
        TorchEngine(
            bundle,
            EngineConfig(
                name="torch",
                device="cpu",
                precision=precision,
                compile=compile_,
                cache_dir=str(cache),
            ),
        )
        for compile_ in (False, True)
    )
    assert forms == ["reference", "lr_space"]
    check_near(compiled, eager, 1e-6 if precision == "fp32" else 1e-2)
    assert any((cache / "inductor").iterdir()), "what was compiled is in the user's own folder"
    assert cache.stat().st_mode & 0o077 == 0


@needs_compiler
@pytest.mark.soak
def test_compiled_bundle_computes_the_same(
    bundle: Bundle, reference: Engine, tmp_path: Path
) -> None:
    config = EngineConfig(name="torch", device="cpu", compile=True, cache_dir=str(tmp_path))
    check_near(TorchEngine(bundle, config), reference, 1e-5)


def test_what_the_compiler_lacks_is_one_line(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nin detail")

    monkeypatch.setattr("torch.compile", lambda *_, **__: fail)
    config = EngineConfig(name="torch", device="cpu", compile=True, cache_dir=str(tmp_path))
    with pytest.raises(EngineError, match="torch failed: InvalidCxxCompiler") as error:
        TorchEngine(bundle, config)
    assert "\n" not in str(error.value)


def test_compilation_without_a_cache_folder_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = EngineConfig(
        name="torch", device="cpu", compile=True, cache_dir=str(tmp_path / "file")
    )
    with pytest.raises(EngineError, match=r"engine\.compile needs a cache folder"):
        TorchEngine(bundle, config)


@on_gpu
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize(("precision", "atol"), [("fp32", 1e-4), ("fp16", 2e-3), ("bf16", 1e-2)])
def test_gpu_computes_the_same(
    bundle: Bundle, reference: Engine, precision: Any, atol: float, cuda_graphs: bool
) -> None:
    config = EngineConfig(
        name="torch", device="cuda", precision=precision, cuda_graphs=cuda_graphs, max_batch=4
    )
    engine = TorchEngine(bundle, config)
    assert engine.runs_batches
    check_near(engine, reference, atol, 7)


@on_gpu
def test_gpu_results_are_the_callers_to_keep(bundle: Bundle) -> None:
    engine = TorchEngine(bundle, EngineConfig(name="torch", device="cuda", max_batch=2))
    kept = engine(regions(3))
    copies = [array.copy() for array in kept]
    engine(255 - regions(3))
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@on_gpu
@pytest.mark.slow
def test_gpu_runs_compiled_networks(bundle: Bundle, reference: Engine, tmp_path: Path) -> None:
    config = EngineConfig(
        name="torch", device="cuda", compile=True, max_batch=2, cache_dir=str(tmp_path)
    )
    check_near(TorchEngine(bundle, config), reference, 1e-4)


@on_gpu
def test_gpu_in_steady_state_takes_no_more_memory(bundle: Bundle) -> None:
    engine = GuardedEngine(TorchEngine(bundle, EngineConfig(name="torch", device="cuda")))
    engine(regions(5))
    before = torch.cuda.memory_allocated()
    for _ in range(20):
        engine(regions(5))
    assert torch.cuda.memory_allocated() == before


@on_gpu
@pytest.mark.slow
def test_gpu_builds_and_reloads_a_tensorrt_engine(
    bundle: Bundle, reference: Engine, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt", reason="needs TensorRT (see docs/GPU.md)")
    pytest.importorskip("torch_tensorrt", reason="needs torch_tensorrt (see docs/GPU.md)")
    for on_mismatch in ("rebuild", "refuse"):
        config = EngineConfig(
            name="tensorrt",
            precision="fp16",
            max_batch=2,
            cache_dir=str(tmp_path),
            on_mismatch=on_mismatch,  # type: ignore[arg-type]
        )
        check_near(build_engine(bundle, config), reference, 2e-3)
