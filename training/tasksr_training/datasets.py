"""Patches cut from image sets; each batch is a pure function of (seed, step, rank)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tasksr_training.coco import READ, LabelledImage, ReadConfig, read_set
from tasksr_training.copy_paste import CopyPaste
from tasksr_training.errors import TrainingDataError, TrainingError
from tasksr_training.hard_backgrounds import HardBackgrounds, with_false_positives
from tasksr_training.image_store import ImageStore

PADDING = 114
"""Grey value outside the image."""


@dataclass(frozen=True)
class SourceConfig:
    """One image set and how often it is drawn from.

    Attributes:
        path: COCO JSON file or folder of images, relative to the data folder; ``*`` as in a shell.
        weight: share of the patches, relative to the other sources' weights.
        min_scale: least scale of a patch that is cut anywhere.
        max_scale: greatest scale of any patch; above 1 the image is enlarged.
        read: what becomes of bad images and of people who are hardly visible.
        predictions: file of a detector's predictions on this set, relative to the data folder: its
            false positives are the hard backgrounds; without it these are upright edges.
        hard_backgrounds: whether hard backgrounds are drawn from it: not from sets with people
            who are not labelled.
    """

    path: str
    weight: float = 1.0
    min_scale: float = 0.3
    max_scale: float = 1.5
    read: ReadConfig = READ
    predictions: str = ""
    hard_backgrounds: bool = True


@dataclass(frozen=True)
class PatchConfig:
    """How HR patches are cut.

    Attributes:
        size: side of the square patch, HR px.
        hard_background_fraction: share of patches cut around a hard background.
        copy_paste_fraction: share of patches cut around a pedestrian pasted from another image.
        pedestrian_fraction: share of the other patches cut around a pedestrian; the rest is cut
            anywhere.
        min_height: least height a chosen pedestrian is scaled to, HR px.
        max_height: greatest height a chosen pedestrian is scaled to, HR px.
        min_visible: a box with less than this fraction of its area inside the patch is ignored.
        min_box_height: a box whose visible height is less is ignored, HR px.
        jitter: strength of the colour jitter; 0 turns it off.
        night_fraction: share of the patches that are darkened to a badly lit night, see `night`.
    """

    size: int = 256
    hard_background_fraction: float = 0.0
    copy_paste_fraction: float = 0.0
    pedestrian_fraction: float = 0.7
    min_height: float = 24.0
    max_height: float = 220.0
    min_visible: float = 0.4
    min_box_height: float = 12.0
    jitter: float = 1.0
    night_fraction: float = 0.0


def check_size(size: int, multiple: int, what: str) -> None:
    """Refuse a size of patches, HR px, that a network cannot take.

    Args:
        size: see `PatchConfig`.
        multiple: HR px, of which the size has to be a multiple.
        what: the network, and what it sees.

    Raises:
        TrainingError: saying which multiple is needed.
    """
    if size <= 0 or size % multiple:
        raise TrainingError(
            f"patches.size: expected a multiple of {multiple} px for {what}, got {size}"
        )


@dataclass(frozen=True, eq=False)
class Patch:
    """One training sample: image (P, P, 3) uint8 RGB, boxes (M, 4) in patch px, ignore (M,).

    People lower than ``open_below`` patch px may lack a label. ``scale`` is patch px per image px:
    above 1 the image was enlarged, and the patch holds no detail that an LR copy would lack.
    ``neighbours`` are the same square of other frames of the recording, as of `LabelledImage`.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    open_below: float = 0.0
    scale: float = 1.0
    neighbours: tuple[NDArray[np.uint8] | None, ...] = ()


AnyPatch = TypeVar("AnyPatch", bound=Patch)
AnyBatch = TypeVar("AnyBatch", bound="Batch")


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of patches.

    Attributes:
        hr: (N, 3, P, P) float32 RGB in [0, 1].
        boxes: (N, M, 4) float32 xyxy in HR px; rows past a sample's boxes are zero.
        kind: (N, M) int8: ``NO_BOX``, ``PEDESTRIAN`` or ``IGNORE``.
        seed: for whatever else is random about this batch.
        open_below: (N,) HR px; people lower than this may lack a label. None: nobody does.
        scale: (N,) HR px per image px, see `Patch`. None: at most 1.
    """

    hr: Tensor
    boxes: Tensor
    kind: Tensor
    seed: int
    open_below: Tensor | None = None
    scale: Tensor | None = None

    def to(self: AnyBatch, device: torch.device) -> AnyBatch:
        """Return the batch on ``device``."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


