"""A wider detector that starts as the same function, so that none is trained from nothing."""

from __future__ import annotations

from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_training.errors import TrainingError


def widened(detector: Detector, width: float) -> Detector:
    """A detector with more channels that gives what ``detector`` gives, until it is trained.

    The function-preserving widening of Net2Net (Chen, Goodfellow, Shlens, ICLR 2016, arXiv
    1511.05641), with new channels in place of copies: the first channels of every layer are the
    given detector's and do not look at the new ones, which start at random.

    Args:
        detector: the one that has been trained.
        width: of the result, not below the detector's.

    Raises:
        TrainingError: for a width that has fewer channels somewhere.
    """
    wide = Detector(width)
    state = wide.state_dict()
    for name, given in detector.state_dict().items():
        grown = state[name]
        if any(now < before for now, before in zip(grown.shape, given.shape, strict=True)):
            raise TrainingError(
                f"expected a width with no fewer channels than the detector's {detector.width}, "
                f"got {width}: {name} is {tuple(given.shape)}, it would be {tuple(grown.shape)}"
            )
        if given.dim() == 4:  # a kernel: (out, in, height, width)
            grown[: len(given), given.shape[1] :] = 0
        grown[tuple(slice(0, n) for n in given.shape)] = given
    wide.load_state_dict(state)
    return wide.eval()
