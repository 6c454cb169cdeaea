"""OpenVINO without its telemetry: the only place that imports it.

`import openvino` and `convert_model` report to Google Analytics wherever the package
openvino_telemetry is installed, which it is beside openvino, and nobody is asked. A node in a
vehicle talks to nobody: where the import of that package fails, OpenVINO sends nothing.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov  # noqa: E402

__all__ = ["ov"]