NO_BOX, PEDESTRIAN, IGNORE = 0, 1, 2


def read_sources(data: Path, sources: Sequence[SourceConfig]) -> list[list[LabelledImage]]:
    """Decode all images of all sources; where they are kept: `ImageStore`."""
    if not sources:
        raise TrainingDataError("expected at least one source of training images, got none")
    store = ImageStore()
    images = [read_set(data, source.path, source.read, store.keep) for source in sources]
    return [
        with_false_positives(one, data / source.predictions) if source.predictions else one
        for one, source in zip(images, sources, strict=True)
    ]


class Sampler(Protocol):
    """Where the training samples come from."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw one sample; the same generator state gives the same sample."""
        ...

    def collate(self, samples: Sequence[Any], rng: np.random.Generator) -> Any:
        """Stack samples to a batch, which has a method ``to(device)``."""
        ...


class PatchSampler:
    """Draws patches from weighted sources."""

    def __init__(
        self,
        images: Sequence[Sequence[LabelledImage]],
        sources: Sequence[SourceConfig],
        config: PatchConfig,
    ) -> None:
        weights = np.array([s.weight for s in sources], float)
        self._shares = weights / weights.sum()
        self._images = images
        self._sources = sources
        self._config = config
        if not 0 <= config.hard_background_fraction + config.copy_paste_fraction <= 1:
            raise TrainingDataError(
                "patches: expected hard_background_fraction and copy_paste_fraction to be at most "
                f"1 together, got {config.hard_background_fraction} and "
                f"{config.copy_paste_fraction}"
            )
        self._hard = [
            HardBackgrounds(one if config.hard_background_fraction and s.hard_backgrounds else [])
            for one, s in zip(images, sources, strict=True)
        ]
        self._copies = CopyPaste(images) if config.copy_paste_fraction else None
        self._pedestrians = [
            [(i, int(b)) for i, img in enumerate(one) for b in np.flatnonzero(~img.ignore)]
            for one in images
        ]

    def draw(self, rng: np.random.Generator) -> Patch:
        """Draw one patch; the same generator state gives the same patch."""
        index = int(rng.choice(len(self._sources), p=self._shares))
        patch = self._special(index, rng) or self._plain(index, rng)
        if rng.random() < 0.5:
            patch = flip(patch)
        return toned(patch, self._config, rng)

    def _special(self, index: int, rng: np.random.Generator) -> Patch | None:
        """A patch around a hard background or a pasted pedestrian, in their share of the draws."""
        c, limits = self._config, self._sources[index]
        if c.hard_background_fraction + c.copy_paste_fraction == 0:
            return None
        kind = rng.random()
        if kind < c.hard_background_fraction and len(self._hard[index]):
            image, box = self._hard[index].draw(rng)
            return self._around(self._images[index][image], box, limits, rng)
        if self._copies is not None and kind >= 1 - c.copy_paste_fraction:
            pasted = self._copies.paste(index, int(rng.integers(len(self._images[index]))), rng)
            if pasted is not None:
                return self._around(pasted[0], pasted[0].boxes[pasted[1]], limits, rng)
        return None

    def _plain(self, index: int, rng: np.random.Generator) -> Patch:
        """A patch around a pedestrian, or anywhere."""
        around = self._pedestrians[index]
        if around and rng.random() < self._config.pedestrian_fraction:
            chosen, box = around[int(rng.integers(len(around)))]
            image = self._images[index][chosen]
            return self._around(image, image.boxes[box], self._sources[index], rng)
        image = self._images[index][int(rng.integers(len(self._images[index])))]
        return self._anywhere(image, self._sources[index], rng)

    def collate(self, samples: Sequence[Patch], rng: np.random.Generator) -> Batch:
        """See `collate`."""
        return collate(samples, rng)

    def _around(
        self,
        source: LabelledImage,
        box: NDArray[np.float32],
        limits: SourceConfig,
        rng: np.random.Generator,
    ) -> Patch:
        c = self._config
        x0, y0, x1, y1 = box
        height = float(np.exp(rng.uniform(np.log(c.min_height), np.log(c.max_height))))
        side = self._side(source, height / float(y1 - y0), limits)
        centre = np.array([x0 + x1, y0 + y1]) / 2
        corner = centre - side * rng.uniform(0.15, 0.85, size=2)
        return cut(source, corner, side, c)

    def _anywhere(
        self, source: LabelledImage, limits: SourceConfig, rng: np.random.Generator
    ) -> Patch:
        scale = float(np.exp(rng.uniform(np.log(limits.min_scale), np.log(limits.max_scale))))
        side = self._side(source, scale, limits)
        height, width = source.image.shape[:2]
        room = np.maximum([width - side, height - side], 0)
        return cut(source, room * rng.random(2), side, self._config)

    def _side(self, source: LabelledImage, scale: float, limits: SourceConfig) -> int:
        """Side of the square to cut, image px: at most 1.5 times the image's shorter side."""
        widest: float = 1.5 * min(source.image.shape[:2])
        side = min(self._config.size / min(scale, limits.max_scale), widest)
        return max(round(side), 1)


