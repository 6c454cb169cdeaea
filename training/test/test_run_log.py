from __future__ import annotations

import json
from pathlib import Path

import pytest
from tasksr_training.run_log import last_line, read_log

LINES = [{"step": step, "seconds": step / 2, "total": 0.1} for step in (1, 2, 3)]
SPOILT = {
    "nul": b"\0" * 64,
    "nul before a line": b"\0" * 3 + b'{"step": 9}',
    "torn": b'{"step": 9, "sec',
    "not utf-8": b"\xff\xfe\xfd",
    "no step": b'{"total": 1}',
    "no mapping": b"9",
    "empty": b"",
}


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_spoilt_lines_are_left_out(tmp_path: Path, spoilt: bytes) -> None:
    one, two, three = (json.dumps(line).encode() for line in LINES)
    inside = written(tmp_path / "inside.jsonl", one, spoilt, two, three, b"")
    at_end = written(tmp_path / "end.jsonl", one, two, three, spoilt)
    for path in (inside, at_end):
        assert read_log(path) == LINES
        assert last_line(path) == LINES[-1]


def test_a_log_that_is_not_there_or_all_spoilt_has_no_lines(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jsonl", written(tmp_path / "nul.jsonl", b"\0" * 20_000)):
        assert read_log(path) == []
        assert last_line(path) == {}


def test_the_last_line_of_a_long_log(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "seconds": 0.5}).encode() for step in range(2000)]
    path = written(tmp_path / "log.jsonl", *lines, b"")
    assert len(read_log(path)) == 2000
    assert last_line(path) == {"step": 1999, "seconds": 0.5}
