"""Stamps in the names of image files, as recorders write them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_UNITS_NS = {13: 10**6, 16: 10**3, 19: 1}
"""Nanoseconds for one, by the digits of a name that counts time since 1970: ms, us, ns."""
_COUNTED = re.compile(r"(?:.*__)?([0-9]{13}|[0-9]{16}|[0-9]{19})")
_SECONDS = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,9})|[_-]([0-9]{9}))")
_NO_COUNT = re.compile(r"00|(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
"""How a long number of an image begins, or a date."""
_WITHIN = re.compile(
    r"(?<![0-9])(?<![0-9]\.)"
    r"(1[0-9]{9}(?:\.[0-9]{1,9}|[_-][0-9]{9})|1(?:[0-9]{12}|[0-9]{15}|[0-9]{18})(?!\.[0-9]))"
    r"(?![0-9])"
)
"""A stamp among other parts of a name: of 2001 to 2033."""
_LEAST_DIGITS = 7
"""Of nanoseconds without leading zeros, but in one name of a thousand; a double holds no more
digits of a second since 1970."""


@dataclass(frozen=True)
class NamedStamps:
    """Stamps of files.

    Attributes:
        stamps: nanoseconds since 1970, in the order of the names.
        note: what was guessed, or "".
    """

    stamps: list[int]
    note: str = ""


def stamps_in_names(stems: Sequence[str]) -> NamedStamps | None:
    """The stamps that all of the names of one folder say; None where one says none.

    ``1403636579763555584`` (EuRoC, in ns; 16 digits are us, 13 ms), nuScenes'
    ``…__1532402927612460`` (us), ``1616004242.35`` (s), and seconds and nanoseconds with ``_``,
    ``-`` or a point between, these also without their leading zeros: ``1616004243.50000000``
    beside ``1616004242.950000000`` is 50 ms after the second. Other parts may stand before and
    behind, ``left_1616004242.35``, see `_stamps_within`.
    """
    found = _stamps_of(stems)
    if found is not None:
        return found
    within = _stamps_within(stems)
    found = _stamps_of(within) if within else None
    if within is None or found is None or not _count_with(stems, within, found.stamps):
        return None
    read = f"{within[0]!r} in the name {stems[0]!r} is read as its stamp, likewise in the others"
    return NamedStamps(found.stamps, f"{read}; {found.note}" if found.note else read)


def _stamps_of(stems: Sequence[str]) -> NamedStamps | None:
    split = [_SECONDS.fullmatch(stem) for stem in stems]
    unpadded = _are_unpadded([m.group(2) for m in split if m and m.group(2)])
    stamps = [
        _counted(stem) if match is None else _of_parts(match, unpadded)
        for stem, match in zip(stems, split, strict=True)
    ]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps):
        return None
    guess = "the images' names are read as seconds and nanoseconds without leading zeros"
    return NamedStamps(known, guess if unpadded else "")


def _stamps_within(stems: Sequence[str]) -> list[str] | None:
    """The one part of each name that is a stamp; None where there is none, or more than one.

    A part that is the same in all names is none: the number of a camera. Names must be alike but
    for their numbers: ``left_…`` and ``right_…`` in one folder are two cameras.
    """
    parts = [
        [m.group() for m in _WITHIN.finditer(stem) if not _NO_COUNT.match(m.group())]
        for stem in stems
    ]
    if len({len(part) for part in parts}) > 1 or len({_text(stem) for stem in stems}) > 1:
        return None
    columns = [c for c in zip(*parts, strict=True) if len(stems) == 1 or len(set(c)) > 1]
    return list(columns[0]) if len(columns) == 1 else None


def _count_with(stems: Sequence[str], parts: Sequence[str], stamps: Sequence[int]) -> bool:
    """Whether what else differs in the names, such as a frame's number, rises with the stamps."""
    rest = [stem.replace(part, "", 1) for stem, part in zip(stems, parts, strict=True)]
    if len(set(rest)) == 1:
        return True
    numbers = [[int(n) for n in re.findall("[0-9]+", name)] for name in rest]
    ordered = [n for _, n in sorted(zip(stamps, numbers, strict=True))]
    return all(later > number for number, later in itertools.pairwise(ordered))


def _text(stem: str) -> str:
    return re.sub("[0-9]+", "", stem)


def _counted(stem: str) -> int | None:
    match = _COUNTED.fullmatch(stem)
    if match is None or _NO_COUNT.match(match.group(1)):
        return None
    digits = match.group(1)
    return int(digits) * _UNITS_NS[len(digits)]


def _of_parts(match: re.Match[str], unpadded: bool) -> int:
    seconds, fraction, nanoseconds = match.groups()
    if nanoseconds or unpadded:
        return int(seconds) * 10**9 + int(nanoseconds or fraction)
    return int(Decimal(f"{seconds}.{fraction}") * 10**9)


def _are_unpadded(fractions: Sequence[str]) -> bool:
    """Whether digits behind a point are nanoseconds whose leading zeros were not written.

    Decimals of several lengths are fewer digits, or begin with a zero in some names.
    """
    digits = [fraction for fraction in fractions if fraction != "0"]
    several = len({len(d) for d in digits}) > 1
    return several and all(len(d) >= _LEAST_DIGITS and d[0] != "0" for d in digits)