def cut(
    source: LabelledImage, corner: NDArray[np.floating], side: int, config: PatchConfig
) -> Patch:
    """Cut a square and resample it to the patch size.

    The square is moved into the image where it fits; what lies outside is grey.

    Args:
        source: the image and its boxes.
        corner: wanted upper left corner x, y, image px.
        side: side of the square, image px.
        config: size of the patch and what becomes of boxes at its edge.
    """
    height, width = source.image.shape[:2]
    x, y = (_moved(float(c), side, n) for c, n in zip(corner, (width, height), strict=True))
    image, *neighbours = (
        None if frame is None else _resampled(frame, (x, y), side, config.size)
        for frame in (source.image, *source.neighbours)
    )
    assert image is not None
    boxes = (source.boxes - np.array([x, y, x, y], np.float32)) * (config.size / side)
    scale = config.size / side
    visible = _visible(boxes, source.ignore, config)
    return Patch(image, *visible, source.labelled_from * scale, scale, tuple(neighbours))


def _resampled(
    image: NDArray[np.uint8], corner: tuple[int, int], side: int, size: int
) -> NDArray[np.uint8]:
    (x, y), (height, width) = corner, image.shape[:2]
    square = np.full((side, side, 3), PADDING, np.uint8)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    square[y0 - y : y1 - y, x0 - x : x1 - x] = image[y0:y1, x0:x1]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)


def middle(patch: Patch, config: PatchConfig) -> Patch:
    """The middle of a larger patch, of ``config.size``, as `cut` would have cut it."""
    start = (patch.image.shape[0] - config.size) // 2
    inner = slice(start, start + config.size)
    image, *neighbours = (
        None if frame is None else frame[inner, inner] for frame in (patch.image, *patch.neighbours)
    )
    assert image is not None
    boxes, ignore = _visible(patch.boxes - np.float32(start), patch.ignore, config)
    return replace(patch, image=image, boxes=boxes, ignore=ignore, neighbours=tuple(neighbours))


def _moved(corner: float, side: int, extent: int) -> int:
    low, high = min(0, extent - side), max(0, extent - side)
    return int(np.clip(round(corner), low, high))


