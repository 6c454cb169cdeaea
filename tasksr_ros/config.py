"""The single home of every default.

The node declares its parameters, the launch file its arguments and the command line its options
from these fields (see options.py); nothing else states a default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Literal

from tasksr_ros.errors import ConfigError
from tasksr_ros.options import option

MODEL_SCORE_THRESHOLD = -1.0
"""``detection.score_threshold`` that stands for the bundle's own."""

SIZE_MULTIPLE = 32
"""Of SR px in a region's sides: the stride of the detector's coarsest features."""


@dataclass(frozen=True)
class RegionConfig:
    """Which pixels are distant."""

    mode: Literal["fixed", "distance", "full"] = option(
        "fixed",
        "fixed: the band between top and bottom; distance: the band in which people between "
        "min_distance and max_distance appear, from CameraInfo and the mounting; full: all",
    )
    top: float = option(0.40, "upper edge of the band, fraction of the height", low=0, high=1)
    bottom: float = option(0.60, "lower edge of the band, fraction of the height", low=0, high=1)
    left: float = option(0.0, "left edge of the band, fraction of the width", low=0, high=1)
    right: float = option(1.0, "right edge of the band, fraction of the width", low=0, high=1)
    min_distance: float = option(40.0, "nearest person to look for, m", low=1, high=1000)
    max_distance: float = option(150.0, "farthest person to look for, m", low=1, high=1000)
    person_height: float = option(1.7, "height of a person, m", low=0.5, high=2.5)
    camera_height: float = option(1.4, "height of the camera above the road, m", low=0.1, high=10)
    camera_pitch: float = option(
        0.0, "pitch of the optical axis below the horizon, degrees", low=-45, high=45
    )
    pitch_margin: float = option(
        0.4, "pitch motion of the vehicle to allow for, degrees each way", low=0, high=10
    )
    tile_overlap: int = option(
        32, "least overlap of neighbouring tiles, region px", low=0, high=1024
    )
    budget: int | Literal["auto"] = option(
        0,
        "most regions of a frame that are enlarged: where weak detections of the near pass or "
        "people of the frames before are, the others in turn; 0: the whole band in every frame; "
        "auto: as many as schedule.target_latency allows",
        low=0,
        high=1000,
    )
    revisit: float = option(
        2.0,
        "with a budget: time within which each part of the band is looked at again, s",
        low=0.05,
        high=60,
    )

    def __post_init__(self) -> None:
        """Check what single limits cannot."""
        for low, high in (("top", "bottom"), ("left", "right"), ("min_distance", "max_distance")):
            a, b = getattr(self, low), getattr(self, high)
            if a >= b:
                raise ConfigError(
                    f"region.{low} must be less than region.{high}, got {a:g} and {b:g}"
                )


@dataclass(frozen=True)
class DetectionConfig:
    """What becomes of the engine's boxes."""

    score_threshold: float = option(
        MODEL_SCORE_THRESHOLD, "least score of a detection; -1: the bundle's own", low=-1, high=1
    )
    nms_iou: float = option(
        0.5, "of two boxes that overlap more than this (IoU) the weaker is dropped", low=0, high=1
    )
    max_detections: int = option(300, "most detections per frame", low=1, high=10000)
    classes: tuple[str, ...] = option(
        ("",), "classes to report, by the bundle's names; one empty name: all"
    )
    class_thresholds: tuple[str, ...] = option(
        ("",),
        "score thresholds of classes that have one of their own, each name=value, for example "
        "bicycle=0.6; one empty text: none",
    )


