"""The command ``tasksr_node``: looks out for signals before the slow imports."""

from __future__ import annotations

from typing import NoReturn

from tasksr_ros.ros.ending import Ending


def main() -> NoReturn:
    """Entry point of ``tasksr_node``."""
    ending = Ending()
    ending.watch()
    from tasksr_ros.ros.node import main as run

    run(ending=ending)


if __name__ == "__main__":
    main()
