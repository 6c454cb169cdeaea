"""What the detector is to see in SR: its own outputs on HR, raised to its best views of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tasksr_training.adapt.frozen import Seen
from tasksr_training.adapt.losses import partners
from tasksr_training.boxes import iou

_LEAST = 1e-6


@torch.no_grad()
def targets(
    got: Seen, on_hr: Seen, people: Tensor, least_score: float, same: float
) -> tuple[Seen, Tensor]:
    """What is wanted in place of what was got, and how much each box of it counts.

    Args:
        got: on SR.
        on_hr: on HR.
        people: (N, M, 5) xyxy px and score of who is in the patches; rows of nobody are zero.
        least_score: a person has at least this score.
        same: IoU from which on a box of the detector is that of a person.

    Returns:
        What is wanted, and (N, A) weights; see `raised` and `person_weights`.
    """
    people = people * (people[..., 4:] >= least_score)
    wanted = raised(on_hr, people, same)
    if got.ranked:
        wanted = partners(got, wanted)
    return wanted, person_weights(wanted, people, same)


@torch.no_grad()
def raised(seen: Seen, people: Tensor, same: float) -> Seen:
    """Scores of a person's boxes, multiplied until the best one has the person's score.

    Scores above it stay as they are. Raised ones have the person's box.
    """
    mine, owner = _owners(seen, people, same)
    best = torch.zeros_like(people[..., 4])
    best = best.scatter_reduce(1, owner, seen.scores * mine, "amax")
    gain = (people[..., 4] / best.clamp(min=_LEAST)).clamp(min=1).gather(1, owner)
    higher = mine & (gain > 1)
    of_owner = people[..., :4].gather(1, owner[..., None].expand(-1, -1, 4))
    return replace(
        seen,
        scores=torch.where(higher, seen.scores * gain, seen.scores),
        boxes=torch.where(higher[..., None], of_owner, seen.boxes),
    )


@torch.no_grad()
def person_weights(wanted: Seen, people: Tensor, same: float) -> Tensor:
    """(N, A) weights by which each person counts as much as any other, with many boxes or few.

    A person's share is the sum of the wanted scores of their boxes, at least 1; boxes of nobody
    have a weight of 1, those of a person with an average share as well.
    """
    mine, owner = _owners(wanted, people, same)
    share = torch.zeros_like(people[..., 4]).scatter_add(1, owner, wanted.scores * mine)
    there = share > 0
    share = share.clamp(min=1)
    average = share[there].mean() if there.any() else share.new_ones(())
    return torch.where(mine, average / share.gather(1, owner), torch.ones_like(wanted.scores))


def _owners(seen: Seen, people: Tensor, same: float) -> tuple[Tensor, Tensor]:
    """(N, A) whether a box is that of a person, and of which."""
    overlap, owner = iou(seen.boxes[:, :, None], people[:, None, :, :4]).max(2)
    return overlap >= same, owner
