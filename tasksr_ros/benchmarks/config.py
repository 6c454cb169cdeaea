"""What each installed benchmark measures: the single home of their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tasksr_ros.config import EngineConfig, NodeConfig, RegionConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import Value, option

Transport = Literal["compressed", "raw", "compressed, needed rows"]
TRANSPORTS: dict[Transport, dict[str, Value]] = {
    "compressed": {"input.transport": "compressed"},
    "raw": {"input.transport": "raw"},
    "compressed, needed rows": {
        "input.transport": "compressed",
        "decoding.needed_rows_only": True,
    },
}
"""The node's parameters for each."""

BUNDLE = NodeConfig().bundle


@dataclass(frozen=True)
class EnginesConfig:
    """Super-resolution and detector: every engine, batches, sizes.

    The first network, scale factor and region are measured with every batch, and each other
    network, scale factor and region with one region per call.
    """

    networks: tuple[str, ...] = option(("dbpn-ss", "dbpn-s"), "DBPN variants, random weights")
    scale_factors: tuple[int, ...] = option((4, 2), "2, 4 or 8", low=2, high=8)
    regions: tuple[str, ...] = option(
        ("320x96", "160x96", "320x192", "640x192"), "WIDTHxHEIGHT of a region, px"
    )
    batches: tuple[int, ...] = option((1, 2, 4, 8), "regions of one call", low=1)
    engines: tuple[str, ...] = option((), "only these, by the names in the table; none: all")
    threads: tuple[int, ...] = option((2,), "CPU threads, one run for each number", low=1)
    rounds: int = option(11, "timed calls of each engine", low=1)
    warm_up: int = option(2, "untimed calls of each engine before", low=0)
    calibration: str = option("", "images, video or bag for int8; none: no int8")


@dataclass(frozen=True)
class PipelineBenchmarkConfig:
    """Whole frames, raw and JPEG, against the engine alone; one and more cameras."""

    bundle: str = option(BUNDLE, "model")
    sizes: tuple[str, ...] = option(
        ("1920x1080", "1280x720", "3840x2160"), "WIDTHxHEIGHT of the image, px"
    )
    cameras: tuple[int, ...] = option(
        (1, 2, 4, 8), "cameras of one engine call, at the first size", low=1
    )
    engine: EngineConfig = field(default_factory=EngineConfig)
    quality: int = option(90, "of the JPEG files", low=1, high=100)
    rounds: int = option(21, "timed frames of each", low=1)
    warm_up: int = option(3, "untimed frames of each before", low=0)


@dataclass(frozen=True)
class NodeBenchmarkConfig:
    """The node, a process of its own, over topics: age, processor time, memory, start."""

    bundle: str = option(BUNDLE, "model")
    size: str = option("1920x1080", "WIDTHxHEIGHT of the image, px")
    transports: tuple[Transport, ...] = option(
        ("compressed", "raw"), "of the images; needed rows: decoding.needed_rows_only"
    )
    rate: float = option(30.0, "of the camera at full load, Hz", low=1)
    frames: int = option(1800, "to send at full load; 20000 for the record of memory", low=1)
    idle_rate: float = option(
        10.0, "of the camera where the node's own cost is measured, Hz", low=1
    )
    idle_frames: int = option(300, "to send there", low=1)
    region: RegionConfig = field(default_factory=RegionConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    quality: int = option(90, "of the JPEG files", low=1, high=100)


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of "WIDTHxHEIGHT".

    Raises:
        ConfigError: for another text.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(f"a size must be WIDTHxHEIGHT in px, for example 320x96, got {text!r}")
    return int(width), int(height)
