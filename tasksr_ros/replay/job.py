"""What is to be replayed, how, and where the results go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasksr_ros.config import ReplayConfig
from tasksr_ros.options import Value


@dataclass(frozen=True)
class Live:
    """How a live replay finds the node.

    Attributes:
        node: its name, or its full name where several run.
        listen: whether another player publishes the recording.
    """

    node: str = "tasksr"
    listen: bool = False


@dataclass(frozen=True)
class Job:
    """What to replay, how, and where the results go.

    Attributes:
        input: bag, video, folder or image.
        predictions: the predictions file; what belongs to it lies beside it.
        bundle: name of a shipped bundle, or a folder.
        region: "far" (by distance where the camera is calibrated, else the fixed band), "full",
            or a YAML file of region parameters.
        values: parameters of the pipeline by full name; they overrule the region.
        config: which frames.
        topics: of a bag's images; may be empty where it has one.
        ground_truth: COCO file, or a topic of the bag for each camera, in their order.
        calibration: file with the cameras' intrinsics, instead of the recording's own.
        bag: folder to write a bag with the detections to.
        video: file to write an annotated video to.
        sheet: file to write a contact sheet of annotated frames to.
        restart: discard what an earlier run has left.
        live: replay through the running node instead; None: offline.
        command: as typed, for the report.
    """

    input: Path
    predictions: Path
    bundle: str
    region: str = "far"
    values: Mapping[str, Value] = field(default_factory=dict)
    config: ReplayConfig = field(default_factory=ReplayConfig)
    topics: tuple[str, ...] = ()
    ground_truth: tuple[str, ...] = ()
    calibration: Path | None = None
    bag: Path | None = None
    video: Path | None = None
    sheet: Path | None = None
    restart: bool = False
    live: Live | None = None
    command: str = ""
