"""Caltech Pedestrians.

Layout, as the official tool extracts it (Caltech evaluation code 3.2.1, ``dbExtract.m``, from the
published ``set00/V000.seq`` and ``annotations/set00/V000.vbb``)::

    images/set00/V000/I00029.jpg          or images/set00_V000_I00029.jpg
    annotations/set00/V000.vbb            or annotations/set00/V000/I00029.txt
                                          or annotations/set00_V000_I00029.txt (or .jpg.txt)

Text files are in the form of ``bbGt`` (Dollar's toolbox, ``detector/bbGt.m``, version 3): label,
x, y, width, height, occluded, the visible x, y, width, height, ignore, angle. The improved
annotations of Zhang et al. (CVPR 2016) are in this form, and are taken where they are there.
``.vbb`` files are MATLAB 7 files and need scipy (``pip install tasksr-training[caltech]``).

MATLAB counts pixels from 1: x and y are given less 1. Frames are numbered from 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import IMAGE_SUFFIXES
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_lines,
    read_each,
    reading,
    size_in_file,
    unknown,
    visible_share,
)

IGNORED = {"people": "group", "person?": "uncertain", "person-fa": "uncertain"}
NAME = re.compile(r"(set\d\d)[/_](V\d\d\d)[/_]I(\d{5})$")
TEXT_FORM = "lines of bbGt version 3 (12 columns, label first)"
VBB_FORM = "a vbb file of Caltech (nFrame, objLists, objLbl)"
OBJECT = "an object with the id of a label, pos, occl and posv"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read sets: ``split`` is a set's name, such as ``set00``, or a pattern: ``set0[0-5]``.

    Raises:
        TrainingDataError: for an image without annotation, or a vbb file without scipy.
    """
    people_of = _annotations(source / "annotations")
    images = []
    for path in sorted((source / "images").glob(f"{split}*/**/*.*")) + sorted(
        (source / "images").glob(f"{split}*_*.*")
    ):
        name = path.relative_to(source / "images").with_suffix("").as_posix()
        found = NAME.search(name)
        if path.suffix.lower() in IMAGE_SUFFIXES and found:
            people = people_of(found[1], found[2], int(found[3]))
            width, height, problem = size_in_file(path, "image")
            images.append(
                AnnotatedImage(
                    path.relative_to(source).as_posix(),
                    width,
                    height,
                    people,
                    f"{found[1]}_{found[2]}",
                    int(found[3]),
                    problem=problem,
                )
            )
    return images


def _annotations(folder: Path) -> Callable[[str, str, int], list[Person]]:
    """A function of set, video and frame that reads each vbb file once."""
    videos: dict[Path, list[list[Person]]] = {}

    def people_of(subset: str, video: str, frame: int) -> list[Person]:
        flat = f"{subset}_{video}_I{frame:05}"
        for name in (f"{subset}/{video}/I{frame:05}.txt", f"{flat}.txt", f"{flat}.jpg.txt"):
            if (folder / name).exists():
                return _read_text(folder / name)
        vbb = folder / subset / f"{video}.vbb"
        if not vbb.exists():
            raise TrainingDataError(f"{vbb}: expected annotations of frame {frame}, there are none")
        if vbb not in videos:
            videos[vbb] = _read_vbb(vbb)
        if frame >= len(videos[vbb]):
            raise TrainingDataError(
                f"{vbb}: expected at least {frame + 1} frames, got {len(videos[vbb])}"
            )
        return videos[vbb][frame]

    return people_of


def _read_text(path: Path) -> list[Person]:
    people = []
    for where, words in load_lines(path, TEXT_FORM):
        if words[0].startswith("%"):
            continue
        with reading(Path(where), TEXT_FORM):
            if len(words) != 12:
                raise ValueError(f"{len(words)} columns")
            numbers = [float(word) for word in words[1:]]
            x, y, w, h = numbers[:4]
            vx, vy, vw, vh = numbers[5:9]
            occluded, marked = bool(numbers[4]), bool(numbers[9])
            visible = (vx, vy, vw, vh)
            people.append(_person(where, words[0], (x, y, w, h), occluded, visible, marked))
    return people


def _read_vbb(path: Path) -> list[list[Person]]:
    """People of each frame."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise TrainingDataError(
            f"{path}: expected scipy to read vbb files, it is not installed: "
            "pip install tasksr-training[caltech], or extract the annotations as text"
        ) from None
    with reading(path, VBB_FORM):
        try:
            content = loadmat(path, squeeze_me=True, struct_as_record=False)["A"]
        except (MatReadError, NotImplementedError, OSError) as error:
            raise ValueError(str(error)) from error
        labels = [str(label) for label in np.atleast_1d(content.objLbl)]
        count = int(content.nFrame)
        # Squeezed, the list of a single frame is that frame.
        frames = np.atleast_1d(content.objLists) if count != 1 else [content.objLists]
        if len(frames) != count:
            raise ValueError(f"{len(frames)} objLists, nFrame is {count}")

        def frame(where: str, entries: Any) -> list[Person]:
            person = partial(_from_vbb, labels)
            return read_each(np.atleast_1d(entries), person, where, "object", OBJECT)

        return read_each(frames, frame, path, "frame", VBB_FORM)


def _from_vbb(labels: list[str], where: str, entry: Any) -> Person:
    x, y, w, h = (float(v) for v in entry.pos)
    vx, vy, vw, vh = (float(v) for v in np.broadcast_to(entry.posv, 4))
    number = int(entry.id)
    if not 1 <= number <= len(labels):
        raise ValueError(f"the id {number} with {len(labels)} labels")
    visible = (vx, vy, vw, vh)
    return _person(where, labels[number - 1], (x, y, w, h), bool(entry.occl), visible, False)


def _person(where: str, label: str, box: Box, occluded: bool, visible: Box, marked: bool) -> Person:
    """As in ``bbGt``: an empty visible box says nothing is hidden, the whole box that all is."""
    x, y, w, h = box
    if not occluded or not any(visible):
        share = 1.0
    else:
        share = 0.0 if visible == box else visible_share(box, visible)
    if label != "person" and label not in IGNORED:
        return unknown((x - 1, y - 1, w, h), where, label)
    reason = IGNORED.get(label, "marked" if marked else "")
    return Person((x - 1, y - 1, w, h), reason, share, {"occlusion": int(occluded)})
