"""The networks in the form that an engine compiles."""

from __future__ import annotations

from tasksr_ros.bundle import Bundle
from tasksr_ros.networks.dbpn import DBPN
from tasksr_ros.networks.lr_space import to_lr_space
from tasksr_ros.networks.tdsr import TDSR


def load_graph(bundle: Bundle, form: str) -> TDSR:
    """The bundle's networks in eval mode on the CPU.

    Args:
        bundle: what to load.
        form: "reference", or "lr_space", which networks without one are left out of.

    Raises:
        BundleError: if the weights do not fit.
    """
    tdsr = bundle.load()
    if form == "reference" or not isinstance(tdsr.sr, DBPN):
        return tdsr
    width, height = bundle.region_size
    return TDSR(to_lr_space(tdsr.sr, (height, width)), tdsr.detector).eval()
