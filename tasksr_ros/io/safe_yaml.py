"""YAML from files that nobody vouches for: plain values, bounded in size and depth."""

from __future__ import annotations

from pathlib import Path

import yaml

MAX_BYTES = 65_536
"""A description of a model or a camera takes about a hundredth of that."""

MAX_DEPTH = 20


class UnsafeYamlError(ValueError):
    """The text is no YAML, or not of the kind that is read here."""


class _PlainLoader(yaml.SafeLoader):
    """Refuses what can make a small file large (aliases) or exhaust the stack (nesting)."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise UnsafeYamlError("aliases (*name) are not allowed")
        if self.depth >= MAX_DEPTH:
            raise UnsafeYamlError(f"nested deeper than {MAX_DEPTH} levels")
        self.depth += 1
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self.depth -= 1
        return node


class _PlainDumper(yaml.SafeDumper):
    """Writes what `load` reads: a list that stands in two places is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def load(path: Path) -> object:
    """The value of a YAML file, as `parse` gives it.

    Raises:
        OSError: if the file cannot be read.
        UnsafeYamlError: as `parse`.
    """
    with path.open("rb") as file:
        return parse(file.read(MAX_BYTES + 1))


def parse(data: bytes) -> object:
    """The value of UTF-8 YAML: mappings, lists, text, numbers, dates, true, false and null.

    Raises:
        UnsafeYamlError: in one line, for anything that is not such a value, is larger than
            ``MAX_BYTES``, deeper than ``MAX_DEPTH``, has aliases or tags of Python objects.
    """
    if len(data) > MAX_BYTES:
        raise UnsafeYamlError(f"larger than {MAX_BYTES} bytes")
    try:
        return yaml.load(data.decode("utf-8"), _PlainLoader)  # noqa: S506 - a SafeLoader
    # PyYAML's constructors let many errors of Python's through: int("9" * 5000), month 13.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnsafeYamlError(" ".join(str(error).split())[:300]) from None


def dump(value: object) -> str:
    """Text that `load` reads as that value; keys keep their order."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)
