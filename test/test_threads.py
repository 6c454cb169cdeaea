"""Tests of tasksr_ros.threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasksr_ros import threads


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "PASSIVE 0"), ({"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "5"}, "ACTIVE 5")],
)
@pytest.mark.parametrize("module", ["tasksr_ros", "tasksr_ros.cli.main", "tasksr_training.cli"])
def test_it_is_set_before_torch_is_loaded(given: dict[str, str], told: str, module: str) -> None:
    """The environment at the moment at which torch is imported."""
    code = (
        "import os, sys, importlib, importlib.abc\n"
        "class Watch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'torch':\n"
        "            show(); sys.exit(0)\n"
        "def show(): print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('KMP_BLOCKTIME'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"import {module}\n"
        "show()\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join((str(root), str(root / "training")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": path, **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == told, done.stderr


@pytest.mark.parametrize(
    ("text", "cores", "usable"),
    [
        ("200000 100000\n", 16, 2),
        ("150000 100000\n", 16, 1),
        ("50000 100000\n", 16, 1),
        ("max 100000\n", 16, 16),
        ("3200000 100000\n", 4, 4),
        (None, 4, 4),
    ],
)
def test_no_more_threads_than_a_container_is_given(
    text: str | None, cores: int, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(threads, "_CGROUP", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert threads.usable_cores() == usable
