"""All defaults of `tasksr-train adapt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig


@dataclass(frozen=True)
class FrameConfig:
    """Which frames of the recordings are kept.

    Attributes:
        candidates: frames of each recording that the detector looks at, spaced in time.
        most: frames to train on, of all recordings together.
        held_out: frames to measure on, likewise, of the last fifth of each recording's time.
        background_fraction: share of both for frames without people, those in which the detector
            is nearest to seeing some.
        least_score: a detection of at least this is a person for the choice of frames and crops.
    """

    candidates: int = 500
    most: int = 150
    held_out: int = 60
    background_fraction: float = 0.15
    least_score: float = 0.2


@dataclass(frozen=True)
class TeacherConfig:
    """Views of a frame, beside the frame itself, that the detector is taught by what it sees in.

    Attributes:
        scales: enlargements of the frame, bicubic.
        mirrored: also the frame mirrored.
        same: IoU from which on boxes are those of one person.
    """

    scales: Sequence[float] = (1.5, 2.0)
    mirrored: bool = True
    same: float = 0.5


@dataclass(frozen=True)
class CropConfig:
    """How HR patches are cut from the frames, at the frames' own scale.

    Attributes:
        size: side of a patch, HR px; a detector of a fixed input size has its own.
        people_fraction: share of patches around a person.
        background_fraction: share around the detector's weak detections; the rest is anywhere.
        far_height: people up to this height, HR px, are drawn most; taller ones in inverse
            proportion to their height.
        least_height: lower people are drawn less, in proportion to their height, HR px.
    """

    size: int = 256
    people_fraction: float = 0.8
    background_fraction: float = 0.1
    far_height: float = 64.0
    least_height: float = 24.0


@dataclass(frozen=True)
class AdaptLossConfig:
    """What super-resolution learns from.

    Attributes:
        scores: weight of the distance of the detector's scores on SR to those on HR.
        focus: exponent of the difference of two scores that their distance is weighted by.
        boxes: weight of the distance of its boxes, as distributions where it has them.
        least_score: people count from this score on, see `targets`; boxes above it.
        features: weight of the distance of its features.
        layers: modules of the detector whose outputs are the features; none: no such distance.
        alpha: weight of the mean absolute distance of the images.
        labels: weight of the detection loss, of a detector of ours with labels.
    """

    scores: float = 1.0
    focus: float = 1.0
    boxes: float = 0.5
    least_score: float = 0.2
    features: float = 0.1
    layers: Sequence[str] = ()
    alpha: float = 2.0
    labels: float = 0.5


@dataclass(frozen=True)
class MeasureConfig:
    """How the answer is found whether it helps.

    Attributes:
        iou: of a detection that is right.
        least_truth: whom it scores at its best between this and its threshold is left open.
        far_height: people lower than this, HR px, have figures of their own.
        samples: of the bootstrap.
        confidence: of the intervals.
        least_units: with fewer parts that are drawn there is no answer.
        least_people: with fewer people to be found there is no answer.
        unit_s: frames of one recording within so many seconds are drawn together, s.
        seed: of the draws.
    """

    iou: float = 0.5
    least_truth: float = 0.1
    far_height: float = 64.0
    samples: int = 1000
    confidence: float = 0.95
    least_units: int = 8
    least_people: int = 20
    unit_s: float = 2.0
    seed: int = 1


FRAMES, TEACHER, CROPS = FrameConfig(), TeacherConfig(), CropConfig()
LOSS, MEASURE = AdaptLossConfig(), MeasureConfig()
LOOP = LoopConfig(
    max_minutes=45.0, batch_size=3, warmup_steps=50, ema_decay=0.99, learning_rate=1e-3
)
START = "dbpn-ss-8"
SCALE_FACTOR = 2
PEOPLE = ("person", "pedestrian", "people", "human")
"""Names that a detector's class of people may have."""
HELD_OUT_FROM, TRAIN_UP_TO = 0.8, 0.78
"""Shares of a recording's time: what lies between is neither trained nor measured on."""
MOST_SCALE = 4.0
"""Of a teacher's view."""
LEAST_FRAMES = 5
"""Of a recording."""


def check_options(
    frames: FrameConfig, teacher: TeacherConfig, crops: CropConfig, loss: AdaptLossConfig
) -> None:
    """Refuse options that cannot be.

    Raises:
        TrainingError: saying which.
    """
    for name in ("candidates", "most", "held_out"):
        if getattr(frames, name) < 1:
            raise TrainingError(f"frames.{name}: expected at least 1, got {getattr(frames, name)}")
    shares = {
        "frames.background_fraction": frames.background_fraction,
        "crops.people_fraction": crops.people_fraction,
        "crops.people_fraction + background_fraction": crops.people_fraction
        + crops.background_fraction,
    }
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise TrainingError(f"{name}: expected 0 to 1, got {share:g}")
    for scale in teacher.scales:
        if not 1 < scale <= MOST_SCALE:
            raise TrainingError(
                f"teacher.scales: expected more than 1, at most {MOST_SCALE:g}, got {scale:g}"
            )
    if not 0 < teacher.same <= 1:
        raise TrainingError(f"teacher.same: expected more than 0, at most 1, got {teacher.same:g}")
    for name in ("scores", "focus", "boxes", "features", "alpha", "labels"):
        if not getattr(loss, name) >= 0:
            raise TrainingError(f"loss.{name}: expected 0 or more, got {getattr(loss, name)}")
