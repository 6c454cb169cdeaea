"""The report's gallery: what was found or missed, cut from the images, as LR | bicubic | SR."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError, TaskSRError
from tasksr_ros.evaluation.summary import Example
from tasksr_ros.io.frames import crop_rgb, to_bgr
from tasksr_ros.io.named_images import NamedImages
from tasksr_ros.io.stills import read_still

Image: TypeAlias = NDArray[np.uint8]
SuperResolve: TypeAlias = Callable[[Image], Image]
"""(H, W, 3) uint8 RGB -> (H·s, W·s, 3) uint8 RGB."""

Corners: TypeAlias = tuple[int, int, int, int]

SCALE_FACTOR = 4
"""Of the bicubic picture, where there is no super-resolution to compare with."""
_LEAST_HEIGHT = 40
"""Image px that a crop shows at least: someone of 15 px needs surroundings."""
_SURROUNDINGS = 1.9
"""Height of a crop per height of its box."""
_ASPECT = 0.75
_WIDE_SURROUNDINGS, _WIDE_ASPECT = 1.4, 2.25
"""Of the one picture of somebody close: as wide as three."""
_MARGIN = 8
"""Image px around a crop that the network sees and the page does not."""
_MOST_HEIGHT = 272
"""Px of a picture on the page: of larger ones the page would grow, not the insight."""
_MOST_ENLARGED = 136
"""Image px of the highest crop that is enlarged: beyond, the page could not show it."""
_QUALITY = 86


@dataclass(frozen=True)
class Picture:
    """A crop as the page shows it.

    Attributes:
        kind: "LR", "bicubic" or "SR"; "image" for someone close, in their surroundings.
        uri: a data URI.
        outline: x, y, width, height of the box, as percentages of the picture.
    """

    kind: str
    uri: str
    outline: tuple[float, float, float, float]

    @property
    def outlined(self) -> bool:
        """Whether the outline is drawn: the enlarged ones stay untouched."""
        return self.kind in ("LR", "image")


@dataclass(frozen=True)
class Crop:
    """What there is to see of one example: its pictures, or the reason why there are none."""

    pictures: tuple[Picture, ...] = ()
    missing: str = ""


def make_crops(
    examples: Sequence[Example], images: Path | None, super_resolve: SuperResolve | None
) -> list[Crop]:
    """Cut the examples from their images, each of which is decoded once.

    Args:
        examples: of the summary.
        images: the folder that ``file_name`` starts from, or one further down the path, or a
            recording whose stamps are those of the examples.
        super_resolve: makes the SR picture; None leaves it out.

    Returns:
        As many crops, in the same order.
    """
    if images is None:
        return [Crop(missing="no images were given") for _ in examples]
    crops = [Crop(missing=f"its image is not in {images.name}") for _ in examples]
    for image, places in _read(examples, images):
        made: dict[tuple[float, ...], Crop] = {}  # runs share many of their errors
        for place in places:
            example = examples[place]
            box = tuple(example["bbox"])
            if image is None:
                made[box] = Crop(missing=f"{example['file_name']} cannot be read")
            elif box not in made:
                made[box] = _crop(box, image, super_resolve)
            crops[place] = made[box]
    return crops


def _read(examples: Sequence[Example], images: Path) -> Iterator[tuple[Image | None, list[int]]]:
    """Every image (RGB, None if unreadable) with the places of the examples in it."""
    by_stamp: dict[int, list[int]] = {}
    by_file: dict[Path, list[int]] = {}
    files = _files(examples, images)
    for place, example in enumerate(examples):
        file = files.get(example["file_name"] or "")
        if file is not None:
            by_file.setdefault(file, []).append(place)
        elif example["stamp_ns"] is not None and not files:
            by_stamp.setdefault(example["stamp_ns"], []).append(place)
    for file, places in by_file.items():
        try:
            still = read_still(file)
        except ImageError:
            yield None, places
        else:
            yield crop_rgb(still, 0, 0, *still.size), places
    of_one_image = {
        stamp: places
        for stamp, places in by_stamp.items()
        if len({examples[place]["image_id"] for place in places}) == 1  # not of two cameras
    }
    if of_one_image:
        yield from _read_recording(of_one_image, images)


def _files(examples: Sequence[Example], images: Path) -> dict[str, Path]:
    """Files by ``file_name``, as a replay finds them; none where it is not certain which."""
    names = list(dict.fromkeys(example["file_name"] or "" for example in examples))
    found: dict[str, Path] = {}
    if images.is_dir():
        with suppress(TaskSRError):
            for match in NamedImages(images / "examples", names).below(images):
                for file, position in match.positions.items() if match.whole else ():
                    found[names[position]] = match.folder / file
    return found


def _read_recording(
    by_stamp: dict[int, list[int]], path: Path
) -> Iterator[tuple[Image, list[int]]]:
    """The same of a bag, video or folder by stamp; what cannot be read stays without a picture."""
    from tasksr_ros.io.recording import Readable
    from tasksr_ros.io.recordings import open_recording

    wanted = dict(by_stamp)
    try:
        for frame in Readable(open_recording(path), lambda item: item.load()):
            if frame.stamp_ns in wanted:
                image = cv2.cvtColor(to_bgr(frame), cv2.COLOR_BGR2RGB)
                yield np.asarray(image, np.uint8), wanted.pop(frame.stamp_ns)
            if not wanted:
                return
    except TaskSRError:
        return


def _crop(box: Sequence[float], image: Image, super_resolve: SuperResolve | None) -> Crop:
    if not _inside(box, image):
        return Crop(missing="its box lies outside of its image")
    corners = _corners(box, image, _ASPECT, _SURROUNDINGS)
    if corners[3] - corners[1] > _MOST_ENLARGED:
        corners = _corners(box, image, _WIDE_ASPECT, _WIDE_SURROUNDINGS)
        return Crop((Picture("image", _uri(_cut(image, corners)), _outline(box, corners)),))
    lr, outline = _cut(image, corners), _outline(box, corners)
    pictures = {"LR": lr}
    size = (lr.shape[1] * SCALE_FACTOR, lr.shape[0] * SCALE_FACTOR)
    if super_resolve is not None:
        pictures["SR"] = _with_margin(image, corners, super_resolve)
        size = (pictures["SR"].shape[1], pictures["SR"].shape[0])
    bicubic = cv2.resize(lr, size, interpolation=cv2.INTER_CUBIC)
    pictures["bicubic"] = np.asarray(bicubic, np.uint8)
    shown = [kind for kind in ("LR", "bicubic", "SR") if kind in pictures]
    return Crop(tuple(Picture(kind, _uri(pictures[kind]), outline) for kind in shown))


def _inside(bbox: Sequence[float], image: Image) -> bool:
    """Whether any of a box lies in the image."""
    x, y, width, height = bbox
    return x < image.shape[1] and y < image.shape[0] and x + width > 0 and y + height > 0


def _corners(bbox: Sequence[float], image: Image, aspect: float, surroundings: float) -> Corners:
    """x0, y0, x1, y1 around a box, inside the image, of one aspect (width per height)."""
    x, y, width, height = bbox
    rows, columns = image.shape[:2]
    tall = max(_LEAST_HEIGHT, surroundings * height, 1.2 * width / aspect)
    h = max(1, min(round(tall), rows, int(columns / aspect)))
    w = max(1, round(aspect * h))
    x0 = int(np.clip(round(x + width / 2 - w / 2), 0, columns - w))
    y0 = int(np.clip(round(y + height / 2 - h / 2), 0, rows - h))
    return x0, y0, x0 + w, y0 + h


def _cut(image: Image, corners: Corners) -> Image:
    x0, y0, x1, y1 = corners
    return image[y0:y1, x0:x1]


def _outline(bbox: Sequence[float], corners: Corners) -> tuple[float, float, float, float]:
    x, y, width, height = bbox
    x0, y0, x1, y1 = corners
    across, down = 100 / (x1 - x0), 100 / (y1 - y0)
    return across * (x - x0), down * (y - y0), across * width, down * height


def _with_margin(image: Image, corners: Corners, super_resolve: SuperResolve) -> Image:
    """Super-resolve a crop in its surroundings, then cut those off."""
    rows, columns = image.shape[:2]
    x0, y0, x1, y1 = corners
    left, top = max(0, x0 - _MARGIN), max(0, y0 - _MARGIN)
    wide = image[top : min(rows, y1 + _MARGIN), left : min(columns, x1 + _MARGIN)]
    sr = super_resolve(np.ascontiguousarray(wide))
    s = sr.shape[0] // wide.shape[0]
    return sr[(y0 - top) * s : (y1 - top) * s, (x0 - left) * s : (x1 - left) * s]


def _uri(rgb: Image) -> str:
    """A data URI: lossless where small, so that LR pixels can be counted, else WebP."""
    if rgb.shape[0] > _MOST_HEIGHT:
        size = (max(1, round(rgb.shape[1] * _MOST_HEIGHT / rgb.shape[0])), _MOST_HEIGHT)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    kind, options = "webp", [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
    if rgb.shape[0] <= 2 * _LEAST_HEIGHT:
        kind, options = "png", [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, data = cv2.imencode(f".{kind}", bgr, options)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
