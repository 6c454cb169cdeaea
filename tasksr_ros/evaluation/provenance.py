"""Where figures come from: the code and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def commit() -> str | None:
    """Of the checkout that the code runs from; None where it is installed."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--match=-"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def machine() -> str:
    """Processor, number of cores and NVIDIA GPUs of this machine."""
    cpu = _stated(Path("/proc/cpuinfo"), "model name") or platform.processor()
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    names = [_stated(gpu, "Model") for gpu in gpus]
    return ", ".join([cpu or platform.machine(), f"{os.cpu_count()} cores", *filter(None, names)])


def _stated(file: Path, key: str) -> str:
    """The value of the first line "key : value", "" where there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((x.partition(":")[2].strip() for x in lines if x.startswith(key)), "")
