"""Tests of tasksr_ros.engines.guarded."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch

from tasksr_ros.engines.found import Found
from tasksr_ros.engines.guarded import GuardedEngine, lacks_memory
from tasksr_ros.errors import EngineError


class SmallDevice:
    """Has memory for ``room`` regions; a region's boxes tell its first pixel."""

    name = "small"
    region_size = (4, 2)
    scale_factor = 2
    runs_batches = True

    def __init__(self, room: int, wrapped: bool = False) -> None:
        self.room = room
        self.wrapped = wrapped
        self.batches: list[int] = []

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        self.batches.append(len(regions))
        if len(regions) > self.room:
            error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            if self.wrapped:  # as the torch engine does
                raise EngineError("torch failed") from error
            raise error
        values = regions[:, 0, 0, 0].astype(np.float32)
        return Found.of_one_class(np.repeat(values, 4).reshape(-1, 1, 4), values.reshape(-1, 1))


def regions(count: int) -> NDArray[np.uint8]:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((2, 4, 3), np.uint8)


@pytest.mark.parametrize("wrapped", [False, True])
def test_half_the_batch_is_tried_once_and_kept(wrapped: bool) -> None:
    device = SmallDevice(3, wrapped)
    engine = GuardedEngine(device)
    boxes, scores, *_ = engine(regions(5))
    assert scores[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert boxes.shape == (5, 1, 4)
    assert device.batches == [5, 2, 2, 1]
    assert (engine.batch_limit, engine.out_of_memory) == (2, False)
    device.batches.clear()
    engine(regions(4))
    assert device.batches == [2, 2]


def test_what_does_not_fit_either_fails_until_it_fits() -> None:
    device = SmallDevice(0)
    engine = GuardedEngine(device)
    with pytest.raises(EngineError, match="out of memory with a batch of 2, too: CUDA out of mem"):
        engine(regions(4))
    assert device.batches == [4, 2]
    assert engine.out_of_memory
    device.room = 4
    assert engine(regions(4))[1].shape == (4, 1)
    assert not engine.out_of_memory


def test_one_region_is_tried_again_after_the_cache_is_emptied() -> None:
    device = SmallDevice(0)
    with pytest.raises(EngineError):
        GuardedEngine(device)(regions(1))
    assert device.batches == [1, 1]


def test_other_errors_pass() -> None:
    class Broken(SmallDevice):
        def __call__(self, regions: NDArray[np.uint8]) -> Found:
            raise EngineError("device lost")

    engine = GuardedEngine(Broken(1))
    with pytest.raises(EngineError, match="device lost"):
        engine(regions(2))
    assert not engine.out_of_memory


def test_which_errors_are_want_of_memory() -> None:
    assert lacks_memory(torch.OutOfMemoryError("x"))
    assert lacks_memory(MemoryError())
    for text in (
        "CUDA error: out of memory",
        "Exception from src/inference: std::bad_alloc",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ):
        assert lacks_memory(RuntimeError(text))
    assert not lacks_memory(ValueError("out of memory"))
    assert not lacks_memory(RuntimeError("x"))
    assert not lacks_memory(None)


def test_how_long_a_region_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The median of the calls, so that one stall does not count; the lower one of two."""
    now = iter((0.0, 0.5, 1.0, 3.0, 10.0, 110.0, 200.0, 201.5))
    monkeypatch.setattr("tasksr_ros.engines.guarded.time.monotonic", lambda: next(now))
    engine = GuardedEngine(SmallDevice(9))
    assert engine.region_s == 0.0
    told = []
    for count in (1, 4, 2, 5):
        engine(regions(count))
        told.append(engine.region_s)
    assert told == [0.5, 0.5, 0.5, 0.5]  # of 0.5, 0.5, 50 and 0.3
