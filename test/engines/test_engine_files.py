"""Tests of tasksr_ros.engines.manifest and engine_files: which engine on disk may be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasksr_ros.engines.cache import make_private, written_whole
from tasksr_ros.engines.engine_files import UnfitEngineError, file_of, read_engine, set_aside
from tasksr_ros.engines.manifest import (
    Machine,
    Manifest,
    Origin,
    read_manifest,
    write_manifest,
)

MACHINE = Machine(
    gpu="NVIDIA H200",
    compute_capability="9.0",
    torch="2.13.0",
    torch_tensorrt="2.13.0",
    tensorrt="11.0.0",
)
ORIGIN = Origin(
    bundle="tdsr-ss-x4",
    bundle_sha256="ab" * 32,
    code_sha256="cd" * 32,
    region_width=320,
    region_height=96,
    graph="lr_space",
    precision="fp16",
    max_batch=2,
    machine=MACHINE,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine for batches of 1 and 2."""
    place = tmp_path / "cache" / "engine"
    with written_whole(place) as partial:
        files = []
        for batch in (1, 2):
            path = partial / f"batch-{batch}.pt2"
            path.write_bytes(b"program %d" % batch)
            files.append(file_of(path, batch))
        write_manifest(
            Manifest(
                origin=ORIGIN,
                driver="580.1",
                built="2026-01-01T00:00:00+00:00",
                score_difference=0.001,
                box_difference=0.2,
                files=tuple(files),
            ),
            partial,
        )
    return place


def test_a_whole_engine_is_read(folder: Path) -> None:
    manifest, data = read_engine(folder, ORIGIN)
    assert data == {1: b"program 1", 2: b"program 2"}
    assert manifest == read_manifest(folder)
    assert (manifest.driver, manifest.score_difference) == ("580.1", 0.001)
    assert [path.name for path in folder.parent.iterdir()] == ["engine"]


def test_the_manifest_says_all_that_the_engine_depends_on(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    assert values["origin"]["machine"] == {
        "gpu": "NVIDIA H200",
        "compute_capability": "9.0",
        "torch": "2.13.0",
        "torch_tensorrt": "2.13.0",
        "tensorrt": "11.0.0",
    }
    assert values["origin"]["bundle_sha256"] == "ab" * 32
    assert values["files"][1]["num_bytes"] == len(b"program 2")


def truncate(folder: Path) -> None:
    (folder / "batch-2.pt2").write_bytes(b"progr")


def exchange(folder: Path) -> None:
    (folder / "batch-2.pt2").write_bytes(b"program 1")


def edit(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**values, **changes}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shutil.rmtree, "no engine there"),
        (lambda folder: (folder / "manifest.json").unlink(), "unreadable manifest"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "unreadable manifest"),
        (lambda folder: edit(folder, format=99), "unreadable manifest: .* not of format 2"),
        (
            lambda folder: edit(folder, files=[{"name": "x"}]),
            "unreadable manifest: .* wrong values",
        ),
        (lambda folder: edit(folder, driver=7), "unreadable manifest: .* driver must be str"),
        (lambda folder: edit(folder, files=[]), "expected an engine for batches of 1, got none"),
        (lambda folder: edit(folder, more=1), "unreadable manifest"),
        (truncate, r"batch-2\.pt2: expected 9 bytes, got 5"),
        (exchange, r"batch-2\.pt2: its hash is not the manifest's"),
        (lambda folder: (folder / "batch-1.pt2").unlink(), r"batch-1\.pt2: not readable"),
        (lambda folder: folder.chmod(0o777), "others than this user may have written it"),
        (lambda folder: folder.parent.chmod(0o777), "others than this user may have written it"),
    ],
)
def test_one_that_may_not_be_used_is_named(
    folder: Path, harm: Callable[[Path], object], message: str
) -> None:
    harm(folder)
    with pytest.raises(UnfitEngineError, match=message) as error:
        read_engine(folder, ORIGIN)
    assert "\n" not in str(error.value)


def test_a_file_outside_the_folder_is_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / "other").write_bytes(b"program 1")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[0]["name"] = "../other"
    edit(folder, files=files)
    with pytest.raises(UnfitEngineError, match=r"engine/other: not readable"):
        read_engine(folder, ORIGIN)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (replace(ORIGIN, machine=replace(MACHINE, gpu="Orin")), "expected gpu Orin, got NVIDIA H2"),
        (replace(ORIGIN, machine=replace(MACHINE, tensorrt="11.1.0")), "tensorrt 11.1.0, got 11.0"),
        (replace(ORIGIN, precision="fp32"), "expected precision fp32, got fp16"),
        (replace(ORIGIN, bundle_sha256="ef" * 32), "bundle_sha256 efefefefefef…, got abababab"),
        (replace(ORIGIN, code_sha256="ef" * 32), "code_sha256 efefefefefef…, got cdcdcd"),
        (replace(ORIGIN, max_batch=8), "expected max_batch 8, got 2"),
    ],
)
def test_one_of_another_origin_is_named(folder: Path, wanted: Origin, message: str) -> None:
    with pytest.raises(UnfitEngineError, match=message):
        read_engine(folder, wanted)


def test_what_is_set_aside_takes_the_place_of_the_last(folder: Path) -> None:
    aside = set_aside(folder)
    assert aside == folder.with_name("engine.set-aside")
    assert not folder.exists()
    assert set_aside(folder) is None
    folder.mkdir()
    assert set_aside(folder) == aside
    assert aside is not None
    assert list(aside.iterdir()) == [], "of the engines before, only the last is kept"


def test_an_interrupted_build_leaves_the_old_engine(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written_whole(folder) as partial:
        (partial / "batch-1.pt2").write_bytes(b"half")
        raise KeyboardInterrupt
    assert read_engine(folder, ORIGIN)[1][1] == b"program 1"
    assert [path.name for path in folder.parent.iterdir()] == ["engine"]


def test_new_engines_are_the_users_alone(tmp_path: Path) -> None:
    make_private(tmp_path / "cache")
    with written_whole(tmp_path / "cache" / "engine") as partial:
        (partial / "file").write_text("x")
    assert (tmp_path / "cache" / "engine").stat().st_mode & 0o077 == 0
