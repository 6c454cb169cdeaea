"""KITTI object detection.

Layout, as published at cvlibs.net/datasets/kitti/eval_object.php (``devkit_object/readme.txt``)::

    training/label_2/000000.txt
    training/image_2/000000.png
    mapping/train_mapping.txt, mapping/train_rand.txt     optional, from the development kit

Each line has 15 columns: type, truncated (share outside the image, 0 to 1), occluded (0 visible,
1 partly, 2 largely, 3 unknown), alpha, left, top, right, bottom (px from 0), and the 3D box; a
16th is a score. Other tools write types in lower case, ``person``, and JPEG files.

What counts is what the hard level of the benchmark counts: at most largely occluded and at most
half truncated. Occlusion is a class, no share: ``vis_ratio`` is given for visible people only.
With the mapping, ``sequence`` and ``frame`` are those of the raw drive the image was taken from, as
`tasksr_training.readers.kitti_raw` gives them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tasksr_ros.evaluation.categories import is_pedestrian, word
from tasksr_training.annotations import Problem
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    image_beside,
    load_lines,
    reading,
    size_in_file,
    unknown,
)
from tasksr_training.readers.kitti_raw import drive_name

IGNORED = {"person_sitting": "sitting", "cyclist": "rider", "dontcare": "dont_care"}
OTHERS = ("car", "van", "truck", "tram", "misc")
"""Types that are no people."""
COLUMNS = (15, 16)
"""Of labels, and of results, which have a score."""
FORM = "lines of 15 columns (type, truncated, occluded, alpha, left, top, right, bottom, …)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: ``training``, the only one with labels."""
    drives = _drives(source / "mapping")
    paths = sorted((source / split / "label_2").glob("*.txt"))
    return [_image(path, source, split, drives) for path in paths]


def _image(
    path: Path, source: Path, split: str, drives: dict[int, tuple[str, int]]
) -> AnnotatedImage:
    lines = load_lines(path, FORM)
    people = [_person(where, words) for where, words in lines]
    pairs = zip(lines, people, strict=True)
    left_out = Counter(words[0] for (_, words), person in pairs if person is None)
    image = image_beside(source / split / "image_2" / f"{path.stem}.png")
    name = image.relative_to(source).as_posix()
    width, height, problem = size_in_file(image, str(path))
    number = int(path.stem) if path.stem.isdecimal() else -1  # other tools name them otherwise
    sequence, frame = drives.get(number, ("", None))
    kept = [p for p in people if p is not None]
    return AnnotatedImage(
        name, width, height, kept, sequence, frame, left_out=left_out, problem=problem
    )


def _person(where: str, words: list[str]) -> Person | None:
    with reading(Path(where), FORM):
        if len(words) not in COLUMNS:
            more = " (those of tracking have frame and id before)" if len(words) > 16 else ""
            raise ValueError(f"{len(words)} columns{more}")
        kind = word(words[0])
        if kind in OTHERS:
            return None
        truncated, occluded = float(words[1]), int(float(words[2]))
        if not (-1 <= truncated <= 1 and -1 <= occluded <= 3):
            raise ValueError(f"truncated {words[1]} (-1 to 1), occluded {words[2]} (-1 to 3)")
        x0, y0, x1, y1 = (float(word) for word in words[4:8])
    box: Box = (x0, y0, x1 - x0, y1 - y0)
    if not is_pedestrian(kind) and kind not in IGNORED:
        return unknown(box, where, words[0])
    reason = IGNORED.get(kind, "")
    if not reason and truncated > 0.5:
        reason = "truncated"
    if not reason and occluded == 3:
        reason = "occlusion_unknown"
    visible = 1 - truncated if occluded == 0 and truncated >= 0 else None
    more = {"occlusion": occluded, "truncation": truncated}
    scored = Problem("box with a score", where) if len(words) == COLUMNS[1] else None
    return Person(box, reason, visible, more, scored)


def _drives(folder: Path) -> dict[int, tuple[str, int]]:
    """Drive and frame by image number.

    Entry i of ``train_rand.txt`` is the line, from 1, of image i in ``train_mapping.txt``, which
    names the date, the drive and the frame.
    """
    mapping, order = folder / "train_mapping.txt", folder / "train_rand.txt"
    if not mapping.exists() or not order.exists():
        return {}
    rows = [words for _, words in load_lines(mapping, "lines of date, drive and frame")]
    with reading(order, "line numbers of train_mapping.txt, with commas"):
        lines = [int(word) for word in order.read_text().split(",")]
        return {i: (drive_name(rows[n - 1][1]), int(rows[n - 1][2])) for i, n in enumerate(lines)}
