"""Images that a list names by path, found in folders: one rule for ids and for stamps.

A folder of images is that folder of the list with which it has most of the end of its path in
common; in it, files are found by name. Where that leaves two candidates, nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from tasksr_ros.errors import RecordingError

Parts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class FolderMatch:
    """The images of one folder.

    Attributes:
        folder: on the disk.
        named: what the list says of it.
        positions: in the list, by file name.
        common: how many folders at the ends of both paths have the same names.
        whole: whether all that the list says of the folder is the end of its path.
    """

    folder: Path
    named: str
    positions: dict[str, int]
    common: int
    whole: bool


class NamedImages:
    """The paths of a list, such as ``file_name`` of COCO images.

    Args:
        path: of the list; the paths start from its folder.
        names: the paths, with / or as Windows writes them; empty ones name no file.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._names = [name.replace("\\", "/") for name in names]
        self._positions: dict[Parts, dict[str, list[int]]] = {}
        self._stated: dict[Parts, Parts] = {}
        heads: dict[str, Parts] = {}
        for position, name in enumerate(self._names):
            head, slash, leaf = name.rpartition("/")
            if head not in heads:
                heads[head] = _parts(path.parent / f"{head}{slash}")
                self._stated.setdefault(heads[head], _stated(head))
            if leaf:
                of_folder = self._positions.setdefault(heads[head], {})
                of_folder.setdefault(leaf, []).append(position)
        self._ends = {parts[k:] for parts in self._positions for k in range(len(parts) + 1)}

    def in_folder(self, folder: Path) -> FolderMatch:
        """Which of the folder's files the list names.

        Raises:
            RecordingError: if a file may be either of two.
        """
        return self._match(folder, self._positions)

    def below(self, root: Path) -> list[FolderMatch]:
        """All files in ``root`` or below it that the list names, in the order of their folders.

        Raises:
            RecordingError: if a file may be either of two, or two folders may be the same one.
        """
        files = cache(_files)
        chosen: dict[Path, list[Parts]] = {}
        for named, of_folder in self._positions.items():
            stated = self._stated[named]
            places = [root.joinpath(*stated[k:]) for k in range(len(stated) + 1)]
            there = [place for place in places if not of_folder.keys().isdisjoint(files(place))]
            if there:
                chosen.setdefault(self._nearest(there, named), []).append(named)
        matches = [self._match(place, chosen[place]) for place in sorted(chosen)]
        return [match for match in matches if match.positions]

    def _nearest(self, places: Sequence[Path], named: Parts) -> Path:
        """Of folders, the one with most of its path's end in common with ``named``."""
        common = [_common(_paths(place), named) for place in places]
        best = [p for p, n in zip(places, common, strict=True) if n == max(common)]
        if len(best) > 1:
            raise RecordingError(
                f"the images of {'/'.join(self._stated[named])} in {self._path} may be those in "
                f"{best[0]} or in {best[1]}: expected one of them, or longer paths in the list"
            )
        return best[0]

    def _match(self, folder: Path, candidates: Iterable[Parts]) -> FolderMatch:
        paths = _paths(folder)
        common = max(map(self._longest, paths))
        nearest = [named for named in candidates if _common(paths, named) == common]
        found: dict[str, int] = {}
        for name in sorted(_files(folder)):
            positions = [p for n in nearest for p in self._positions[n].get(name, ())]
            if len(positions) > 1:
                raise RecordingError(
                    f"{folder / name} may be {self._told(positions[0])} or "
                    f"{self._told(positions[1])} of {self._path}: expected one that has more of "
                    f"the end of its path in common with it than the others"
                )
            if positions:
                found[name] = positions[0]
        stated = [self._stated[named] for named in nearest]
        shown = " or ".join("/".join(one) for one in stated)
        return FolderMatch(folder, shown, found, common, all(len(s) <= common for s in stated))

    def _longest(self, parts: Parts) -> int:
        """How much of its end a folder has in common with any of the list."""
        return next(n for n in range(len(parts), -1, -1) if parts[len(parts) - n :] in self._ends)

    def _told(self, position: int) -> str:
        return f"images[{position}] ({self._names[position]})"


def _parts(path: Path) -> Parts:
    return Path(os.path.abspath(path)).parts


def _stated(head: str) -> Parts:
    return tuple(part for part in PurePosixPath(head).parts if part not in ("/", "//", ".."))


def _paths(folder: Path) -> list[Parts]:
    """Of a folder: as it is named, and where links lead to."""
    return list(dict.fromkeys((_parts(folder), Path(os.path.realpath(folder)).parts)))


def _common(paths: Sequence[Parts], named: Parts) -> int:
    """How many parts at the ends are equal, for the path with most of them."""
    return max(_equal(path, named) for path in paths)


def _equal(a: Parts, b: Parts) -> int:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _files(folder: Path) -> frozenset[str]:
    """Names of what is in a folder; none where there is no such folder."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()
