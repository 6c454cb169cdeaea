"""Tests of tasksr_training.options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser
from tasksr_training.native_crops import HeldOut, NativeSourceConfig
from tasksr_training.options import as_yaml, differences


@dataclass(frozen=True)
class Options:
    sources: list[NativeSourceConfig]
    rate: float = 3e-4


def test_options_are_read_again_as_they_were(tmp_path: Path) -> None:
    sequence = HeldOut(sequence="0016E5", last=8159)  # a number to a reader of YAML 1.2
    options = Options([NativeSourceConfig(path="camvid/train.json", held_out=sequence)])
    file = tmp_path / "config.yaml"
    file.write_text(as_yaml(options))
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Options)
    read = parser.instantiate(parser.parse_args(["--config", str(file)]))
    assert read.sources == options.sources
    assert read.rate == 3e-4


def test_paths_are_words_and_tuples_lists() -> None:
    assert yaml.safe_load(as_yaml({"out": Path("a/b"), "size": (1, 2)})) == {
        "out": "a/b",
        "size": [1, 2],
    }


def test_differences_are_named_with_dots() -> None:
    before = {"loop": {"seed": 1, "steps": 2}, "gone": 1}
    now = {"loop": {"seed": 1, "steps": 3}}
    assert list(differences(before, now)) == [("loop.steps", 2, 3), ("gone", 1, None)]
