"""Who counts: the pedestrian benchmarks' rules as named settings.

Each follows the benchmark's published evaluation code:

- ``caltech``: dbEval.m 3.2.1 with pdollar/toolbox's bbGt.m. Boxes are compared at their own height
  and a width of .41 times that, about their centre; ignored ground truth keeps its width. Heights
  are lo <= h < hi. ``medium`` and ``far`` count people of any visibility; the published
  experiments Scale=medium and Scale=far, which ignore everyone who is occluded at all, are
  ``medium_unoccluded`` and ``far_unoccluded``. The 5 px border that dbEval.m ignores belongs into
  the annotations' ``ignore``.
- ``citypersons``: eval_MR_multisetup.py. Limits of height and visibility are inclusive.
- ``ecp``: the EuroCity Persons benchmark. A limit of visibility is one of occlusion and truncation
  (occlusion >= 40 %: visibility <= .6); who is outside of a subset's limits, and riders, are
  matched by IoU as if they counted, but neither count nor blame; detections of exactly lo/1.25
  are left out.
- ``kitti``: evaluate_object.cpp, pedestrians: IoU > .5, no allowance for the height of detections;
  who is outside of the limits, and sitting people, are matched by IoU. Its own figure is the AP at
  40 recall points (`kitti`).
- ``far``: this project's. IoU .3, since a shift of 2 px leaves a 15 px person an IoU of .41.
  Everyone counts whom the ground truth does not ignore.

In all of them ground truth outside of the limits becomes ignored, and detections are kept for
lo/1.25 <= height < 1.25 hi (kitti: lo <= height).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import Bools, Floats, Overlaps, Rule, match, overlaps
from tasksr_ros.evaluation.metrics import Matches, build_matches
from tasksr_ros.evaluation.predictions import Predictions

INF = float("inf")


@dataclass(frozen=True)
class Subset:
    """Limits of who counts.

    Attributes:
        height: lowest and highest, px.
        visibility: lowest and highest share.
        occlusion: highest level (KITTI).
        truncation: highest share (KITTI); for ECP, the visibility's limits hold for it too.
    """

    height: tuple[float, float] = (0.0, INF)
    visibility: tuple[float, float] = (0.0, INF)
    occlusion: float = INF
    truncation: float = INF


@dataclass(frozen=True)
class Protocol:
    """The rules of one benchmark.

    Attributes:
        name: of the protocol.
        subsets: by name, in the order of tables.
        headline: the subset that is quoted.
        rule: when a detection and a box match.
        aspect: width over height that boxes are brought to; None: as they are.
        expand: factor by which the heights of detections may exceed the subset's.
        upper_height_counts: whether a height of exactly the upper limit counts.
        lower_visibility_counts: whether a visibility of exactly the lower limit counts.
        expanded_limit_counts: whether detections of exactly the lower limit are kept.
        whole_px: whether the heights of detections are rounded down before they are compared.
        outside_by_iou: whether people outside of the limits must be met by IoU.
        neighbours_ignored: whether riders and sitting people are ignored ground truth, by IoU;
            else they are no ground truth at all.
    """

    name: str
    subsets: dict[str, Subset]
    headline: str
    rule: Rule = field(default_factory=Rule)
    aspect: float | None = None
    expand: float = 1.25
    upper_height_counts: bool = True
    lower_visibility_counts: bool = True
    expanded_limit_counts: bool = True
    whole_px: bool = False
    outside_by_iou: bool = False
    neighbours_ignored: bool = False

    @property
    def everyone(self) -> Subset:
        """The headline's people at any height: the base of recall by height and of ranges."""
        return replace(self.subsets[self.headline], height=(0.0, INF))


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "caltech",
            {
                "reasonable": Subset((50, INF), (0.65, INF)),
                "medium": Subset((30, 80)),
                "far": Subset((20, 30)),
                "medium_unoccluded": Subset((30, 80), (1, INF)),
                "far_unoccluded": Subset((20, 30), (1, INF)),
                "heavy": Subset((50, INF), (0.2, 0.65)),
                "all": Subset((20, INF), (0.2, INF)),
            },
            "reasonable",
            aspect=0.41,
            upper_height_counts=False,
        ),
        Protocol(
            "citypersons",
            {
                "reasonable": Subset((50, INF), (0.65, INF)),
                "small": Subset((50, 75), (0.65, INF)),
                "heavy": Subset((50, INF), (0.2, 0.65)),
                "all": Subset((20, INF), (0.2, INF)),
            },
            "reasonable",
        ),
        Protocol(
            "ecp",
            {
                "reasonable": Subset((40, INF), (0.6, INF), truncation=0.4),
                "small": Subset((30, 60), (0.6, INF), truncation=0.4),
                "occluded": Subset((40, INF), (0.2, 0.6), truncation=0.8),
                "all": Subset((20, INF), (0.2, INF), truncation=0.8),
            },
            "reasonable",
            lower_visibility_counts=False,
            expanded_limit_counts=False,
            outside_by_iou=True,
            neighbours_ignored=True,
        ),
        Protocol(
            "kitti",
            {
                "easy": Subset((40, INF), occlusion=0, truncation=0.15),
                "moderate": Subset((25, INF), occlusion=1, truncation=0.3),
                "hard": Subset((25, INF), occlusion=2, truncation=0.5),
            },
            "moderate",
            rule=Rule(0.5, strict=True),
            expand=1.0,
            whole_px=True,
            outside_by_iou=True,
            neighbours_ignored=True,
        ),
        Protocol(
            "far",
            {
                "all": Subset(),
                "near": Subset((50, INF)),
                "medium": Subset((30, 50)),
                "far": Subset((15, 30)),
            },
            "all",
            rule=Rule(0.3),
            upper_height_counts=False,
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        EvaluationError: for a name that is not known.
    """
    if name not in PROTOCOLS:
        raise EvaluationError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]


@dataclass(frozen=True, eq=False)
class Case:
    """Detections and ground truth of the same images, with what all subsets share.

    Attributes:
        protocol: the rules.
        truth: the ground truth.
        predictions: the detections.
        pairs: their overlaps; of ignored boxes ``covered`` is by their own width.
    """

    protocol: Protocol
    truth: GroundTruth
    predictions: Predictions
    pairs: Overlaps

    @classmethod
    def of(cls, protocol: Protocol, truth: GroundTruth, predictions: Predictions) -> Case:
        """Compute the overlaps."""
        if not protocol.neighbours_ignored:
            truth = truth.without_neighbours()
        return cls(protocol, truth, predictions, _pairs(protocol, truth, predictions))

    def matches(self, subset: Subset, rule: Rule | None = None) -> Matches:
        """Match for one subset, by the protocol's rule unless another is given."""
        truth, found = self.truth, self.predictions
        flagged, outside = who_is_ignored(self.protocol, subset, truth)
        ignore = flagged | outside
        by_iou = outside & ~flagged if self.protocol.outside_by_iou else None
        keep = kept_detections(self.protocol, subset, found.xywh[:, 3])
        outcome, person = match(
            self.pairs,
            found.score,
            found.image,
            ignore,
            rule or self.protocol.rule,
            keep=keep,
            by_iou=by_iou,
        )
        return build_matches(
            outcome,
            person,
            keep,
            found.score,
            found.image,
            ignore,
            truth.height,
            truth.image,
            truth.num_images,
        )


def who_is_ignored(protocol: Protocol, subset: Subset, truth: GroundTruth) -> tuple[Bools, Bools]:
    """(G,) flagged so in the file, and (G,) outside of the limits or of a neighbouring kind."""
    low, high = subset.height
    outside = (truth.height < low) | (truth.height > high)
    if not protocol.upper_height_counts:
        outside |= truth.height == high
    low, high = subset.visibility
    outside |= (truth.visibility < low) | (truth.visibility > high)
    if not protocol.lower_visibility_counts and low > 0:
        outside |= truth.visibility == low
        outside |= truth.truncation == subset.truncation
    outside |= (truth.occlusion > subset.occlusion) | (truth.truncation > subset.truncation)
    return truth.ignore, outside | truth.neighbour


def kept_detections(protocol: Protocol, subset: Subset, height: Floats) -> Bools:
    """(D,) detections whose height is near enough to the subset's, by their height in px."""
    height = np.floor(height) if protocol.whole_px else height
    low, high = subset.height[0] / protocol.expand, subset.height[1] * protocol.expand
    above = height >= low if protocol.expanded_limit_counts or low == 0 else height > low
    return above & (height < high)


def _pairs(protocol: Protocol, truth: GroundTruth, found: Predictions) -> Overlaps:
    if protocol.aspect is None:
        return overlaps(found.xywh, found.image, truth.xywh, truth.image)
    detections = with_aspect(found.xywh, protocol.aspect)
    counting = overlaps(
        detections, found.image, with_aspect(truth.xywh, protocol.aspect), truth.image
    )
    ignored = overlaps(detections, found.image, truth.xywh, truth.image)
    # Which boxes are ignored depends on the subset: keep IoUs of the one, shares of the other.
    return _joined(counting, ignored, len(truth.xywh))


def with_aspect(xywh: Floats, aspect: float) -> Floats:
    """Boxes of the same heights and centres whose width is ``aspect`` times the height."""
    x, y, width, height = xywh.T
    grown = height * aspect - width
    return np.stack([x - grown / 2, y, width + grown, height], axis=1)


def _joined(by_iou: Overlaps, by_share: Overlaps, num_truth: int) -> Overlaps:
    """Pairs of both, with ``iou`` of the first, ``covered`` and ``centred`` of the second."""
    keys = [p.detection * num_truth + p.ground_truth for p in (by_iou, by_share)]
    key = np.union1d(*keys)
    at = [np.searchsorted(key, k) for k in keys]
    iou, covered, centred = np.zeros(len(key)), np.zeros(len(key)), np.zeros(len(key), bool)
    iou[at[0]], covered[at[1]], centred[at[1]] = by_iou.iou, by_share.covered, by_share.centred
    return Overlaps(key // max(1, num_truth), key % max(1, num_truth), iou, covered, centred)
