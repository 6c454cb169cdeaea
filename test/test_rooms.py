"""Who imports whom: no circles, and what the node reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

NODE = "tasksr_ros.ros.node"
MOST_FILES_OF_THE_NODE = 124
"""What the node may need of this package, whatever it is configured to do."""


def modules(root: Path) -> dict[str, Path]:
    found = {}
    for path in (root / "tasksr_ros").rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a file imports, at once or late, but for types alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for line in node.body
        for part in ast.walk(line)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            below = [m for a in node.names if (m := f"{node.module}.{a.name}") in known]
            yield from below
            if node.module in known and len(below) < len(node.names):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def graph(root: Path) -> dict[str, list[str]]:
    known = modules(root)
    return {name: sorted({*imports(path, known)} - {name}) for name, path in known.items()}


def test_there_are_no_circles_not_even_late_ones(root: Path) -> None:
    edges = graph(root)
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            for other in edges[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_the_node_reaches_its_own_rooms_alone(root: Path) -> None:
    edges = graph(root)
    reached: set[str] = set()
    todo = [NODE]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += edges[name]
    rooms = {name.split(".")[1] for name in reached if name.count(".") > 1}
    assert not rooms & {"evaluation", "replay", "benchmarks", "cli"}, sorted(reached)
    assert len(reached) <= MOST_FILES_OF_THE_NODE, sorted(reached)
