"""What a study's YAML file says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from jsonargparse.typing import Path_fr

Upscaling = Literal["sr", "bicubic", "none", "hr"]


@dataclass(frozen=True)
class RunConfig:
    """One run of a stage, or one per seed.

    Attributes:
        name: of the run and its folder; with several seeds, each is ``NAME-SEED``.
        command: the stage; empty for a run that was trained elsewhere.
        config: YAML file of the stage's options, relative to the study's file.
        overrides: options in place of the file's, nested as in it. ``{run: NAME}`` in place of a
            path is the folder of an earlier run: the one of the same seed if it has several.
        seeds: of initialisation and data.
        trained: folder of a run or bundle that exists already, in place of all of the above.
    """

    name: str
    command: Literal["", "super-resolution", "detector", "task-driven"] = ""
    config: Path_fr | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [1])
    trained: str = ""


@dataclass(frozen=True)
class RowConfig:
    """One row of a table: what the detector sees, and which detector.

    Attributes:
        name: of the row.
        detector: run that holds the detector.
        upscaling: sr: super-resolved; bicubic; none: the LR image; hr: the HR image.
        sr: run that holds the super-resolution network.
        curve: in the plots, rows of one name are joined by a line.
    """

    name: str
    detector: str
    upscaling: Upscaling = "sr"
    sr: str = ""
    curve: str = ""


@dataclass(frozen=True)
class TableConfig:
    """Rows that are compared with one of them.

    Attributes:
        title: of the table.
        rows: from top to bottom.
        baseline: name of the row that differences refer to.
        bound: name of the row that cannot be beaten; empty: no shares of the gap.
        scale_factor: 2, 4 or 8.
        equal_macs: names of two rows whose operations should be equal; the report says whether
            they are within 5 %. Empty: none.
        subject: name of the row that the study is about: its gains and losses against the baseline
            choose the panels; empty: no panels.
        rivals: names of rows that the subject is compared with, each as a baseline.
        panels: names of the rows that the panels show.
    """

    title: str
    rows: list[RowConfig]
    baseline: str
    bound: str = ""
    scale_factor: int = 4
    equal_macs: list[str] = field(default_factory=list)
    subject: str = ""
    rivals: list[str] = field(default_factory=list)
    panels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SetConfig:
    """Images to measure on.

    Attributes:
        path: COCO JSON file, relative to the data folder.
        every: every n-th image is used.
    """

    path: str
    every: int = 1

    @property
    def name(self) -> str:
        """Of the columns: the path without its suffix."""
        return self.path.removesuffix(".json")
