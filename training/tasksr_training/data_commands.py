"""`tasksr-train data …`: bring data sets into one form, and see what is in them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from tasksr_training import data_report
from tasksr_training.data_check import check_folder
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers import FORMATS, read_published


def check(folder: Path, out: Path = Path("out/data_check"), decode: bool = False) -> None:
    """Say what is in a folder of image sets, and what is wrong with it.

    Exit status 1 where training would stop, or where two splits share a drive or an image.

    Args:
        folder: with a COCO JSON file per split.
        out: folder for ``<name>.json`` and ``<name>.png``.
        decode: decode every image to its end, not only its header and its last bytes.
    """
    report = check_folder(folder, decode)
    out.mkdir(parents=True, exist_ok=True)
    name = folder.resolve().name
    (out / f"{name}.json").write_text(json.dumps(data_report.content(report), indent=1))
    data_report.plot(report, out / f"{name}.png")
    print(data_report.text(report))
    print(f"\nwritten: {out / name}.json, {out / name}.png")
    if report.errors:
        raise TrainingDataError(f"{folder}: {len(report.errors)} errors, said above")


def convert(source: Path, format: str, split: str, out: Path) -> None:
    """Write a split of a published data set as COCO JSON in the form that training reads.

    Args:
        source: root folder of the data set; images stay where they are.
        format: bdd100k, caltech, citypersons, coco, ecp, kitti-object, kitti-raw, nuimages, yolo.
        split: as the data set names it, such as train, day/train, set0[0-5], v1.0-train, val2017.
        out: file to write; the paths of the images in it start from its folder.
    """
    content = read_published(format, source, split)
    start = os.path.relpath(source.resolve(), out.resolve().parent)
    for image in content["images"]:
        image["file_name"] = Path(start, image["file_name"]).as_posix()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content))
    counts = Counter(a.get("ignore_reason", "") for a in content["annotations"])
    counted = counts.pop("", 0)
    ignored = ", ".join(f"{reason} {n}" for reason, n in counts.most_common())
    print(
        f"{out}: {len(content['images'])} images, {counted} pedestrians, "
        f"{sum(counts.values())} ignored{': ' + ignored if ignored else ''}"
    )
    if left_out := content["info"]["left_out"]:
        print(f"left out as no people: {', '.join(f'{c} {n}' for c, n in left_out.items())}")


ACTIONS: dict[str, Callable[..., None]] = {"check": check, "convert": convert}


def add_to(commands: Any) -> None:
    """Add ``data`` with its own commands to those of ``tasksr-train``."""
    parser = ArgumentParser(description="Bring data sets into one form, see what is in them.")
    commands.add_subcommand("data", parser)
    actions = parser.add_subcommands(dest="action")
    for name, position, text in (
        ("check", "folder", "folder with a COCO JSON file per split"),
        ("convert", "source", f"root folder of a data set: {', '.join(FORMATS)}"),
    ):
        action = ArgumentParser(description=(ACTIONS[name].__doc__ or "").split("\n")[0])
        action.add_argument(position, type=Path, help=text)
        action.add_function_arguments(ACTIONS[name], as_group=False, skip={position, "decode"})
        if name == "check":
            text = "decode every image to its end, not only its header and its last bytes"
            action.add_argument("--decode", action="store_true", help=text)
        actions.add_subcommand(name, action)


def run(arguments: Namespace) -> None:
    """Run the chosen one."""
    ACTIONS[arguments.action](**dict(arguments[arguments.action]))
