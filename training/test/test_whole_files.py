from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tasksr_training import whole_files
from tasksr_training.checkpoints import save_checkpoint
from tasksr_training.whole_files import replace_text, replacing


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as file:
        file.write(b"ne")
        raise OSError("disk full")
    assert path.read_text() == "old"


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("old", "x²"):
        replace_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "write",
    [lambda path: replace_text(path, "x"), lambda path: save_checkpoint(path, {"step": 1})],
    ids=["text", "checkpoint"],
)
def test_the_content_is_on_the_disk_before_it_takes_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    path, part = tmp_path / "a.ckpt", tmp_path / "a.ckpt.part"
    fsync, replace, said = whole_files.os.fsync, whole_files.os.replace, []

    def noted_fsync(file: int) -> None:
        said.append(("fsync", part.stat().st_size))
        fsync(file)

    def noted_replace(source: Path, target: Path) -> None:
        said.append(("replace", source.stat().st_size))
        replace(source, target)

    monkeypatch.setattr(whole_files.os, "fsync", noted_fsync)
    monkeypatch.setattr(whole_files.os, "replace", noted_replace)
    write(path)
    size = path.stat().st_size
    assert size > 0 and said == [("fsync", size), ("replace", size)]
