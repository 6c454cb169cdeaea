from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from tasksr_training import datasets
from tasksr_training.datasets import PatchConfig, PatchSampler, SourceConfig, read_sources
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_store import ImageStore


def test_images_beyond_the_memory_lie_in_files_that_have_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng = np.random.default_rng(1)
    sizes = [(20, 30), (10, 10), (20, 31), (8, 8), (90, 90), (3, 5)]
    images = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in sizes]
    store = ImageStore(in_memory=images[0].nbytes + 10, file=4096)
    kept = [store.keep(image.copy()) for image in images]
    assert all(np.array_equal(k, i) for k, i in zip(kept, images, strict=True))
    assert [k.base is None for k in kept] == [True] + [False] * 5
    assert list(tmp_path.iterdir()) == []
    deleted = [p for p in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in p]
    assert len(deleted) == 3 and all("(deleted)" in p for p in deleted)  # 4 KiB, 90x90, the rest


def test_patches_are_the_same_wherever_the_images_lie(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patches() -> list[np.ndarray]:
        sources = [SourceConfig("train.json")]
        images = read_sources(data, sources)
        sampler = PatchSampler(images, sources, PatchConfig(size=64, min_height=20, max_height=50))
        rng = np.random.default_rng(3)
        return [sampler.draw(rng).image for _ in range(6)]

    in_memory = patches()
    monkeypatch.setattr(datasets, "ImageStore", lambda: ImageStore(in_memory=0, file=1 << 20))
    assert all(np.array_equal(a, b) for a, b in zip(patches(), in_memory, strict=True))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TrainingDataError, match=r"expected room for 2 MiB more .*No space left"):
        ImageStore(in_memory=0, file=2 << 20).keep(np.zeros((4, 4, 3), np.uint8))
