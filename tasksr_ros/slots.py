"""Latest-item slots: what is waiting is replaced by what is newer, never queued behind it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlots(Generic[T]):
    """One slot per camera between the threads that receive and the one that works.

    Args:
        names: of the cameras, distinct.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._items: dict[str, T | None] = dict.fromkeys(names)
        self._turn = list(names)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, name: str, item: T) -> T | None:
        """Leave an item for a camera; returns the one that it replaced, if any."""
        with self._changed:
            replaced = self._items[name]
            self._items[name] = item
            self._changed.notify()
            return replaced

    def take(self) -> tuple[str, T] | None:
        """Wait for an item; cameras take turns. None once the slots are closed."""
        with self._changed:
            while not self._closed:
                for name in self._turn:
                    item = self._items[name]
                    if item is not None:
                        self._items[name] = None
                        self._turn.remove(name)
                        self._turn.append(name)
                        return name, item
                self._changed.wait()
            return None

    def close(self) -> list[str]:
        """End all waiting, now and later; returns the cameras whose item was not taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return [name for name, item in self._items.items() if item is not None]
