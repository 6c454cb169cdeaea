"""Crops of native images of several sets, of all sets in every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_training.coco import Keep, LabelledImage, read_set
from tasksr_training.datasets import Batch, PatchConfig, PatchSampler, Sampler, SourceConfig
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_store import ImageStore
from tasksr_training.pseudo_labels import PseudoConfig, read_pseudo_labels, with_pseudo_labels


@dataclass(frozen=True)
class HeldOut:
    """A part of a train set on which choices are made, and nothing is trained.

    Attributes:
        every: every n-th sequence, by name; an image without a sequence is one of its own. 0: none.
        sequence: whose frames ``first`` to ``last`` are held out as well.
        first: frame.
        last: frame, included.
    """

    every: int = 0
    sequence: str = ""
    first: int = 0
    last: int = -1


@dataclass(frozen=True)
class NativeSourceConfig(SourceConfig):
    """An image set of native images.

    Attributes:
        crops: of this set in every sample of a batch.
        held_out: what is not trained on.
        pseudo_labels: file of `tasksr-train pseudo-labels` on this set, relative to the folder of
            pseudo-labels; empty: none.
        pseudo: what becomes of them.
    """

    crops: int = 1
    held_out: HeldOut = HeldOut()
    pseudo_labels: str = ""
    pseudo: PseudoConfig = field(default_factory=PseudoConfig)


def split(
    images: Sequence[LabelledImage], held_out: HeldOut
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """The images to train on, and those held out."""
    names = sorted({image.sequence or image.name for image in images})
    chosen = set(names[held_out.every - 1 :: held_out.every]) if held_out.every else set()
    parts: tuple[list[LabelledImage], list[LabelledImage]] = ([], [])
    for image in images:
        in_frames = (
            bool(held_out.sequence)
            and image.sequence == held_out.sequence
            and image.frame is not None
            and held_out.first <= image.frame <= held_out.last
        )
        parts[(image.sequence or image.name) in chosen or in_frames].append(image)
    return parts


def read_native(
    data: Path, pseudo: Path, sources: Sequence[NativeSourceConfig]
) -> list[list[LabelledImage]]:
    """The images of each set to train on, with their pseudo-labels; kept as by `ImageStore`.

    Args:
        data: folder that the paths of image sets start from.
        pseudo: folder that the paths of pseudo-labels start from.
        sources: the sets.
    """
    store = ImageStore()
    return [_read_one(data, pseudo, source, store.keep) for source in sources]


def _read_one(
    data: Path, pseudo: Path, source: NativeSourceConfig, keep: Keep
) -> list[LabelledImage]:
    images, _ = split(read_set(data, source.path, source.read, keep), source.held_out)
    if not source.pseudo_labels:
        return images
    found = read_pseudo_labels(pseudo / source.pseudo_labels)
    none = np.zeros((0, 5))
    return [with_pseudo_labels(i, found.get(i.image_id, none), source.pseudo) for i in images]


def read_held_out(data: Path, source: NativeSourceConfig) -> list[LabelledImage]:
    """The images of a set that choices are made on."""
    return split(read_set(data, source.path, source.read), source.held_out)[1]


class NativeSampler:
    """Draws samples that are a number of crops of every set.

    Args:
        images: of each source.
        sources: and how many crops of each.
        config: how they are cut.
        sampler: of the crops of one source.

    Raises:
        TrainingDataError: for sources without images or crops.
    """

    def __init__(
        self,
        images: Sequence[Sequence[LabelledImage]],
        sources: Sequence[NativeSourceConfig],
        config: PatchConfig,
        sampler: Callable[..., Sampler] = PatchSampler,
    ) -> None:
        for one, source in zip(images, sources, strict=True):
            if not one or source.crops < 0:
                raise TrainingDataError(
                    f"{source.path}: expected images to train on and crops of at least 0, "
                    f"got {len(one)} images and crops {source.crops}"
                )
        if sum(source.crops for source in sources) == 0:
            raise TrainingDataError("sources: expected crops of at least one set, got none")
        self._samplers = [
            (sampler([one], [source], config), source.crops)
            for one, source in zip(images, sources, strict=True)
        ]

    def draw(self, rng: np.random.Generator) -> list[Any]:
        """Draw the crops of one sample; the same generator state gives the same."""
        return [sampler.draw(rng) for sampler, crops in self._samplers for _ in range(crops)]

    def collate(self, samples: Sequence[list[Any]], rng: np.random.Generator) -> Batch:
        """All crops of all samples in one batch, in any order: a part of it is of all sets."""
        patches = [patch for sample in samples for patch in sample]
        mixed = [patches[i] for i in rng.permutation(len(patches))]
        batch: Batch = self._samplers[0][0].collate(mixed, rng)
        return batch
