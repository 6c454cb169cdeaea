"""A tasksr node in a process of its own, for as long as images are sent to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

END_S = 20.0
"""To wait for the node to end before it is killed."""


@contextmanager
def node_process(
    namespace: str, parameters: Mapping[str, object], module: str = "tasksr_ros.ros.process"
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the node; it is ended at the end.

    Args:
        namespace: of the node.
        parameters: by full name; JSON values.
        module: whose ``main`` it is.
    """
    command = [sys.executable, "-m", module, "--ros-args", "-r", f"__ns:={namespace}"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]
    # ROS 2 from wheels marks that Python found its libraries; the child looks for itself.
    environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    # Ctrl-C goes to this process alone, which then ends the node.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
