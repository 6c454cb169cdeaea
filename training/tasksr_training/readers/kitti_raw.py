"""KITTI raw drives with tracklets, as boxes that are projected from 3D.

Layout, as published at cvlibs.net/datasets/kitti/raw_data.php ("synced+rectified", with tracklets;
``devkit_raw_data/readme.txt``)::

    2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt
    2011_09_26/2011_09_26_drive_0005_sync/tracklet_labels.xml
    2011_09_26/2011_09_26_drive_0005_sync/image_02/data/0000000000.png
    2011_09_26/2011_09_26_drive_0005_sync/image_02/timestamps.txt       optional

A tracklet is a box of h, w, l metres whose bottom centre is at tx, ty, tz in the coordinates of the
laser scanner of that frame (x ahead, y left, z up), turned by rz about z. The poses are relative to
the vehicle, so that oxts is not needed. 2D boxes are the hull of the eight projected corners,
clipped to the image: a bit loose. Objects without a tracklet are unlabelled, and there are such.

What is fully occluded or less than half inside the image is ignored; what is labelled as out of the
image, or has a corner behind the camera, is left out. ``vis_ratio`` is the share inside the image,
for visible people only; ``distance_m`` is that of the box's middle along the camera's axis.
A drive's folder, without ``_sync``, is the ``sequence``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.categories import is_pedestrian, word
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_lines,
    reading,
    unknown,
)

IGNORED = {"cyclist": "rider", "person (sitting)": "sitting"}
OTHERS = ("car", "van", "truck", "tram", "misc")
"""Types that are no people; case does not matter."""
FULLY_OCCLUDED = 2
TRUNCATIONS = (0, 1)
"""In the image, or cut by its edge; the others are out of it or behind it."""
LEAST_DEPTH = 0.1
"""m; a corner nearer than this cannot be projected."""
LEAST_SHARE = 0.5
"""Share of the box inside the image below which a person is ignored, as in KITTI object."""
FORM = "the calibration of KITTI raw (lines of a name, a colon and numbers)"
TRACKLETS = "KITTI tracklets in XML"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read drives: ``split`` is a folder's name in that of a date, or ``*`` for all drives.

    Where ``source`` itself is a drive, with its calibration in it or beside it, that drive is read.
    """
    if (source / "tracklet_labels.xml").exists():
        return _drive(source, source)
    found = sorted(source.glob(f"*/{split}/tracklet_labels.xml"))
    return [image for path in found for image in _drive(path.parent, source)]


def drive_name(folder: str) -> str:
    """Name of a drive, ``2011_09_26_drive_0005``, from that of its folder: without ``_sync``."""
    return folder.removesuffix("_sync")


def _drive(folder: Path, source: Path) -> list[AnnotatedImage]:
    calibration = folder if (folder / "calib_cam_to_cam.txt").exists() else folder.parent
    projection, size = _projection(calibration)
    people: dict[int, list[Person]] = defaultdict(list)
    others: dict[int, Counter[str]] = defaultdict(Counter)
    path = folder / "tracklet_labels.xml"
    with reading(path, TRACKLETS):
        for frame, label in _labels(path, projection, size):
            if isinstance(label, Person):
                people[frame].append(label)
            else:
                others[frame][label] += 1
    stamps = _stamps(folder / "image_02" / "timestamps.txt")
    images = sorted(
        p for p in (folder / "image_02" / "data").glob("*.*") if p.suffix in (".png", ".jpg")
    )
    with reading(folder / "image_02", "images named by frame numbers"):
        return [
            AnnotatedImage(
                path.relative_to(source).as_posix(),
                *size,
                people[int(path.stem)],
                drive_name(folder.absolute().name),
                int(path.stem),
                {"stamp_ns": stamps[int(path.stem)]} if stamps else {},
                left_out=others[int(path.stem)],
            )
            for path in images
        ]


def _projection(folder: Path) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Laser to px of camera 2 as (3, 4), and that camera's width and height."""
    camera = _calibration(folder / "calib_cam_to_cam.txt")
    laser = _calibration(folder / "calib_velo_to_cam.txt")
    with reading(folder, FORM):
        to_camera = np.eye(4)
        to_camera[:3] = np.c_[laser["R"].reshape(3, 3), laser["T"]]
        rectified = np.eye(4)
        rectified[:3, :3] = camera["R_rect_00"].reshape(3, 3)
        width, height = camera["S_rect_02"]
        return camera["P_rect_02"].reshape(3, 4) @ rectified @ to_camera, (int(width), int(height))


