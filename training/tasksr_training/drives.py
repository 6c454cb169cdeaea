"""Generated drives as training data: many short ones, so that looks and streets vary."""

from __future__ import annotations

from pathlib import Path

from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive


def write_drives(
    out: Path, count: int = 10, frames: int = 12, seed: int = 1000, fps: float = 1.0
) -> list[Path]:
    """Render drives into ``out/drive-<seed>``.

    Args:
        out: folder to write to.
        count: number of drives, each with its own street and people.
        frames: frames per drive.
        seed: of the first drive; the others follow.
        fps: frames per second: few for much that is new in each, 10 to 30 for video.

    Returns:
        Their COCO JSON files.
    """
    return [
        write_coco(
            GeneratedDrive(DriveConfig(seed=s, num_frames=frames, fps=fps, min_distance=10.0)),
            out / f"drive-{s}",
        )
        for s in range(seed, seed + count)
    ]
