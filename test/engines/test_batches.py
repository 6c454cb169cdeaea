"""Tests of tasksr_ros.engines.batches."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.engines.batches import StaticBatches, batch_sizes, plan, prepare
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.errors import EngineError


@dataclass
class FixedSize:
    """Refuses other batch sizes than its own; a region's boxes tell its first pixel."""

    size: int
    num_cells: int = 3
    kernel_side: int = 0
    calls: list[int] = field(default_factory=list)

    def __call__(self, regions: NDArray[np.uint8], found: Found) -> None:
        assert {len(regions), *map(len, found.arrays)} == {self.size}
        self.calls.append(self.size)
        found.boxes[:] = regions[:, :1, 0, :1]
        found.scores[:] = regions[:, 0, 0, :1]
        found.class_ids[:] = 7


def regions(count: int) -> NDArray[np.uint8]:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((2, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_sizes_are_powers_of_two_and_the_limit(limit: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(limit) == sizes


@pytest.mark.parametrize(
    ("number", "batches"),
    [(1, [1]), (3, [2, 1]), (8, [8]), (11, [8, 2, 1]), (20, [8, 8, 4])],
)
def test_plan_runs_each_region_once(number: int, batches: list[int]) -> None:
    assert plan(number, (1, 2, 4, 8)) == batches


def test_results_are_in_the_order_of_the_regions() -> None:
    runners = {size: FixedSize(size) for size in (1, 2, 4)}
    boxes, scores, class_ids, *_ = StaticBatches(runners)(regions(7))
    assert (class_ids == 7).all()
    assert (boxes.shape, boxes.dtype) == ((7, 3, 4), np.float32)
    assert scores.tolist() == [[float(index)] * 3 for index in range(7)]
    assert [runner.calls for runner in runners.values()] == [[1], [2], [4]]


def test_batches_of_one_must_be_possible() -> None:
    with pytest.raises(ValueError, match=r"batches of 1, got \[2\]"):
        StaticBatches({2: FixedSize(2)})


def test_sizes_without_memory_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def make(size: int) -> int:
        if size > 2:
            raise EngineError("torch failed: out of memory\nmore") from MemoryError()
        return size

    with caplog.at_level(logging.WARNING):
        assert prepare((1, 2, 4, 8), make) == {1: 1, 2: 2}
    assert "no memory for batches of 4: regions run at most 2 together" in caplog.text


@pytest.mark.parametrize("error", [MemoryError("one is too many"), RuntimeError("device lost")])
def test_what_else_fails_is_not_left_out(error: Exception) -> None:
    def make(size: int) -> int:
        if isinstance(error, MemoryError) or size == 2:
            raise error
        return size

    with pytest.raises(type(error), match=str(error)):
        prepare((1, 2), make)


def test_the_guard_splits_what_fixed_sizes_cannot_hold() -> None:
    """Memory that is taken by others later is met by the guard, with the sizes there are."""

    class Engine:
        name, region_size, scale_factor, runs_batches = "static", (4, 2), 2, True

        def __call__(self, batch: NDArray[np.uint8]) -> Found:
            if len(batch) > 2:
                raise EngineError("tensorrt failed") from MemoryError()
            return StaticBatches({size: FixedSize(size) for size in (1, 2, 4)})(batch)

    engine = GuardedEngine(Engine())
    assert engine(regions(4))[1][:, 0].tolist() == [0, 1, 2, 3]
    assert engine.batch_limit == 2