@dataclass(frozen=True)
class DecodingConfig:
    """Which images are decoded."""

    max_pixels: int = option(
        40_000_000,
        "most px of a compressed image; a file that claims more is refused",
        low=1,
        high=2**28,
    )
    needed_rows_only: bool = option(
        False,
        "decode JPEG files no further down than the regions: quicker, but bytes lost on the way, "
        "which shift what follows them, go unnoticed",
    )
    significant_bits: int = option(
        0,
        "bits of samples of 16 (mono16, bayer_*16, PNG) that the camera uses, right-aligned, for "
        "example 12; 0: all 16",
        low=0,
        high=16,
    )
    assume_colours: bool = option(
        False,
        "take encodings that name no colours as OpenCV orders them: 8UC1 as mono8, 8UC3 as bgr8, "
        "8UC4 as bgra8, 16UC1 as mono16",
    )


@dataclass(frozen=True)
class DecodingOptions:
    """Decoding alone, under the names that it has elsewhere (``decoding.significant_bits``)."""

    decoding: DecodingConfig = field(default_factory=DecodingConfig)


@dataclass(frozen=True)
class EngineConfig:
    """How the networks run."""

    name: Literal["auto", "tensorrt", "torch", "openvino", "onnxruntime"] = option(
        "auto",
        "auto: tensorrt where torch_tensorrt works and there is a GPU, else torch on CUDA, else "
        "openvino on x86, else torch; with another's detector onnxruntime where it has a GPU, "
        "else openvino",
    )
    device: str = option("auto", "torch device, for example cuda:0; auto: CUDA if available")
    threads: int = option(
        0, "CPU threads of the engine; 0: all cores that it may use", low=0, high=1024
    )
    precision: Literal["fp32", "fp16", "bf16", "int8"] = option(
        "fp32",
        "fp32: exact; fp16: for GPUs (tensorrt, torch); bf16: half the time on CPUs with "
        "AVX512_BF16 or AMX, and on GPUs; int8: openvino only, needs calibration once",
    )
    providers: tuple[str, ...] = option(
        ("",),
        "onnxruntime: execution providers by falling preference, of TensorRT, CUDA, OpenVINO, "
        "CPU; one empty name: those that are installed",
    )
    region_width: int = option(
        0, "width of a region in region px; 0: the bundle's", low=0, high=8192
    )
    region_height: int = option(
        0, "height of a region in region px; 0: the bundle's", low=0, high=8192
    )
    hint: Literal["latency", "throughput"] = option(
        "latency",
        "openvino: latency: all threads on one region after the other; throughput: regions of a "
        "call side by side, for two or more regions or cameras",
    )
    calibration: str = option(
        "",
        "images, video or bag to make an int8 model with; empty: the one in the cache",
    )
    cache_dir: str = option("", "folder of compiled models; empty: the user's cache directory")
    on_mismatch: Literal["rebuild", "refuse"] = option(
        "rebuild",
        "tensorrt: of an engine that is missing, damaged, outdated or made for another GPU; "
        "rebuild: set it aside and build one, which takes minutes; refuse: end with an error",
    )
    max_batch: int = option(
        8,
        "on GPUs: the largest batch that is prepared, of 1, 2, 4, … regions; more regions are "
        "run in several batches",
        low=1,
        high=64,
    )
    cuda_graphs: bool = option(
        True, "on GPUs: record the kernels of a call once and launch them together"
    )
    compile: bool = option(
        False, "torch: compile the networks at each start (torch.compile), which takes minutes"
    )
    graph: Literal["auto", "reference", "lr_space"] = option(
        "auto",
        "tensorrt, torch: form of the super-resolution network; reference: as trained; lr_space: "
        "the same function without transposed convolutions; auto: lr_space, but reference for "
        "torch without compile",
    )


@dataclass(frozen=True)
class NearConfig:
    """The near pass: the whole image once through the detector, without super-resolution."""

    width: int = option(
        1280,
        "largest width of the image in the near pass, px; a larger image is reduced; 0: no near "
        "pass, people outside the distant region are not looked for",
        low=0,
        high=8192,
    )
    height: int = option(
        0, "largest height of it, px; 0: nine sixteenths of the width", low=0, high=8192
    )