def _calibration(path: Path) -> dict[str, NDArray[np.float64]]:
    lines = load_lines(path, FORM)
    with reading(path, FORM):
        return {
            words[0].rstrip(":"): np.array([float(w) for w in words[1:]])
            for _, words in lines
            if words[0] not in ("calib_time:",)
        }


def _tracklets(path: Path) -> Iterator[ElementTree.Element]:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise TrainingDataError(f"{path}: expected {TRACKLETS}, got {error}") from error
    yield from root.iterfind("tracklets/item")


def _labels(
    path: Path, projection: NDArray[np.float64], size: tuple[int, int]
) -> Iterator[tuple[int, Person | str]]:
    """Frame number and person for each pose that shows in the image, or a type of no people."""
    for track, tracklet in enumerate(_tracklets(path)):
        where = f"{path}: tracklet[{track}]"
        with reading(where, TRACKLETS):
            yield from _poses(where, track, tracklet, projection, size)


def _poses(
    where: str,
    track: int,
    tracklet: ElementTree.Element,
    projection: NDArray[np.float64],
    size: tuple[int, int],
) -> Iterator[tuple[int, Person | str]]:
    kind, first = _text(tracklet, "objectType"), int(_text(tracklet, "first_frame"))
    poses = enumerate(tracklet.iterfind("poses/item"), first)
    if word(kind) in OTHERS:
        yield from ((frame, kind) for frame, _ in poses)
        return
    h, w, length = (float(_text(tracklet, name)) for name in "hwl")
    for frame, pose in poses:
        person = _person(pose, IGNORED.get(word(kind), ""), (h, w, length), projection, size)
        if person is None:
            continue
        if not is_pedestrian(kind) and word(kind) not in IGNORED:
            person = unknown(person.box, f"{where}, frame {frame}", kind)
        yield frame, replace(person, more={**person.more, "track_id": track})


def _person(
    pose: ElementTree.Element,
    reason: str,
    size_3d: tuple[float, float, float],
    projection: NDArray[np.float64],
    size: tuple[int, int],
) -> Person | None:
    occlusion, truncation = int(_text(pose, "occlusion")), int(_text(pose, "truncation"))
    place = np.array([float(_text(pose, name)) for name in ("tx", "ty", "tz")])
    corners = box_corners(size_3d, place, float(_text(pose, "rz")))
    projected = projection @ np.c_[corners, np.ones(8)].T
    if truncation not in TRUNCATIONS or projected[2].min() < LEAST_DEPTH:
        return None
    points = projected[:2] / projected[2]
    low, high = points.min(1), points.max(1)
    inside = np.clip(low, 0, size), np.clip(high, 0, size)
    shown, whole = inside[1] - inside[0], high - low
    if (shown <= 0).any():
        return None
    box: Box = (inside[0][0], inside[0][1], shown[0], shown[1])
    more = {
        "occlusion": occlusion,
        "truncation": truncation,
        "distance_m": round(float(projected[2].mean()), 1),
    }
    share = float(shown.prod() / whole.prod())
    if not reason and (occlusion == FULLY_OCCLUDED or share < LEAST_SHARE):
        reason = "occluded" if occlusion == FULLY_OCCLUDED else "truncated"
    return Person(box, reason, share if occlusion == 0 else None, more)


def box_corners(
    size_3d: tuple[float, float, float], place: NDArray[np.float64], rotation: float
) -> NDArray[np.float64]:
    """(8, 3) corners of a box of height, width, length standing at ``place``, turned about z."""
    height, width, length = size_3d
    corners = np.array(
        [
            (sx * length / 2, sy * width / 2, z)
            for sx in (-1, 1)
            for sy in (-1, 1)
            for z in (0, height)
        ]
    )
    cos, sin = math.cos(rotation), math.sin(rotation)
    turned: NDArray[np.float64] = corners @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T
    return turned + place


def _stamps(path: Path) -> list[int]:
    """Unix time in ns of each frame (the file is in UTC); empty without the file."""
    if not path.exists():
        return []
    stamps = []
    for where, words in load_lines(path, "lines of date and time with nanoseconds"):
        with reading(Path(where), "a date and a time with nanoseconds"):
            seconds, _, fraction = " ".join(words).partition(".")
            moment = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
            stamps.append(int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0")))
    return stamps


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(name)
    if found is None:
        raise ValueError(f"<{element.tag}> without <{name}>")
    return found
