"""Stamps in a text file beside images: a line for each, with or without the image's name.

KITTI's ``timestamps.txt`` and ``times.txt``, TUM's ``rgb.txt`` and ``times.txt``, EuRoC's
``data.csv``, and others of these forms.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import TypeAlias

Cells: TypeAlias = tuple[str, ...]
_NAMES = ("times", "timestamps", "timestamp", "stamps", "image_timestamps")
_SUFFIXES = (".txt", ".csv")
_LARGEST = 1 << 26
"""Bytes; a larger file is no list of stamps."""
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_UNITS_NS = {
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanosec", "nanoseconds"), 1),
    **dict.fromkeys(("us", "usec", "usecs", "microsec", "microseconds"), 10**3),
    **dict.fromkeys(("ms", "msec", "msecs", "millisec", "milliseconds"), 10**6),
    **dict.fromkeys(("s", "sec", "secs", "seconds"), 10**9),
}
_SINCE_1970 = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (10**8, 10**9))
"""From which number on it counts ns, us, ms and s since 1970."""
_LAST_NS = Decimal(2**63 - 1)
_STEPS_S = (0.001, 10.0)
"""What may lie between two images, in s, whose list names no unit and does not begin in 1970."""


def stamp_list(images: Sequence[Path]) -> tuple[list[int] | None, list[str]]:
    """The stamps of a folder's images in a list beside or above them.

    Args:
        images: all images of one folder, in order.

    Returns:
        the stamps, ns, of the first list that fits all images, None where none does; and lines
        that say which it is, and why others that are called one are not.
    """
    notes = []
    for path in _candidates(images[0].parent):
        try:
            stamps, how = read_list(path, images)
        except (OSError, ValueError) as error:
            if _is_called_so(path):
                notes.append(f"{path} is not taken for the images' stamps: {error}")
            continue
        return stamps, [*notes, f"the images' stamps are read from {path}, {how}"]
    return None, notes


def read_list(path: Path, images: Sequence[Path]) -> tuple[list[int], str]:
    """Stamps of the images, ns, and how their lines were found.

    Raises:
        ValueError: if they are none, or do not fit the images.
        OSError: if it cannot be read.
    """
    header, columns = _table(path)
    named = _lines_by_name(columns, images) if len(columns) > 1 else None
    if named is None:
        if not _is_called_so(path):
            raise ValueError("it does not name the images")
        return _by_line(_stamps(header, columns, may_stall=True), images)
    column, lines = named
    others = [k for k in range(len(columns)) if k != column]
    heads = [header[k] for k in others if header]
    stamps = _stamps(heads, [columns[k] for k in others], may_stall=_is_called_so(path))
    return [stamps[line] for line in lines], "by the images' names"


def _candidates(folder: Path) -> Iterator[Path]:
    """Files that may be lists: first those called so, then those called as the folder."""
    for place in (folder, folder.parent):
        try:
            found = [p for p in sorted(place.iterdir()) if p.suffix.lower() in _SUFFIXES]
        except OSError:
            continue
        for stem in (*_NAMES, folder.name.casefold()):
            yield from (p for p in found if p.stem.casefold() == stem)


def _is_called_so(path: Path) -> bool:
    return path.stem.casefold() in _NAMES


def _table(path: Path) -> tuple[list[str], list[Cells]]:
    """The heads of the columns, if it has some, and the columns."""
    if path.stat().st_size > _LARGEST:
        raise ValueError("it is too long")
    header: list[str] = []
    rows: list[list[str]] = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        cells = _cells(line.lstrip("# \t"))
        if line.lstrip().startswith("#") or (not rows and not re.search(r"\d", line)):
            header = cells if cells and not rows else header
        elif cells:
            rows.append(cells)
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise ValueError("expected lines with as many values each")
    columns = list(zip(*rows, strict=True))
    return header if len(header) == len(columns) else [], columns


def _cells(line: str) -> list[str]:
    line = _MOMENT.sub(lambda m: m.group().replace(" ", "T"), line.strip())
    separator = next((mark for mark in ",;\t" if mark in line), None)
    return [cell.strip().strip("\"'") for cell in line.split(separator)]


def _lines_by_name(
    columns: Sequence[Cells], images: Sequence[Path]
) -> tuple[int, list[int]] | None:
    """The column that names the images, and the line of each image."""
    most = 0
    for wanted in ([image.name for image in images], [image.stem for image in images]):
        for k, column in enumerate(columns):
            names = [PurePosixPath(cell.replace("\\", "/")).name for cell in column]
            lines = {name: line for line, name in enumerate(names)}
            found = [lines[name] for name in wanted if name in lines]
            if len(found) == len(wanted) and len(lines) == len(names):
                return k, found
            most = max(most, len(found))
    if most:
        raise ValueError(f"it names {most} of the {len(images)} images once")
    return None


def _by_line(stamps: Sequence[int], images: Sequence[Path]) -> tuple[list[int], str]:
    """Line n belongs to the n-th image, or, where some images are missing, to number n."""
    numbered = all(image.stem.isdecimal() for image in images)
    steps = {int(b.stem) - int(a.stem) for a, b in itertools.pairwise(images)} if numbered else ()
    if len(stamps) == len(images) and len(steps) < 2:
        return list(stamps), "line by line"
    if not numbered:
        raise ValueError(
            f"expected a stamp for each image of {images[0].parent}, as these are not numbered, "
            f"got {len(stamps)} for {len(images)}"
        )
    numbers = [int(image.stem) for image in images]
    if max(numbers) >= len(stamps):
        raise ValueError(
            f"expected a stamp for image {max(numbers)} of {images[0].parent}, got {len(stamps)} "
            f"stamps"
        )
    return [stamps[number] for number in numbers], "by number, counted from 0"


def _stamps(header: Sequence[str], columns: Sequence[Cells], *, may_stall: bool) -> list[int]:
    """The one column of stamps, ns; one that does not rise only where it is called so."""
    called = [k for k, head in enumerate(header) if re.search("time|stamp", head.casefold())]
    pair = _seconds_and_nanoseconds(header, columns)
    if pair is not None:
        return pair
    found, reasons = [], []
    for k in called or range(len(columns)):
        try:
            found.append(_of_column(header[k] if header else "", columns[k]))
        except ValueError as error:
            reasons.append(str(error))
    parts = len({_said(head) for head in header} - {None}) > 1  # such as s and ms
    if (len(found) > 1 and not parts) or not (called or may_stall):
        found = [stamps for stamps in found if _rise(stamps)]
    if len(found) != 1:
        several = f"{len(found)} of its {len(columns)} columns may be stamps"
        raise ValueError(several if found or not reasons else reasons[0])
    return found[0]


def _seconds_and_nanoseconds(header: Sequence[str], columns: Sequence[Cells]) -> list[int] | None:
    """Stamps of two columns beside each other, whole seconds and the nanoseconds after them."""
    for k, (seconds, nanoseconds) in enumerate(itertools.pairwise(columns)):
        if not all(cell.isdecimal() and len(cell) < 11 for cell in (*seconds, *nanoseconds)):
            continue
        if header:
            pair = (_said(header[k]), _said(header[k + 1])) == (10**9, 1)
        else:
            pair = all(len(cell) == 10 and cell[0] == "1" for cell in seconds)
        if pair and all(int(cell) < 10**9 for cell in nanoseconds):
            both = zip(seconds, nanoseconds, strict=True)
            return [int(s) * 10**9 + int(n) for s, n in both]
    return None


def _of_column(head: str, cells: Sequence[str]) -> list[int]:
    moments = [_MOMENT.fullmatch(cell) for cell in cells]
    if all(moments):
        return [_moment(match) for match in moments if match]
    wrong = next((cell for cell in cells if not _NUMBER.fullmatch(cell)), None)
    if wrong is not None:
        raise ValueError(f"expected dates and times, or numbers, got {wrong!r}")
    values = [Decimal(cell) for cell in cells]
    unit = _unit(head, cells, values)
    if max(values) > _LAST_NS / unit:
        raise ValueError(f"expected times, got {max(values)}")
    return [round(value * unit) for value in values]


def _unit(head: str, cells: Sequence[str], values: Sequence[Decimal]) -> int:
    """Nanoseconds for one."""
    said = _said(head)
    if said is not None:
        return said
    smallest, largest = min(values), max(values)
    for least, unit in _SINCE_1970:
        if smallest >= least:
            return unit
    steps = [float(later - value) for value, later in itertools.pairwise(values)]
    written_as_s = steps and not all(cell.isdecimal() for cell in cells)
    if written_as_s and _STEPS_S[0] <= statistics.median(steps) <= _STEPS_S[1]:
        return 10**9
    raise ValueError(f"{smallest} to {largest} may be s, ms, us or ns")


def _said(head: str) -> int | None:
    """Nanoseconds for one of the unit that the head of a column names."""
    said = {_UNITS_NS[w] for w in re.findall("[a-z]+", head.casefold()) if w in _UNITS_NS}
    return said.pop() if len(said) == 1 else None


def _moment(match: re.Match[str]) -> int:
    """Nanoseconds of "2011-09-26 13:04:32.349659964"; without a zone it is UTC."""
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in (None, 'Z') else zone}")
    nanoseconds = int((fraction or "0")[:9].ljust(9, "0"))
    return int(moment.astimezone(timezone.utc).timestamp()) * 10**9 + nanoseconds


def _rise(stamps: Sequence[int]) -> bool:
    return all(later > stamp for stamp, later in itertools.pairwise(stamps))
