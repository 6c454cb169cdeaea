"""Why predictions are on nobody: of other images, of another class, in px of other images.

Each such reading of a file is tried where hardly anybody is met as it is written. Nothing is
corrected: the one that meets people is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasksr_ros.evaluation.box_form import ENOUGH
from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.ids import ImageId
from tasksr_ros.evaluation.matching import Floats, Ints, overlaps
from tasksr_ros.evaluation.other_ids import other_ids
from tasksr_ros.evaluation.other_pixels import other_pixels

_LEAST_IOU = 0.5
_TIMES = 4
"""By how much another reading must meet more people than the file as it is written."""
_SHARE = 0.1
"""Of those whom the strongest predictions could meet, at least so many are met."""
_MOST = 2_000
"""Predictions that are looked at, the strongest."""


@dataclass(frozen=True, eq=False)
class Written:
    """All predictions of a file, of known and unknown images, of any category.

    Attributes:
        ids: (D,) of the images.
        categories: (D,) ids, None where none is given.
        xywh: (D, 4) as written.
        score: (D,).
    """

    ids: Sequence[ImageId]
    categories: Sequence[ImageId | None]
    xywh: Floats
    score: Floats


@dataclass(frozen=True, eq=False)
class _Reading:
    """Predictions read in one way.

    Attributes:
        told: what was expected and what they seem to be.
        image: (D,) index of each one's, -1 of those that are left out.
        xywh: (D, 4) px.
        score: (D,).
    """

    told: str
    image: Ints
    xywh: Floats
    score: Floats

    def strongest(self, most: int) -> Ints:
        """Indices of the strongest, by their images."""
        boxes = np.isfinite(self.xywh).all(1) & (self.xywh[:, 2:] >= 0).all(1)
        kept = np.flatnonzero(boxes & np.isfinite(self.score) & (self.image >= 0))
        kept = kept[np.argsort(-self.score[kept], kind="stable")[:most]]
        return np.asarray(kept[np.argsort(self.image[kept], kind="stable")])

    def met(self, truth: GroundTruth, most: int) -> tuple[Ints, int]:
        """People whom the strongest meet, and how many they could meet."""
        chosen = self.strongest(most)
        image = self.image[chosen]
        pairs = overlaps(self.xywh[chosen], image, truth.xywh, truth.image)
        met = np.unique(pairs.ground_truth[pairs.iou >= _LEAST_IOU])
        return met, min(len(chosen), int(np.isin(truth.image, image).sum()))


def why_nobody(written: Written, truth: GroundTruth) -> str:
    """What the predictions seem to be instead of what is expected, or ""."""
    if not len(truth.image) or not len(written.ids):
        return ""
    plain = _plain(written, truth)
    most = min(_MOST, max(ENOUGH, len(truth.image)))
    (met, _), (met_by_strongest, _) = plain.met(truth, _MOST), plain.met(truth, most)
    best, told = max(ENOUGH, _TIMES * len(met)) - 1, ""
    for reading in _readings(written, plain, truth, most):
        strongest, could = reading.met(truth, most)
        if len(strongest) < max(ENOUGH, _TIMES * len(met_by_strongest), _SHARE * could):
            continue
        people, _ = reading.met(truth, _MOST)
        elsewhere = reading.xywh is plain.xywh or _are_apart(truth.xywh[strongest])
        if elsewhere and len(people) > best:
            best, told = len(people), reading.told
    return told and f"{told}: read so, {best} people are met, as written {len(met)}"


def _are_apart(people: Floats) -> bool:
    """Whether they are at several places: a pole beside one who waits is at one all the time."""
    centre = people[:, :2] + people[:, 2:] / 2
    return bool(np.ptp(centre, axis=0).max() > 2 * np.median(people[:, 3]))


def _readings(
    written: Written, plain: _Reading, truth: GroundTruth, most: int
) -> Iterator[_Reading]:
    yield from _of_another_category(written, truth)
    yield from _of_other_images(written, plain, truth)
    strongest = plain.strongest(most)
    for told, xywh in other_pixels(plain.image, plain.xywh, strongest, truth):
        yield replace(
            plain, told=f"boxes must be in px of its images, these seem to be {told}", xywh=xywh
        )


def _plain(written: Written, truth: GroundTruth) -> _Reading:
    image = _images(written.ids, _known(truth))
    wanted = np.array([_is_wanted(c, truth) for c in written.categories], bool)
    return _Reading("", np.where(wanted, image, -1), written.xywh, written.score)


def _is_wanted(category: ImageId | None, truth: GroundTruth) -> bool:
    return truth.pedestrian_ids is None or category is None or category in truth.pedestrian_ids


def _known(truth: GroundTruth) -> dict[ImageId, int]:
    return {image_id: k for k, image_id in enumerate(truth.image_ids)}


def _images(ids: Sequence[ImageId], images: Mapping[ImageId, int]) -> Ints:
    return np.array([images.get(i, -1) for i in ids], np.int64)


def _of_another_category(written: Written, truth: GroundTruth) -> Iterator[_Reading]:
    """As of a list that begins at 0, or that has another order."""
    image = _images(written.ids, _known(truth))
    expected = " or ".join(repr(i) for i in sorted(truth.pedestrian_ids or (), key=str))
    for category in dict.fromkeys(written.categories):
        if not _is_wanted(category, truth):
            theirs = np.array([c == category for c in written.categories], bool)
            told = f"category_id of people must be {expected}, here it seems to be {category!r}"
            yield _Reading(told, np.where(theirs, image, -1), written.xywh, written.score)


def _of_other_images(written: Written, plain: _Reading, truth: GroundTruth) -> Iterator[_Reading]:
    wanted = np.array([_is_wanted(c, truth) for c in written.categories], bool)
    for told, images in other_ids(truth.images):
        image = np.where(wanted, _images(written.ids, images), -1)
        yield replace(
            plain,
            told=f"image_id must be an id of its images, these seem to be {told}",
            image=image,
        )