@dataclass(frozen=True)
class EngineOptions:
    """The engine alone, under the names that it has elsewhere (``engine.precision``)."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    near: NearConfig = field(default_factory=NearConfig)


@dataclass(frozen=True)
class TrackingConfig:
    """How detections of successive frames become tracks."""

    enabled: bool = option(False, "give detections ids that last, and let weak ones go on tracks")
    weak_score: float = option(
        0.8,
        "least score of a detection that continues a track, as a share of the score threshold; "
        "1: none weaker than the threshold",
        low=0,
        high=1,
    )
    min_hits: int = option(2, "frames that confirm a track; it has no id before", low=1, high=100)
    max_gap: float = option(
        1.2, "time after which a track that is not seen ends, s", low=0.01, high=60
    )


@dataclass(frozen=True)
class RangeConfig:
    """How far people are; with the camera's intrinsics, region.camera_height and .camera_pitch."""

    enabled: bool = option(
        True, "state the distance of each detection where the camera's intrinsics are known"
    )
    person_height: float = option(
        1.7, "height of a person as the detector's box has it, m", low=0.5, high=2.5
    )
    height_spread: float = option(
        0.12, "standard deviation of that among people, m", low=0.01, high=1
    )
    pitch_spread: float = option(
        0.8,
        "standard deviation of the pitch against the road under a person, degrees: the vehicle's "
        "motion and the road's slope",
        low=0.01,
        high=10,
    )
    camera_height_spread: float = option(
        0.15,
        "standard deviation of region.camera_height above the ground under a person, m: kerbs, "
        "the road's camber, the vehicle's load",
        low=0,
        high=2,
    )
    estimate_pitch: bool = option(
        False, "follow the pitch by the feet and heights of tracked people"
    )


@dataclass(frozen=True)
class PaceConfig:
    """How long the work on a frame may take."""

    target_latency: float = option(
        0.1,
        "with region.budget auto: time from the beginning of the work on a frame to its "
        "detections that is kept to, s; at least one region is looked at, whatever that takes",
        low=0.001,
        high=60,
    )


@dataclass(frozen=True)
class VideoConfig:
    """What super-resolution of video looks back to."""

    max_age: float = option(
        1.0,
        "greatest age of a frame before that super-resolution of video looks at, s; what is older "
        "is not there, and a stamp that jumps back by more begins anew",
        low=0.01,
        high=60,
    )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that `Pipeline` needs beside the bundle."""

    region: RegionConfig = field(default_factory=RegionConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    near: NearConfig = field(default_factory=NearConfig)
    schedule: PaceConfig = field(default_factory=PaceConfig)
    range: RangeConfig = field(default_factory=RangeConfig)
    video: VideoConfig = field(default_factory=VideoConfig)


@dataclass(frozen=True)
class InputConfig:
    """Where a camera's images come from."""

    topic: str = option("", "image topic without transport; empty: image, or <camera>/image")
    info_topic: str = option(
        "",
        "CameraInfo topic; empty: camera_info (<camera>/camera_info) where that is remapped, else "
        "camera_info beside the image topic",
    )
    intrinsics: Literal["auto", "raw", "rectified"] = option(
        "auto",
        "of CameraInfo: raw: K and the distortion; rectified: P; auto: rectified where the image "
        "topic is named so (image_rect), else raw",
    )
    transport: Literal["raw", "compressed", "auto"] = option(
        "raw",
        "raw: sensor_msgs/Image on the topic; compressed: CompressedImage on <topic>/compressed; "
        "auto: whichever is published, raw before compressed",
    )
    rate_limit: float = option(
        0.0, "most frames per second to look at, Hz; 0: all", low=0, high=1000
    )
    reliability: Literal["best_effort", "reliable"] = option(
        "best_effort",
        "delivery asked for; reliable publishers serve both, best-effort ones only best_effort",
    )
    durability: Literal["volatile", "transient_local"] = option(
        "volatile",
        "transient_local: also ask for the image published before the node started",
    )
    depth: int = option(
        1,
        "images that the middleware keeps until they are taken; more than 1 adds age",
        low=1,
        high=100,
    )
    lazy: bool = option(
        False, "subscribe to images only while somebody listens to what is made of them"
    )


