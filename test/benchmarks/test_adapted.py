"""Tests of networks before detectors: pairs, differences to bicubic enlargement, and PSNR."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_sets import matched, tall, write_set

from benchmarks import adapted
from benchmarks.adapted import ALL, ALONE, BICUBIC, _rows, table
from benchmarks.adapted_psnr import psnr_of
from benchmarks.reduced_sets import reduced
from benchmarks.yardstick_replays import find_sets

PEOPLE = [(image, tall(25, 40 * k)) for image in (1, 2, 3) for k in range(7)]


def test_rows_are_compared_with_bicubic_before_the_same_detector(tmp_path: Path) -> None:
    """Everyone of 25 px is found behind the network, and one image of three behind bicubic."""
    everyone = [(image, box, 0.9) for image, box in PEOPLE]
    found = {
        BICUBIC: {"one": matched(tmp_path / "a", PEOPLE, everyone[:7])},
        "run": {"one": matched(tmp_path / "b", PEOPLE, everyone)},
    }
    beside, row = _rows("mine", found, 20)
    assert beside.figures["one"]["12-32"].difference is None
    figure = row.figures[ALL]["12-32"]
    assert figure.ap50 == 1 and figure.difference == pytest.approx(1 - 34 / 101)
    assert figure.interval is not None and figure.interval[0] >= 0
    assert row.figures["one"]["60+"].ap50 is None
    assert "| mine | run | - | 1.000, +.663 [" in table([beside, row], ["one"])


def write_images(folder: Path) -> None:
    write_set(folder / "one", [(1, tall(30))], [])
    rng = np.random.default_rng(2)
    for k in (1, 2, 3):
        image = cv2.resize(rng.integers(0, 255, (25, 25, 3), np.uint8), (200, 200))
        cv2.imwrite(str(folder / "one" / f"{k}.png"), image)


def test_psnr_of_images_reduced_and_enlarged(tmp_path: Path) -> None:
    write_images(tmp_path)
    flat = np.full((200, 200, 3), 90, np.uint8)
    flat[:, ::2] = 110  # stripes, of which nothing is left at half the size
    for k in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "one" / f"{k}.png"), flat)
    found = psnr_of(None, 2, find_sets(tmp_path, ["one"]), 1)
    assert found == pytest.approx(20 * np.log10(255 / (10 * 219 / 255)), abs=0.1)


def test_a_reduced_set_has_reduced_people(tmp_path: Path) -> None:
    write_set(tmp_path / "one", [(1, tall(30)), (2, tall(40))], [], dontcare_known=False)
    for k in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "one" / f"{k}.png"), np.full((200, 200, 3), 7 * k, np.uint8))
    small = reduced(find_sets(tmp_path, ["one"])[0], 2, 2, tmp_path / "small")
    assert small.image_size == (100, 100) and small.folder == tmp_path / "small" / "one"
    content = json.loads(small.truth.read_text())
    assert [image["id"] for image in content["images"]] == [1, 3]
    assert content["images"][0] == {"id": 1, "file_name": "1.png", "width": 100, "height": 100}
    (person,) = content["annotations"]
    assert person["bbox"] == [5.0, 5.0, 7.5, 15.0] and person["height"] == 15.0
    image = cv2.imread(str(small.folder / "3.png"))
    assert image.shape == (100, 100, 3) and (image == 21).all()


def test_a_tiny_run(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    write_images(tmp_path / "data")
    words = ["--data", str(tmp_path / "data"), "--sets", "one", "--samples", "5"]
    words += ["--detectors", str(tiny_bundle), "--out", str(tmp_path / "out"), "--psnr_every", "2"]
    assert adapted.main([*words, "--networks", str(tiny_bundle)]) == 0
    rows = json.loads((tmp_path / "out" / "adapted.json").read_text())["rows"]
    assert [(row["detector"], row["before"]) for row in rows] == [
        ("tiny", ALONE), ("tiny", BICUBIC), ("tiny", "tiny"),
    ]  # fmt: skip
    assert rows[0]["psnr"] is None and rows[1]["psnr"] > rows[2]["psnr"] > 0
    assert "| tiny | bicubic |" in capsys.readouterr().out


def test_what_does_not_serve_is_one_line(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tmp_path), "--detectors", str(tiny_bundle), "--out", str(tmp_path / "o")]
    assert adapted.main([*words[:1], "", *words[2:]]) == 1
    assert "data must be a folder, got ''" in capsys.readouterr().err
    assert adapted.main([*words, "--networks", str(tiny_bundle.parents[1])]) == 1
    assert "python -m benchmarks.adapted: " in capsys.readouterr().err
    assert adapted.main([*words, "--networks", str(tiny_bundle), str(tiny_bundle)]) == 1
    assert "names of their own, got tiny twice" in capsys.readouterr().err
