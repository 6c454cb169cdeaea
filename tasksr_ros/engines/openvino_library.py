"""OpenVINO without its telemetry, and one core of it: the only place that imports it.

`import openvino` and `convert_model` report to Google Analytics wherever the package
openvino_telemetry is installed, which it is beside openvino, and nobody is asked. A node in a
vehicle talks to nobody: where the import of that package fails, OpenVINO sends nothing.
"""

from __future__ import annotations

import functools
import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov  # noqa: E402

__all__ = ["openvino_core", "ov"]


@functools.cache
def openvino_core() -> ov.Core:
    """OpenVINO's core, one for the process and never let go.

    On processors with AMX each core gives signals a stack of its own, and takes it away when it is
    let go, even while a later one is there: the next Ctrl-C or SIGTERM then ends the process with
    a segmentation fault.
    """
    return ov.Core()
