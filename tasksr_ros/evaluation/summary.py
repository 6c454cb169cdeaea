"""The structure of what `tasksr evaluate` writes: one JSON object, ``Summary``.

Everything in it is JSON: no NaN and no infinity. A figure that is not defined is ``null``, and
``undefined`` of the same object says why, by the figure's dotted name; nothing that could not be
measured is ever a zero. Rates, recalls, AP and miss rates are shares in 0..1, boxes are
``[x, y, width, height]`` in px of the original image, distances are metres, ``interval`` is
``[low, high]`` of the confidence that ``settings`` states.
"""

from __future__ import annotations

from typing import Any, TypedDict

Interval = list[float] | None
Number = float | None
ImageId = int | str

SCHEMA = 1


class Subset(TypedDict):
    """Which people count in one subset of a protocol; null: no limit."""

    min_height: Number
    max_height: Number
    min_visibility: Number
    max_visibility: Number


class Protocol(TypedDict):
    """The rules of the evaluation."""

    name: str
    headline: str  # the subset that the headline quotes
    match: str  # "iou" or "centre" (the detection's centre lies in the box)
    iou: Number  # least IoU; null for "centre"
    subsets: dict[str, Subset]


class Settings(TypedDict):
    """What else was asked for."""

    fppi: float  # of the operating point
    recall: float  # that defines the range
    confidence: float  # of every interval
    samples: int  # bootstrap samples
    seed: int


class GroundTruthInfo(TypedDict):
    """What was measured on. ``problems``: kind -> number, e.g. ``box_without_area``."""

    path: str
    sha256: str
    images: int
    pedestrians: int
    ignored: int
    sequences: int
    tracks: int
    duration_s: Number
    has_distance: bool
    has_visibility: bool
    problems: dict[str, int]


class OperatingPoint(TypedDict):
    """The threshold with the most detections that keeps to ``fppi``."""

    fppi: float  # asked for
    fppi_reached: float
    score_threshold: Number  # detections with at least this score; null: all
    true_positives: int
    false_positives: int
    false_negatives: int
    recall: Number
    recall_interval: Interval
    miss_rate: Number
    precision: Number


class Bin(TypedDict):
    """People (and false positives) with low <= height or distance < high at the operating point."""

    low: float
    high: Number  # null: no upper limit
    pedestrians: int
    found: int
    recall: Number
    recall_interval: Interval
    visible: int | None  # of the pedestrians: at least 65 % visible; null: the truth does not say
    visible_found: int | None
    miss_rate: Number
    false_positives: int | None
    fppi: Number


class AtMatch(TypedDict):
    """Some figures under one rule of matching."""

    match: str
    iou: Number
    log_average_miss_rate: Number  # of the headline subset
    ap: Number  # COCO's form, at this rule
    recall: Number  # at the operating point's FPPI
    range_m: Number
    min_height_px: Number


class MissRateCurve(TypedDict):
    """Falling thresholds; at most 500 points; the MR⁻² is of the full curve."""

    fppi: list[float]
    miss_rate: list[float]
    score: list[float]


class PrecisionRecallCurve(TypedDict):
    """COCO's 101 points: the best precision at this recall or beyond it."""

    recall: list[float]
    precision: list[float]


class Curves(TypedDict):
    """``precision_recall`` by IoU: keys "0.5" and "0.3"."""

    miss_rate_fppi: dict[str, MissRateCurve]
    precision_recall: dict[str, PrecisionRecallCurve]


class SequenceRow(TypedDict):
    """One sequence at the operating point of the whole set."""

    sequence: str
    images: int
    pedestrians: int
    found: int
    recall: Number
    false_positives: int
    fppi: float
    log_average_miss_rate: Number  # of the headline subset
    ap50: Number


class ScoreBin(TypedDict):
    """Detections with low <= score < high (the last bin holds 1, too)."""

    low: float
    high: float
    detections: int
    mean_score: Number
    precision: Number  # share that is a pedestrian; ignored detections are left out


class Reliability(TypedDict):
    """``ece``: mean of |precision - mean score|, weighted by detections."""

    low: Number  # height of the detections, px; null: no limit
    high: Number
    detections: int
    ece: Number
    bins: list[ScoreBin]


class Calibration(TypedDict):
    """Do scores mean what they say?"""

    all: Reliability
    by_height: list[Reliability]


class Track(TypedDict):
    """One person through one sequence."""

    sequence: str
    track_id: ImageId
    frames: int
    found: int
    largest_distance_m: Number  # at which the person counts
    first_detection_m: Number  # distance in the first frame in which they were found
    first_detection_px: Number  # their height there
    first_detection_stamp_ns: int | None


class Tracks(TypedDict):
    """At the operating point. Intervals resample tracks."""

    tracks: int
    found: int  # in at least one frame
    first_detection_m: Number  # median over the tracks that were found
    first_detection_m_interval: Interval
    rows: list[Track]


