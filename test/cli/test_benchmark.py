"""Tests of tasksr_ros.cli.benchmark: options, documents and errors; nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasksr_ros.benchmarks.output import record
from tasksr_ros.cli.benchmark import without_files
from tasksr_ros.cli.main import main
from tasksr_ros.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pipeline", "--cameras", "2", "0"], "cameras must be at least 1, got 0"),
        (["pipeline", "--sizes", "big"], "a size must be WIDTHxHEIGHT in px, for example 320x96"),
        (["pipeline", "--engine.threads", "-1"], "engine.threads must be at least 0, got -1"),
        (["engines", "--warm_up", "-1"], "warm_up must be at least 0, got -1"),
        (["engines", "--record", "nowhere.md"], "--record must be a document with marks, got no"),
    ],
)
def test_wrong_values_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tasksr benchmark: ")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: WHAT"),
        (["networks"], "invalid choice: 'networks' (choose from"),
        (["node", "--transports", "pigeon"], "invalid choice: 'pigeon' (choose from"),
        (["engines", "--batches", "two"], "invalid int value: 'two'"),
    ],
)
def test_what_is_no_option_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", *arguments])
    assert message in capsys.readouterr().err


def test_a_recorded_command_names_no_files() -> None:
    command = "tasksr benchmark node --json a.json --frames 9 --picture=b.png --record 'my doc.md'"
    expected = "tasksr benchmark node --frames 9 --record 'my doc.md'"
    assert without_files(command) == expected


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("<!-- benchmark engines -->\nno end\n")
    with pytest.raises(ConfigError, match="must have the lines <!-- benchmark engines --> and"):
        record(document, "engines", "command", "| table |")
