"""What each benchmark measures: the single home of their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import ConfigError

FORMS: tuple[str, ...] = (
    "torch reference",
    "torch reference, channels last",
    "torch reference, compiled",
    "torch LR space",
    "torch LR space, channels last",
    "torch LR space, compiled",
    "openvino reference",
    "openvino LR space",
    "openvino LR space, bf16",
    "openvino LR space, int8",
)
"""Of `benchmarks.networks`, in the order of the steps; the others are compared with the first."""

TRANSPORTS: dict[str, dict[str, Any]] = {
    "compressed": {"input.transport": "compressed"},
    "raw": {"input.transport": "raw"},
    "compressed, needed rows": {
        "input.transport": "compressed",
        "decoding.needed_rows_only": True,
    },
}
"""Of `benchmarks.node`: the node's parameters for each."""

BUNDLE = NodeConfig().bundle


def _option(default: Any, description: str) -> Any:
    """A field that is an option of the command."""
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True)
class _Counts:
    """A benchmark's numbers are 1 or more; threads (all cores) and warm-up may be 0."""

    def __post_init__(self) -> None:
        """Check them."""
        for f in fields(self):
            value = getattr(self, f.name)
            numbers = value if isinstance(value, tuple) else (value,)
            low = 0 if f.name == "warm_up" or (f.name == "threads" and value == 0) else 1
            for number in numbers:
                if isinstance(number, (int, float)) and number < low:
                    raise ConfigError(f"{f.name} must be at least {low}, got {number:g}")


@dataclass(frozen=True)
class NetworksConfig(_Counts):
    """What `benchmarks.networks` measures.

    Attributes:
        networks: names that `networks.build_sr` knows, with random weights.
        scale_factor: 2, 4 or 8.
        region_hw: height and width of the LR region, px.
        threads: CPU threads, one run for each number.
        rounds: timed runs of each form.
        warm_up: untimed runs of each form before.
        forms: of ``FORMS``; the first is always run, for the ratios.
        weights: a bundle, also of super-resolution alone, whose network is measured instead of
            ``networks``.
        calibration: images, video or bag for int8; empty: no int8.
        images: folder of HR images for PSNR-Y, with ``weights``; empty: none.
    """

    networks: tuple[str, ...] = ("dbpn-ss",)
    scale_factor: int = 4
    region_hw: tuple[int, int] = (96, 320)
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 11
    warm_up: int = 2
    forms: tuple[str, ...] = FORMS
    weights: str = ""
    calibration: str = ""
    images: str = ""


@dataclass(frozen=True)
class EnginesConfig(_Counts):
    """What `benchmarks.engines` measures.

    The first network, scale factor and region are measured with every batch, and each other
    network, scale factor and region with one region per call.
    """

    networks: tuple[str, ...] = _option(("dbpn-ss", "dbpn-s"), "DBPN variants, random weights")
    scale_factors: tuple[int, ...] = _option((4, 2), "2, 4 or 8")
    regions: tuple[str, ...] = _option(
        ("320x96", "160x96", "320x192", "640x192"), "WIDTHxHEIGHT of a region, px"
    )
    batches: tuple[int, ...] = _option((1, 2, 4, 8), "regions of one call")
    engines: tuple[str, ...] = _option((), "only these, by the names in the table; none: all")
    threads: tuple[int, ...] = _option((2,), "CPU threads, one run for each number")
    rounds: int = _option(11, "timed calls of each engine")
    warm_up: int = _option(2, "untimed calls of each engine before")
    calibration: str = _option("", "images, video or bag for int8; none: no int8")


@dataclass(frozen=True)
class PipelineBenchmarkConfig(_Counts):
    """What `benchmarks.pipeline` measures: the default engine, one region per frame."""

    bundle: str = _option(BUNDLE, "model")
    sizes: tuple[str, ...] = _option(
        ("1920x1080", "1280x720", "3840x2160"), "WIDTHxHEIGHT of the image, px"
    )
    cameras: tuple[int, ...] = _option(
        (1, 2, 4, 8), "cameras of one engine call, at the first size"
    )
    precision: str = _option("fp32", "of the engine: fp32 or bf16")
    threads: int = _option(0, "CPU threads of the engine; 0: all cores")
    hint: str = _option("latency", "of the engine: latency or throughput")
    quality: int = _option(90, "of the JPEG files")
    rounds: int = _option(21, "timed frames of each")
    warm_up: int = _option(3, "untimed frames of each before")


@dataclass(frozen=True)
class NodeBenchmarkConfig(_Counts):
    """What `benchmarks.node` measures: the real node as a process, fed over topics."""

    bundle: str = _option(BUNDLE, "model")
    size: str = _option("1920x1080", "WIDTHxHEIGHT of the image, px")
    transports: tuple[str, ...] = _option(
        ("compressed", "raw"),
        "of the images: compressed, raw or 'compressed, needed rows' (decoding.needed_rows_only)",
    )
    rate: float = _option(30.0, "of the camera at full load, Hz")
    frames: int = _option(1800, "to send at full load; 20000 for the record of memory")
    idle_rate: float = _option(10.0, "of the camera where the node's own cost is measured, Hz")
    idle_frames: int = _option(300, "to send there")
    precision: str = _option("fp32", "of the engine: fp32 or bf16")
    threads: int = _option(0, "CPU threads of the engine; 0: all cores")
    quality: int = _option(90, "of the JPEG files")

    def __post_init__(self) -> None:
        super().__post_init__()
        for unknown in set(self.transports) - set(TRANSPORTS):
            raise ConfigError(f"transports must be of {'; '.join(TRANSPORTS)}; got {unknown!r}")


@dataclass(frozen=True)
class SlicedConfig(_Counts):
    """What `benchmarks.sliced` compares: this package's pipeline and sliced inference."""

    bundle: str = _option(BUNDLE, "model")
    size: str = _option("1920x1080", "WIDTHxHEIGHT of the generated drives' images, px")
    drives: int = _option(4, "generated drives")
    frames: int = _option(2, "of each drive, seconds apart")
    height: float = _option(24.0, "people lower than this count for recall, px")
    threads: int = _option(0, "CPU threads of the engine; 0: all cores")


@dataclass(frozen=True)
class PredictConfig(_Counts):
    """What `benchmarks.predict` estimates."""

    devices: tuple[str, ...] = _option(("cpu",), "cpu: this machine, checked by measuring")
    networks: tuple[str, ...] = _option(("dbpn-ss", "dbpn-s"), "DBPN variants")
    scale_factors: tuple[int, ...] = _option((4, 2), "2, 4 or 8")
    regions: tuple[str, ...] = _option(("320x96", "640x192"), "WIDTHxHEIGHT of a region, px")
    batches: tuple[int, ...] = _option((1, 4, 8), "regions of one call")
    rounds: int = _option(9, "timed calls of each, on the CPU")


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of "WIDTHxHEIGHT".

    Raises:
        ConfigError: for another text.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(f"a size must be WIDTHxHEIGHT in px, for example 320x96, got {text!r}")
    return int(width), int(height)
