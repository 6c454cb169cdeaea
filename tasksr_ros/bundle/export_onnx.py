"""A bundle as one ONNX file, for other runtimes: ``tasksr export-onnx``."""

from __future__ import annotations

from pathlib import Path

from tasksr_ros.bundle.description import ForeignDetector
from tasksr_ros.bundle.files import load_bundle
from tasksr_ros.errors import BundleError


def export_onnx(source: str, out: Path) -> str:
    """Write the graph of a bundle, super-resolution in LR-space form.

    Args:
        source: the bundle's name or folder.
        out: file to write.

    Returns:
        What was written, for people.

    Raises:
        BundleError: if the bundle or the file does not serve.
        EngineError: if it cannot be exported here.
    """
    from tasksr_ros.engines.onnx_graph import onnx_graph

    bundle = load_bundle(source)
    if not out.parent.is_dir():
        raise BundleError(f"{out}: its folder does not exist")
    model = onnx_graph(bundle)
    try:
        out.write_bytes(model.SerializeToString())
    except OSError as error:
        raise BundleError(f"{out}: cannot be written: {error.strerror}") from None
    width, height = bundle.region_size
    number = 1 if isinstance(bundle.detector, ForeignDetector) else "N"
    size = "x".join(map(str, bundle.sr_size))
    return (
        f"{out}: regions ({number}, {height}, {width}, 3) uint8 RGB -> boxes ({number}, A, 4) in "
        f"px of {size}, scores and class_ids ({number}, A): {', '.join(bundle.classes)}"
    )
