"""Which camera of a ground truth each image topic is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasksr_ros.errors import RecordingError

_TRANSPORTS = ("compressed", "compressedDepth", "theora", "ffmpeg")


def cameras_of(
    topics: Sequence[str], names: Sequence[str], path: Path, notes: list[str] | None = None
) -> dict[str, str]:
    """The ground truth's camera for each image topic.

    A name fits a topic that ends with it, with or without the topic's last part (``image_raw``),
    or has it within; slashes and underscores are one, case does not matter. The best fit counts:
    at the end before within, then the longer one. The only camera of the ground truth is the only
    topic's, whatever its name; where it does not fit, that is noted.

    Args:
        topics: of the images; an empty one of what is no bag.
        names: of the ground truth's cameras, each once; empty of images that name none.
        path: of the ground truth.
        notes: grows by what was guessed.

    Raises:
        RecordingError: if a topic may be none or either of two, or two topics the same one.
    """
    if len(topics) == len(names) == 1:
        topic, name = topics[0], names[0]
        if topic and name and _fit(topic, name) == (0, 0) and notes is not None:
            notes.append(f"{topic} is taken for {name!r}, the only camera of {path}")
        return {topic: name}
    found: dict[str, str] = {}
    for topic in topics:
        name = _camera(topic, names, path)
        other = next((t for t, n in found.items() if n == name), None)
        if other is not None:
            raise RecordingError(
                f"camera {name!r} of {path} may be that of {other} or of {topic}: expected a "
                f"camera for each topic, got {_listed(names)}"
            )
        found[topic] = name
    return found


def _camera(topic: str, names: Sequence[str], path: Path) -> str:
    fits = {name: _fit(topic, name) for name in names}
    best = [name for name in names if fits[name] == max(fits.values()) > (0, 0)]
    if not best:
        raise RecordingError(
            f"{path} must name the camera of {topic or 'the recording'} for its images, "
            f"got {_listed(names)}"
        )
    if len(best) > 1:
        raise RecordingError(
            f"{topic} may be the camera {best[0]!r} or {best[1]!r} of {path}: expected one"
        )
    return best[0]


def _fit(topic: str, name: str) -> tuple[int, int]:
    """2 at the end, 1 within, 0 not at all; and how many parts of the topic it is."""
    parts = [part for part in topic.casefold().split("/") if part]
    if parts and parts[-1] in [transport.casefold() for transport in _TRANSPORTS]:
        parts.pop()
    wanted = name.casefold().strip("/").removesuffix("/compressed").replace("/", "_")
    spans = [
        (2 if end >= len(parts) - 1 else 1, end - start)
        for start in range(len(parts))
        for end in range(start + 1, len(parts) + 1)
        if "_".join(parts[start:end]) == wanted
    ]
    return max(spans, default=(0, 0))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "images without one" for name in names)
