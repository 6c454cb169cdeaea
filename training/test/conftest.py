"""Image sets that the tests make themselves: dark upright boxes on a noisy grey ground."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tasksr_training.loop import _Run


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def write_set(folder: Path, name: str, images: int, seed: int) -> Path:
    """Write images of 160x128 px with two pedestrians each, the second one ignored."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    for i in range(images):
        image = rng.integers(110, 190, (128, 160, 3), np.uint8)
        file_name = f"images/{name}{i}.png"
        content["images"].append({"id": i + 10, "file_name": file_name})
        for ignore in (0, 1):
            x, y = int(rng.integers(5, 60)) + 75 * ignore, int(rng.integers(5, 60))
            image[y : y + 50, x : x + 18] = (20, 30, 60)
            box = {"bbox": [x, y, 18, 50], "ignore": ignore, "image_id": i + 10, "category_id": 1}
            content["annotations"].append({**box, "id": len(content["annotations"]) + 1})
        cv2.imwrite(str(folder / file_name), image[..., ::-1])
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "pedestrian"}]}))
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with sets ``train.json`` and ``val.json``."""
    folder = tmp_path_factory.mktemp("data")
    write_set(folder, "train", 4, seed=1)
    write_set(folder, "val", 2, seed=2)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and weights beside the checkout; skips without it."""
    folder = Path(__file__).resolve().parents[3] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with data and weights")
    return folder


class StoppedError(Exception):
    """Raised in a training run in place of a kill."""


@pytest.fixture
def stopped_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """Runs in the context end right after the checkpoint of a step."""
    save = _Run._save

    @contextmanager
    def context(step: int) -> Iterator[None]:
        def save_and_stop(run: _Run) -> None:
            save(run)
            if run.step == step:
                raise StoppedError

        with monkeypatch.context() as patch:
            patch.setattr(_Run, "_save", save_and_stop)
            with pytest.raises(StoppedError):
                yield

    return context


@pytest.fixture
def small_cost_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are timed on a small region, for tests that ask no more than that they are."""
    from tasksr_training.studies import command, compare_sr, systems

    for module in (command, compare_sr, systems):
        monkeypatch.setattr(module, "COST_HW", (24, 80))


def _two_processes(*arguments: str, limit: float) -> int:
    """Run a script as torchrun does on two processes; the exit status."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    launcher += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    process = subprocess.Popen([*launcher, *arguments], env=environment)
    try:
        return process.wait(limit)
    finally:
        process.terminate()  # the launcher ends its two processes
        process.wait()


@pytest.fixture
def two_processes() -> Callable[..., int]:
    """Runs a script and its arguments as torchrun does on two processes, with a ``limit`` in s."""
    return _two_processes