@dataclass(frozen=True)
class OutputConfig:
    """How detections and latency are published."""

    reliability: Literal["best_effort", "reliable"] = option(
        "reliable", "delivery offered for detections"
    )
    depth: int = option(10, "detections kept for slow subscribers", low=1, high=1000)
    class_id: Literal["number", "name"] = option(
        "number", "class_id of detections: the number that label_info names, or the name itself"
    )


@dataclass(frozen=True)
class ScheduleConfig(PaceConfig):
    """Which frames are worked on, and how long that may take."""

    max_age: float = option(
        2.0, "oldest age since it came at which work on a frame may begin, s", low=0.001, high=3600
    )
    batch: int = option(
        0,
        "most cameras' frames in one engine call; 0: all that wait where the engine runs regions "
        "together, else 1",
        low=0,
        high=64,
    )


@dataclass(frozen=True)
class StampConfig:
    """What becomes of frames with doubtful stamps. An accepted stamp is copied as it is."""

    zero: Literal["accept", "drop"] = option("accept", "frames with a stamp of zero")
    future: Literal["accept", "drop"] = option("accept", "frames with stamps later than ROS time")
    future_tolerance: float = option(
        0.5, "how much later than ROS time a stamp may be, s", low=0, high=3600
    )
    repeated: Literal["accept", "drop"] = option(
        "accept", "frames with the stamp of the frame before"
    )
    jump_back: float = option(
        1.0,
        "a stamp this much older than the newest begins a new course of time (a bag played again); "
        "less: the frame is out of order and dropped, s",
        low=0,
        high=3600,
    )


@dataclass(frozen=True)
class DebugConfig:
    """The picture of what was found."""

    image: bool = option(True, "publish debug_image while someone listens")
    rate_limit: float = option(0.0, "most debug images per second, Hz; 0: all", low=0, high=1000)


@dataclass(frozen=True)
class DiagnosticsConfig:
    """When the node warns. Ages and rates are of steady time, whatever the stamps."""

    period: float = option(1.0, "time between two reports, s", low=0.05, high=60)
    log_period: float = option(
        30.0,
        "time between two lines of each camera's rate and age in the log, s; 0: none",
        low=0,
        high=86400,
    )
    silent_warn: float = option(
        1.0, "WARN when no image came for this long, s", low=0.01, high=3600
    )
    silent_error: float = option(
        5.0, "ERROR when no image came for this long, s", low=0.01, high=3600
    )
    age_warn: float = option(
        1.0, "WARN when the p95 of a frame's age at publication reaches this, s", low=0, high=3600
    )
    age_error: float = option(
        5.0, "ERROR when the p95 of a frame's age at publication reaches this, s", low=0, high=3600
    )
    rejected_warn: float = option(
        0.0, "WARN when more than this share of a report's frames is rejected", low=0, high=1
    )
    rejected_error: float = option(
        0.5, "ERROR when more than this share of a report's frames is rejected", low=0, high=1
    )
    memory_warn: float = option(
        4000.0, "WARN when the node's memory reaches this, MB; 0: never", low=0, high=1e6
    )
    memory_error: float = option(
        8000.0, "ERROR when the node's memory reaches this, MB; 0: never", low=0, high=1e6
    )
    gpu_memory_warn: float = option(
        0.95, "WARN when more than this share of the GPU's memory is in use", low=0, high=1
    )
    gpu_memory_error: float = option(
        0.99, "ERROR when more than this share of the GPU's memory is in use", low=0, high=1
    )
    engine_timeout: float = option(
        0.0,
        "ERROR when a frame is in work for this long, s; what comes later is published all the "
        "same; 0: 10 s, or five times what regions and measured times let expect if that is more",
        low=0,
        high=3600,
    )

    def __post_init__(self) -> None:
        """Check what single limits cannot."""
        for name in ("silent", "age", "rejected", "memory", "gpu_memory"):
            warn, error = getattr(self, f"{name}_warn"), getattr(self, f"{name}_error")
            if warn > error and not (name == "memory" and error == 0):
                raise ConfigError(
                    f"diagnostics.{name}_warn must be at most diagnostics.{name}_error, "
                    f"got {warn:g} and {error:g}"
                )


