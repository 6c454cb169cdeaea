"""For all tests: what the packages log reaches caplog, whatever logger class is set.

ROS 2's launch sets one whose loggers do not propagate, and where it is installed its pytest
plugins load it before anything else.
"""

from __future__ import annotations

import logging

import pytest

PACKAGES = ("tasksr_ros", "tasksr_training")

logging.setLoggerClass(logging.Logger)


@pytest.fixture
def caplog(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Pytest's own, for loggers that were made before the test as well."""
    logging.setLoggerClass(logging.Logger)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith(PACKAGES) and isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "propagate", True)
    return caplog
