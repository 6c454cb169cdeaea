"""The single home of every default.

The node declares its parameters, the launch file its arguments and the command line its options
from these fields; nothing else states a default. A field's full name is its path, for example
``region.top``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar, get_origin, get_type_hints

from tasksr_ros.errors import ConfigError

Value: TypeAlias = bool | int | float | str | tuple[str, ...]
ConfigT = TypeVar("ConfigT")

MODEL_SCORE_THRESHOLD = -1.0
"""``detection.score_threshold`` that stands for the bundle's own."""

SIZE_MULTIPLE = 32
"""Of SR px in a region's sides: the stride of the detector's coarsest features."""


@dataclass(frozen=True)
class Option:
    """What is known of one field beside its default: the metadata of a dataclass field."""

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def _option(
    default: Value,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    return field(default=default, metadata={"option": Option(description, low, high, choices)})


@dataclass(frozen=True)
class RegionConfig:
    """Which pixels are distant."""

    mode: Literal["fixed", "distance", "full"] = _option(
        "fixed",
        "fixed: the band between top and bottom; distance: the band in which people between "
        "min_distance and max_distance appear, from CameraInfo and the mounting; full: all",
        choices=("fixed", "distance", "full"),
    )
    top: float = _option(0.40, "upper edge of the band, fraction of the height", low=0, high=1)
    bottom: float = _option(0.60, "lower edge of the band, fraction of the height", low=0, high=1)
    left: float = _option(0.0, "left edge of the band, fraction of the width", low=0, high=1)
    right: float = _option(1.0, "right edge of the band, fraction of the width", low=0, high=1)
    min_distance: float = _option(40.0, "nearest person to look for, m", low=1, high=1000)
    max_distance: float = _option(150.0, "farthest person to look for, m", low=1, high=1000)
    person_height: float = _option(1.7, "height of a person, m", low=0.5, high=2.5)
    camera_height: float = _option(1.4, "height of the camera above the road, m", low=0.1, high=10)
    camera_pitch: float = _option(
        0.0, "pitch of the optical axis below the horizon, degrees", low=-45, high=45
    )
    pitch_margin: float = _option(
        0.4, "pitch motion of the vehicle to allow for, degrees each way", low=0, high=10
    )
    tile_overlap: int = _option(
        32, "least overlap of neighbouring tiles, region px", low=0, high=1024
    )
    full_frame: bool = _option(
        False, "also look at the whole image, reduced to one tile, for near people"
    )


@dataclass(frozen=True)
class DetectionConfig:
    """What becomes of the engine's boxes."""

    score_threshold: float = _option(
        MODEL_SCORE_THRESHOLD, "least score of a detection; -1: the bundle's own", low=-1, high=1
    )
    nms_iou: float = _option(
        0.5, "of two boxes that overlap more than this (IoU) the weaker is dropped", low=0, high=1
    )
    max_detections: int = _option(300, "most detections per frame", low=1, high=10000)


@dataclass(frozen=True)
class DecodingConfig:
    """Which images are decoded."""

    max_pixels: int = _option(
        40_000_000,
        "most px of a compressed image; a file that claims more is refused",
        low=1,
        high=2**28,
    )
    needed_rows_only: bool = _option(
        False,
        "decode JPEG files no further down than the regions: quicker, but bytes lost on the way, "
        "which shift what follows them, go unnoticed",
    )


@dataclass(frozen=True)
class EngineConfig:
    """How the networks run."""

    name: Literal["auto", "torch", "openvino"] = _option(
        "auto",
        "auto: torch where CUDA is available, else openvino on x86, else torch",
        choices=("auto", "torch", "openvino"),
    )
    device: str = _option("auto", "torch device, for example cuda:0; auto: CUDA if available")
    threads: int = _option(0, "CPU threads of the engine; 0: all cores", low=0, high=1024)
    precision: Literal["fp32", "bf16", "int8"] = _option(
        "fp32",
        "fp32: exact; bf16: half the time on CPUs with AVX512_BF16 or AMX, and on GPUs; int8: "
        "openvino only, needs calibration once",
        choices=("fp32", "bf16", "int8"),
    )
    hint: Literal["latency", "throughput"] = _option(
        "latency",
        "openvino: latency: all threads on one region after the other; throughput: regions of a "
        "call side by side, for two or more regions or cameras",
        choices=("latency", "throughput"),
    )
    calibration: str = _option(
        "",
        "images, video or bag to make an int8 model with; empty: the one in the cache",
    )
    cache_dir: str = _option("", "folder of compiled models; empty: the user's cache directory")


@dataclass(frozen=True)
class TrackingConfig:
    """How detections of successive frames become tracks."""

    enabled: bool = _option(False, "give detections ids that last, and let weak ones go on tracks")
    weak_score: float = _option(
        0.8,
        "least score of a detection that continues a track, as a share of the score threshold; "
        "1: none weaker than the threshold",
        low=0,
        high=1,
    )
    min_hits: int = _option(2, "frames that confirm a track; it has no id before", low=1, high=100)
    max_gap: float = _option(
        1.2, "time after which a track that is not seen ends, s", low=0.01, high=60
    )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that `Pipeline` needs beside the bundle."""

    region: RegionConfig = field(default_factory=RegionConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True)
class InputConfig:
    """Where a camera's images come from."""

    topic: str = _option("", "image topic without transport; empty: image, or <camera>/image")
    info_topic: str = _option("", "CameraInfo topic; empty: camera_info, or <camera>/camera_info")
    transport: Literal["raw", "compressed", "auto"] = _option(
        "raw",
        "raw: sensor_msgs/Image on the topic; compressed: CompressedImage on <topic>/compressed; "
        "auto: whichever is published, raw before compressed",
        choices=("raw", "compressed", "auto"),
    )
    rate_limit: float = _option(
        0.0, "most frames per second to look at, Hz; 0: all", low=0, high=1000
    )
    reliability: Literal["best_effort", "reliable"] = _option(
        "best_effort",
        "delivery asked for; reliable publishers serve both, best-effort ones only best_effort",
        choices=("best_effort", "reliable"),
    )
    durability: Literal["volatile", "transient_local"] = _option(
        "volatile",
        "transient_local: also ask for the image published before the node started",
        choices=("volatile", "transient_local"),
    )
    depth: int = _option(
        1,
        "images that the middleware keeps until they are taken; more than 1 adds age",
        low=1,
        high=100,
    )


@dataclass(frozen=True)
class OutputConfig:
    """How detections and latency are published."""

    reliability: Literal["best_effort", "reliable"] = _option(
        "reliable", "delivery offered for detections", choices=("best_effort", "reliable")
    )
    depth: int = _option(10, "detections kept for slow subscribers", low=1, high=1000)


@dataclass(frozen=True)
class ScheduleConfig:
    """Which frames are worked on."""

    max_age: float = _option(
        2.0, "oldest age since it came at which work on a frame may begin, s", low=0.001, high=3600
    )
    batch: int = _option(
        0,
        "most cameras' frames in one engine call; 0: all that wait where the engine runs regions "
        "together, else 1",
        low=0,
        high=64,
    )


@dataclass(frozen=True)
class StampConfig:
    """What becomes of frames with doubtful stamps. An accepted stamp is copied as it is."""

    zero: Literal["accept", "drop"] = _option(
        "accept", "frames with a stamp of zero", choices=("accept", "drop")
    )
    future: Literal["accept", "drop"] = _option(
        "accept", "frames with stamps later than ROS time", choices=("accept", "drop")
    )
    future_tolerance: float = _option(
        0.5, "how much later than ROS time a stamp may be, s", low=0, high=3600
    )
    repeated: Literal["accept", "drop"] = _option(
        "accept", "frames with the stamp of the frame before", choices=("accept", "drop")
    )
    jump_back: float = _option(
        1.0,
        "a stamp this much older than the newest begins a new course of time (a bag played again); "
        "less: the frame is out of order and dropped, s",
        low=0,
        high=3600,
    )


@dataclass(frozen=True)
class DebugConfig:
    """The picture of what was found."""

    image: bool = _option(True, "publish debug_image while someone listens")
    rate_limit: float = _option(0.0, "most debug images per second, Hz; 0: all", low=0, high=1000)


@dataclass(frozen=True)
class DiagnosticsConfig:
    """When the node warns. Ages and rates are of steady time, whatever the stamps."""

    period: float = _option(1.0, "time between two reports, s", low=0.05, high=60)
    silent_warn: float = _option(
        1.0, "WARN when no image came for this long, s", low=0.01, high=3600
    )
    silent_error: float = _option(
        5.0, "ERROR when no image came for this long, s", low=0.01, high=3600
    )
    age_warn: float = _option(
        1.0, "WARN when the p95 of a frame's age at publication reaches this, s", low=0, high=3600
    )
    age_error: float = _option(
        5.0, "ERROR when the p95 of a frame's age at publication reaches this, s", low=0, high=3600
    )
    rejected_warn: float = _option(
        0.0, "WARN when more than this share of a report's frames is rejected", low=0, high=1
    )
    rejected_error: float = _option(
        0.5, "ERROR when more than this share of a report's frames is rejected", low=0, high=1
    )
    memory_warn: float = _option(
        4000.0, "WARN when the node's memory reaches this, MB; 0: never", low=0, high=1e6
    )
    memory_error: float = _option(
        8000.0, "ERROR when the node's memory reaches this, MB; 0: never", low=0, high=1e6
    )
    engine_timeout: float = _option(
        10.0, "ERROR and no new frames when a frame is in work for this long, s", low=0.1, high=3600
    )


@dataclass(frozen=True)
class NodeConfig(PipelineConfig):
    """Everything that the ROS 2 node needs.

    A camera may have its own values of some groups (see parameters.py), under its name:
    ``front.region.top``.
    """

    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    bundle: str = _option("tdsr-ss-x4", "name of a shipped bundle or path of a bundle folder")
    cameras: tuple[str, ...] = _option(
        ("",),
        "cameras by name; each adds its name before its topics (front: front/image, "
        "front/detections); one empty name: a single camera on image and detections",
    )
    input: InputConfig = field(default_factory=InputConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    stamps: StampConfig = field(default_factory=StampConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    autostart: bool = _option(True, "configure and activate on start")


@dataclass(frozen=True)
class EvaluationConfig:
    """What `tasksr evaluate` measures."""

    protocol: Literal["caltech", "citypersons", "ecp", "kitti", "far"] = _option(
        "far",
        "whose rules say who counts; far: this project's, everyone, at IoU .3",
        choices=("caltech", "citypersons", "ecp", "kitti", "far"),
    )
    iou: float = _option(0.0, "least IoU of a match; 0: the protocol's own", low=0, high=1)
    fppi: float = _option(
        0.1, "false positives per image at which recall and range are given", low=0, high=1000
    )
    recall: float = _option(0.5, "share of people found up to the range", low=0.001, high=1)
    confidence: float = _option(0.95, "of the intervals", low=0.5, high=0.999)
    samples: int = _option(
        1000, "image sets drawn for the intervals; 0: no intervals", low=0, high=100000
    )
    seed: int = _option(0, "of the drawing", low=0, high=2**31)
    frame_rate: float = _option(
        0.0, "images per second, where they have no stamp_ns; 0: unknown", low=0, high=10000
    )


@dataclass(frozen=True)
class ReplayConfig:
    """Which frames of a recording are replayed, and how they meet their ground truth."""

    every: int = _option(1, "of each camera, replay every n-th frame", low=1, high=1000000)
    start: float = _option(0.0, "leave out the recording's first seconds", low=0, high=1e9)
    duration: float = _option(0.0, "replay this many seconds; 0: to the end", low=0, high=1e9)
    tolerance: float = _option(
        2.0, "most that a frame's stamp and its ground truth's may differ, ms", low=0, high=1000
    )
    least_score: float = _option(
        0.05,
        "least score in the predictions file, since curves need more than the model's threshold "
        "lets through; -1: that; not used with detection.score_threshold or tracking",
        low=-1,
        high=1,
    )
    workers: int = _option(1, "recordings of a folder to replay at the same time", low=1, high=1024)


def walk(config_type: type, prefix: str = "") -> Iterator[tuple[str, type, Value, Option]]:
    """Yield (full name, type, default, option) of every leaf field, in the order written."""
    types = get_type_hints(config_type)
    for f in fields(config_type):
        if is_dataclass(types[f.name]):
            yield from walk(types[f.name], f"{prefix}{f.name}.")
        else:
            default: Any = f.default
            yield f"{prefix}{f.name}", types[f.name], default, f.metadata["option"]


def build(config_type: type[ConfigT], values: Mapping[str, object]) -> ConfigT:
    """Build a config from full names and values; what is not named keeps its default.

    Raises:
        ConfigError: for an unknown name (the nearest known one is named), a value of another
            type or out of range, or values that contradict each other.
    """
    checked = {name: check_value(config_type, name, value) for name, value in values.items()}
    config = _assemble(config_type, checked, "")
    if isinstance(config, PipelineConfig):
        _check_region(config.region)
    if isinstance(config, NodeConfig):
        _check_cameras(config.cameras)
        _check_thresholds(config.diagnostics)
    return config


def check_value(config_type: type, name: str, value: object) -> Value:
    """The value of one field by its full name, converted to the field's type.

    Raises:
        ConfigError: for an unknown name, or a value of another type or out of range.
    """
    known = _known(config_type)
    if name not in known:
        raise ConfigError(_unknown(name, known))
    return _checked(name, value, *known[name])


@cache
def _known(config_type: type) -> dict[str, tuple[type, Option]]:
    """Types and options by full name; type hints take long to evaluate."""
    return {name: (type_, option) for name, type_, _, option in walk(config_type)}


def flatten(config: object, prefix: str = "") -> dict[str, Value]:
    """Full names and values of a config: the inverse of `build`."""
    flat: dict[str, Value] = {}
    for f in fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        if is_dataclass(value):
            flat.update(flatten(value, f"{prefix}{f.name}."))
        else:
            flat[f"{prefix}{f.name}"] = value
    return flat


def _assemble(config_type: type[ConfigT], values: Mapping[str, Value], prefix: str) -> ConfigT:
    types = get_type_hints(config_type)
    arguments: dict[str, Any] = {}
    for f in fields(config_type):  # type: ignore[arg-type]
        name = f"{prefix}{f.name}"
        if is_dataclass(types[f.name]):
            arguments[f.name] = _assemble(types[f.name], values, f"{name}.")
        elif name in values:
            arguments[f.name] = values[name]
    return config_type(**arguments)


def _unknown(name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"
    return f"unknown parameter {name!r}{hint}"


def _checked(name: str, value: object, type_: Any, option: Option) -> Value:
    if get_origin(type_) is tuple:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name} must be a list of strings, got {value!r}")
        if not all(isinstance(v, str) for v in value):
            raise ConfigError(f"{name} must be a list of strings, got {list(value)!r}")
        return tuple(value)
    wanted = str if get_origin(type_) is Literal else type_
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(f"{name} must be of type {wanted.__name__}, got {value!r}")
    if option.choices and value not in option.choices:
        raise ConfigError(f"{name} must be one of {', '.join(option.choices)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be finite, got {value}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if option.low is not None and value < option.low:
            raise ConfigError(f"{name} must be at least {option.low:g}, got {value:g}")
        if option.high is not None and value > option.high:
            raise ConfigError(f"{name} must be at most {option.high:g}, got {value:g}")
    return value


def _check_region(region: RegionConfig) -> None:
    for low, high in (("top", "bottom"), ("left", "right"), ("min_distance", "max_distance")):
        a, b = getattr(region, low), getattr(region, high)
        if a >= b:
            raise ConfigError(f"region.{low} must be less than region.{high}, got {a:g} and {b:g}")


def _check_cameras(cameras: tuple[str, ...]) -> None:
    if not cameras:
        raise ConfigError("cameras must name at least one camera")
    for name in cameras:
        if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", name):
            raise ConfigError(
                f"cameras must be names as ROS topics have them (letters, digits, _, not "
                f"beginning with a digit), got {name!r}"
            )
    reserved = {f.name for f in fields(NodeConfig)}
    for name in cameras:
        if name in reserved:
            raise ConfigError(f"cameras must not have the name of a parameter, got {name!r}")
    if len(set(cameras)) < len(cameras):
        raise ConfigError(f"cameras must be distinct names, got {', '.join(cameras)}")


def _check_thresholds(diagnostics: DiagnosticsConfig) -> None:
    for name in ("silent", "age", "rejected"):
        warn, error = getattr(diagnostics, f"{name}_warn"), getattr(diagnostics, f"{name}_error")
        if warn > error:
            raise ConfigError(
                f"diagnostics.{name}_warn must be at most diagnostics.{name}_error, "
                f"got {warn:g} and {error:g}"
            )
