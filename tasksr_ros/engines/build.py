"""Compiled models before they are needed: ``tasksr build-engine``."""

from __future__ import annotations

import time
from dataclasses import replace

from tasksr_ros.bundle import Bundle, OwnDetector, load_bundle
from tasksr_ros.config import EngineConfig, NearConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.engines.cache import cache_folder
from tasksr_ros.engines.verification import verify
from tasksr_ros.model import near_bundle, near_engine


def build_and_verify(source: str, config: EngineConfig, near: NearConfig) -> str:
    """Build the configured engines into the cache, or find them there, and compare with torch.

    One that does not fit is rebuilt, whatever ``on_mismatch`` says.

    Args:
        source: a bundle's path or name.
        config: of the engines.
        near: of the near pass, which has an engine of its own.

    Returns:
        What there is now, for people to read.

    Raises:
        BundleError: if the bundle is missing or broken.
        EngineError: if the engine cannot run here, or does not compute what torch does.
    """
    bundle = load_bundle(source)
    config = replace(config, on_mismatch="rebuild")
    lines = [_built(bundle, config, "regions")]
    whole = near_bundle(bundle, near)
    if whole is not None and whole != bundle:
        lines.append(_built(whole, near_engine(config), "whole images"))
    return "\n".join([*lines, f"compiled models are in {cache_folder(config)}"])


def _built(bundle: Bundle, config: EngineConfig, what: str) -> str:
    start = time.monotonic()
    engine = build_engine(bundle, config)
    ready = time.monotonic() - start
    compared = "not compared, torch does not run the detectors of others"
    if isinstance(bundle.detector, OwnDetector):
        compared = str(verify(engine, bundle, config))
    width, height = bundle.region_size
    return (
        f"engine {engine.name} runs {bundle.name} in {config.precision} for {what} of "
        f"{width}x{height} px: {compared}; ready in {ready:.1f} s"
    )
