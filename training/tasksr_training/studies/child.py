"""`tasksr-train` as the study starts it: it ends when the study does, however that ends.

The study keeps the writing end of the pipe that is this process's standard input. When the study
is killed, even by SIGKILL, the pipe closes. The run then loses what it learnt since its last
checkpoint, but it does not go on beside the same run of the next study.
"""

from __future__ import annotations

import os
import sys
import threading

from tasksr_training.cli import main

ORPHANED = 70


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