def _visible(
    boxes: NDArray[np.float32], ignore: NDArray[np.bool_], config: PatchConfig
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    clipped = boxes.clip(0, config.size)
    size = clipped[:, 2:] - clipped[:, :2]
    inside = (size > 1).all(1)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    remnant = (size.prod(1) < config.min_visible * area) | (size[:, 1] < config.min_box_height)
    return clipped[inside].astype(np.float32), (ignore | remnant)[inside]


def flip(patch: AnyPatch) -> AnyPatch:
    """Mirror a patch left to right."""
    boxes = mirrored(patch.boxes, patch.image.shape[1])
    neighbours = tuple(None if n is None else n[:, ::-1] for n in patch.neighbours)
    return replace(patch, image=patch.image[:, ::-1], boxes=boxes, neighbours=neighbours)


def mirrored(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """(M, 4) xyxy boxes of an image of that width, as they are in the mirrored one."""
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)


def toned(patch: Patch, config: PatchConfig, rng: np.random.Generator) -> Patch:
    """Change the colours of a patch, and of its neighbours likewise."""
    frames = [frame for frame in (patch.image, *patch.neighbours) if frame is not None]
    image = jitter(np.concatenate(frames), config.jitter, rng)
    if config.night_fraction and rng.random() < config.night_fraction:
        image = night(image, rng)
    first, *others = image.reshape(len(frames), *patch.image.shape)
    left = iter(others)
    neighbours = tuple(None if n is None else next(left) for n in patch.neighbours)
    return replace(patch, image=first, neighbours=neighbours)


def jitter(
    image: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Change gamma, gain per channel and saturation of a uint8 RGB image."""
    if strength <= 0:
        return image
    gamma = np.exp(strength * rng.uniform(-0.4, 0.4))
    gains = np.exp(strength * (rng.uniform(-0.2, 0.2) + rng.uniform(-0.06, 0.06, size=3)))
    saturation = max(0.0, 1 + strength * rng.uniform(-0.4, 0.3))
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gains
    table = (levels.clip(0, 1) * 255).round().astype(np.uint8).reshape(256, 1, 3)
    toned = cv2.LUT(np.ascontiguousarray(image), table)
    grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(toned, saturation, grey, 1 - saturation, 0), np.uint8)


def night(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Darken a uint8 RGB image: gamma up to 2.2, white down to half, a cast from blue to yellow."""
    cast = rng.uniform(-0.15, 0.15)
    white = rng.uniform(0.5, 1.0) * np.exp([cast, 0.0, -cast])
    levels = np.linspace(0, 1, 256)[:, None] ** rng.uniform(1.3, 2.2) * white
    table = (levels.clip(0, 1) * 255).round().astype(np.uint8).reshape(256, 1, 3)
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table), np.uint8)


class Batches(Dataset[Any]):
    """Item ``step`` is the batch of that training step, whatever was drawn before."""

    def __init__(self, sampler: Sampler, batch_size: int, seed: int, rank: int = 0) -> None:
        self._sampler = sampler
        self._batch_size = batch_size
        self._seed = (seed, rank)

    def __getitem__(self, step: int) -> Any:
        rng = np.random.default_rng([*self._seed, step])
        return self._sampler.collate(
            [self._sampler.draw(rng) for _ in range(self._batch_size)], rng
        )


def collate(patches: Sequence[Patch], rng: np.random.Generator) -> Batch:
    """Stack patches; boxes are filled up to the greatest number in the batch."""
    most = max(1, *(len(p.boxes) for p in patches))
    boxes = np.zeros((len(patches), most, 4), np.float32)
    kind = np.full((len(patches), most), NO_BOX, np.int8)
    for i, patch in enumerate(patches):
        boxes[i, : len(patch.boxes)] = patch.boxes
        kind[i, : len(patch.boxes)] = np.where(patch.ignore, IGNORE, PEDESTRIAN)
    images = np.stack([p.image for p in patches]).transpose(0, 3, 1, 2)
    hr = torch.from_numpy(np.ascontiguousarray(images)).float() / 255
    open_below, scale = (
        torch.tensor(v, dtype=torch.float32)
        for v in ([p.open_below for p in patches], [p.scale for p in patches])
    )
    seed = int(rng.integers(2**31))
    return Batch(hr, torch.from_numpy(boxes), torch.from_numpy(kind), seed, open_below, scale)


def loader(batches: Batches, first: int, last: int, workers: int) -> DataLoader[Any]:
    """Batches of the steps ``first`` to ``last - 1``, drawn ahead by ``workers`` processes."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
    )
