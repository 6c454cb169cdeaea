"""A model on disk: ``model.yaml``, the files that it names, and a card; see `description`."""

from tasksr_ros.bundle.description import (
    Bundle,
    ForeignDetector,
    InputFormat,
    OwnDetector,
    SuperResolution,
    SuperResolutionBundle,
)
from tasksr_ros.bundle.files import (
    find_bundle,
    load_any_bundle,
    load_bundle,
    models_folders,
    shipped_bundles,
)
from tasksr_ros.bundle.on_disk import CARD, DESCRIPTION, sha256
from tasksr_ros.bundle.save import save_bundle

__all__ = [
    "CARD",
    "DESCRIPTION",
    "Bundle",
    "ForeignDetector",
    "InputFormat",
    "OwnDetector",
    "SuperResolution",
    "SuperResolutionBundle",
    "find_bundle",
    "load_any_bundle",
    "load_bundle",
    "models_folders",
    "save_bundle",
    "sha256",
    "shipped_bundles",
]