class RangeBin(TypedDict):
    """People found at the operating point with low <= true distance < high, both distances known.

    Errors are shares of the true distance.
    """

    low: float
    high: Number  # null: no upper limit
    people: int
    median_error: Number  # of its size
    bias: Number  # median, positive: stated too far
    deviation: Number  # median of the stated standard deviations
    within_two_sigma: Number  # share whose truth lies within two stated standard deviations


class RangeError(TypedDict):
    """How good the stated distances are."""

    near: RangeBin  # to 60 m
    by_distance: list[RangeBin]


class Latency(TypedDict):
    """ms per stage, from what the replay wrote; ``total`` is one of the stages."""

    stages: dict[str, dict[str, float]]  # -> frames mean p50 p90 p95 p99 max


class Example(TypedDict):
    """One box of the gallery.

    ``outcome``: "false_positive" or "miss"; in a comparison "gain" (only b found it) or "loss"
    (only a found it).
    """

    image_id: ImageId
    file_name: str | None
    sequence: str | None
    stamp_ns: int | None
    bbox: list[float]
    height: float
    distance_m: Number
    outcome: str
    score: Number  # false positive: its score; miss: best score of any overlapping detection
    score_a: Number  # in a comparison: score that found the person, null where none did
    score_b: Number


class Gallery(TypedDict):
    """False positives, highest score first; misses, tallest first."""

    false_positives: list[Example]
    misses: list[Example]


class Run(TypedDict):
    """All figures of one predictions file."""

    name: str
    path: str
    sha256: str
    info: dict[str, Any]  # what the replay wrote about itself: bundle, command, machine, …
    images: int  # evaluated: all of the ground truth, or those the replay lists as processed
    detections: int
    problems: dict[str, int]  # e.g. image_not_in_ground_truth, score_not_finite, box_without_area
    log_average_miss_rate: dict[str, Number]  # by subset
    log_average_miss_rate_interval: dict[str, Interval]
    subset_pedestrians: dict[str, int]
    ap: dict[str, Number]  # ap, ap50, ap30, ap_small
    ap_interval: dict[str, Interval]
    kitti_ap: dict[str, Number] | None  # protocol kitti: 40 recall points, by subset
    operating_point: OperatingPoint
    range_m: Number
    range_m_interval: Interval
    range_m_is_limit: bool  # everyone to the farthest was found: at least this far
    min_height_px: Number
    min_height_px_interval: Interval
    min_height_px_is_limit: bool
    false_positives_per_hour: Number
    false_positives_per_hour_interval: Interval
    at_match: list[AtMatch]
    curves: Curves
    recall_by_height: list[Bin]
    recall_by_distance: list[Bin]
    by_sequence: list[SequenceRow]
    calibration: Calibration
    tracks: Tracks | None
    range_error: RangeError | None  # null where the run or the ground truth states no distances
    latency: Latency | None
    gallery: Gallery
    undefined: dict[str, str]


class Difference(TypedDict):
    """b - a, both measured on the same resampled images (paired)."""

    a: Number
    b: Number
    difference: Number
    interval_images: Interval
    interval_sequences: Interval  # null with fewer than 2 sequences
    better: str | None  # "a" or "b" where the wider of both intervals excludes 0


class BinDifference(TypedDict):
    """Recall of one bin, b - a."""

    low: float
    high: Number
    pedestrians: int
    difference: Number
    interval: Interval


class ImageDifference(TypedDict):
    """One image at both operating points: people gained and lost, false positives."""

    image_id: ImageId
    gained: int
    lost: int
    false_positives_a: int
    false_positives_b: int


class Comparison(TypedDict):
    """Run ``b`` against run ``a`` (indices into runs), on the images that both processed."""

    a: int
    b: int
    images: int
    differences: dict[str, Difference]  # dotted names, e.g. log_average_miss_rate.reasonable
    recall_by_height: list[BinDifference]
    recall_by_distance: list[BinDifference]
    by_image: list[ImageDifference]  # those where anything differs, largest change first
    gains: list[Example]  # highest score first
    losses: list[Example]
    undefined: dict[str, str]


class Summary(TypedDict):
    """The file. The lower block repeats figures of ``runs[0]`` for whoever has one run."""

    schema: int
    created: dict[str, Any]  # command, version, commit, machine, time (UTC, ISO 8601)
    protocol: Protocol
    settings: Settings
    ground_truth: GroundTruthInfo
    runs: list[Run]
    comparisons: list[Comparison]  # each further run against the first

    log_average_miss_rate: dict[str, Number]
    log_average_miss_rate_interval: dict[str, Interval]
    ap: dict[str, Number]
    ap_interval: dict[str, Interval]
    recall_by_height: list[Bin]
    recall_by_distance: list[Bin]
    range_m: Number
    range_m_interval: Interval
    undefined: dict[str, str]