@dataclass(frozen=True)
class NodeConfig(PipelineConfig):
    """Everything that the ROS 2 node needs.

    A camera may have its own values of some groups (see parameters.py), under its name:
    ``front.region.top``.
    """

    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    bundle: str = option("picodet-s-x2", "name of a shipped bundle or path of a bundle folder")
    cameras: tuple[str, ...] = option(
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
    autostart: bool = option(True, "configure and activate on start")

    def __post_init__(self) -> None:
        """Check the cameras' names, of which topics and parameters are made."""
        cameras = self.cameras
        if not cameras:
            raise ConfigError("cameras must name at least one camera")
        reserved = {f.name for f in fields(self)}
        for name in cameras:
            if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", name):
                raise ConfigError(
                    f"cameras must be names as ROS topics have them (letters, digits, _, not "
                    f"beginning with a digit), got {name!r}"
                )
            if name in reserved:
                raise ConfigError(f"cameras must not have the name of a parameter, got {name!r}")
        if len(set(cameras)) < len(cameras):
            raise ConfigError(f"cameras must be distinct names, got {', '.join(cameras)}")


@dataclass(frozen=True)
class EvaluationConfig:
    """What `tasksr evaluate` measures."""

    protocol: Literal["caltech", "citypersons", "ecp", "kitti", "far"] = option(
        "far",
        "whose rules say who counts; far: this project's, everyone, at IoU .3",
    )
    category: str = option(
        "pedestrian",
        "class that is evaluated, by its name in the ground truth; pedestrian and person are one",
    )
    iou: float = option(0.0, "least IoU of a match; 0: the protocol's own", low=0, high=1)
    fppi: float = option(
        0.1, "false positives per image at which recall and range are given", low=0, high=1000
    )
    recall: float = option(0.5, "share of people found up to the range", low=0.001, high=1)
    confidence: float = option(0.95, "of the intervals", low=0.5, high=0.999)
    samples: int = option(
        1000, "image sets drawn for the intervals; 0: no intervals", low=0, high=100000
    )
    seed: int = option(0, "of the drawing", low=0, high=2**31)
    frame_rate: float = option(
        0.0, "images per second, where they have no stamp_ns; 0: unknown", low=0, high=10000
    )


@dataclass(frozen=True)
class ReplayConfig:
    """Which frames of a recording are replayed, how, and how they meet their ground truth."""

    intrinsics: Literal["auto", "raw", "rectified"] = option(
        "auto",
        "of CameraInfo and calibration files: raw: K and the distortion; rectified: P; auto: "
        "rectified where the image topic, or the recording, is named so (image_rect), else raw",
    )
    every: int = option(1, "of each camera, replay every n-th frame", low=1, high=1000000)
    start: float = option(0.0, "leave out the recording's first seconds", low=0, high=1e9)
    duration: float = option(0.0, "replay this many seconds; 0: to the end", low=0, high=1e9)
    tolerance: float = option(
        2.0, "most that a frame's stamp and its ground truth's may differ, ms", low=0, high=1000
    )
    least_score: float = option(
        0.005,
        "least score in the predictions file, since curves need more than the model's threshold "
        "lets through; -1: that; not used with detection.score_threshold or tracking",
        low=-1,
        high=1,
    )
    wait: bool = option(
        False,
        "live: publish a frame only once the one before is answered, so that the node drops none",
    )
    workers: int = option(1, "recordings of a folder to replay at the same time", low=1, high=1024)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
