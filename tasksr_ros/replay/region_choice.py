"""Which pixels a replay looks at: what ``--region`` means."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import Value

REGIONS = ("far", "full")
logger = logging.getLogger(__name__)


def region_values(choice: str, camera: CameraModel | None) -> dict[str, Value]:
    """Region parameters by full name.

    Args:
        choice: "far": by distance where the camera is calibrated, else the fixed band; "full":
            the whole image; or the path of a YAML file of region parameters.
        camera: intrinsics, None where they are not known.

    Raises:
        ConfigError: if there is no such file, or it holds something else.
    """
    if choice == "full":
        return {"region.mode": "full"}
    if choice == "far":
        if camera is None:
            logger.warning("region far: no camera intrinsics, so the fixed band of rows is taken")
        return {"region.mode": "fixed" if camera is None else "distance"}
    return read_region(Path(choice))


def read_region(path: Path) -> dict[str, Value]:
    """Region parameters by full name, of a YAML file.

    The file maps names like ``top`` to values, or is a parameter file of the node, of which only
    the region's parameters are taken.

    Raises:
        ConfigError: if there is no such file, or it is none of these.
    """
    expected = f"region must be {', '.join(REGIONS)} or a YAML file of region parameters"
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{expected}, got {str(path)!r}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} must be YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{expected}, got {path}, which holds no parameters")
    node = next((v for v in data.values() if isinstance(v, dict) and "ros__parameters" in v), None)
    if node is None:
        region = data.get("region", data)
        return {f"region.{name}": value for name, value in dict(region).items()}
    given = dict(node["ros__parameters"] or {})
    nested = given.get("region")
    values = {f"region.{k}": v for k, v in nested.items()} if isinstance(nested, dict) else {}
    return {**values, **{k: v for k, v in given.items() if k.startswith("region.")}}
