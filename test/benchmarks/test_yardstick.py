"""Tests of the yardstick: bands, fusion, pooling, intervals, sizes, and a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_sets import matched, tall, write_set

from benchmarks import yardstick
from benchmarks.fusion import fuse
from benchmarks.yardstick_figures import (
    FAR,
    NEAR,
    Figures,
    Matched,
    ap,
    ap_difference,
    compared,
    figures,
    pooled,
)
from benchmarks.yardstick_replays import find_sets, fused
from benchmarks.yardstick_report import ALL, Row, picture, reference, table
from benchmarks.yardstick_rows import own_runners, region_side
from tasksr_ros.errors import ConfigError


def test_bands_keep_who_counts_and_detections_of_about_their_size(tmp_path: Path) -> None:
    """People of 60 px are near; detections of 9.6 to less than 75 px are of the band 12-60."""
    people = [(1, tall(59.9)), (1, tall(60, 100)), (2, tall(11.9))]
    odd = [(3, tall(9.5), 0.9), (3, tall(75, 100), 0.9), (3, tall(9.6, 50), 0.4)]
    of = matched(tmp_path, people, [(1, tall(59.9), 0.8), (1, tall(60, 100), 0.8), *odd])
    far, near = of.iou50[FAR], of.iou50[NEAR]
    assert far.height.tolist() == [59.9]
    assert far.found_at.tolist() == [0.8]
    assert far.score[far.outcome == 0].tolist() == [0.4]
    assert near.height.tolist() == [60]
    assert near.score[near.outcome == 0].tolist() == [0.9]
    assert of.iou50["12-20"].height.tolist() == []


def test_small_false_positives_are_not_blamed_where_labels_lack(tmp_path: Path) -> None:
    people = [(1, tall(40)), (1, tall(20, 100))]
    found = [(1, tall(20, 100), 0.9), (2, tall(24), 0.8), (2, tall(26, 100), 0.7)]
    known = matched(tmp_path / "a", people, found, dontcare_known=True).iou50[FAR]
    lacking = matched(tmp_path / "b", people, found, dontcare_known=False).iou50[FAR]
    assert known.outcome.tolist() == [1, 0, 0]
    assert lacking.outcome.tolist() == [1, -1, 0]
    assert lacking.found_at.tolist() == [-np.inf, 0.9]


def test_hardly_anyone_has_no_precision(tmp_path: Path) -> None:
    of = figures(matched(tmp_path, [(1, tall(30))], [(1, tall(30), 0.5)]))
    assert of[FAR] == Figures(1, None, None, None, 1.0, 1.0)
    assert of["12-20"].recall_1 is None


def test_pooled_sets_are_one_set(tmp_path: Path) -> None:
    """Of two sets with a person each: found at .9, a false one at .8, found at .7."""
    one = matched(tmp_path / "a", [(1, tall(30))], [(1, tall(30), 0.9), (2, tall(30), 0.8)])
    two = matched(tmp_path / "b", [(3, tall(30))], [(3, tall(30), 0.7)])
    both = pooled([one, two]).iou50[FAR]
    assert both.score.tolist() == [0.9, 0.8, 0.7]
    assert both.outcome.tolist() == [1, 0, 1]
    assert both.image.tolist() == [0, 1, 5]
    assert both.person_image.tolist() == [0, 5]
    assert both.num_images == 6
    assert ap(both) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_an_interval_is_above_zero_where_a_row_finds_more(tmp_path: Path) -> None:
    people = [(i, tall(30, 40 * k)) for i in (1, 2, 3) for k in range(4)]
    everyone = [(i, box, 0.9) for i, box in people]
    all_, half = (
        matched(tmp_path / name, people, found)
        for name, found in (("a", everyone), ("b", everyone[::2]))
    )
    assert ap_difference(half.iou50[FAR], all_.iou50[FAR], 50) == pytest.approx([50 / 101] * 2)
    assert ap_difference(all_.iou50[FAR], half.iou50[FAR], 50) == pytest.approx([-50 / 101] * 2)
    assert ap_difference(all_.iou50[FAR], all_.iou50[FAR], 50) == [0.0, 0.0]


def some_row(name: str, kind: str, folder: Path, share: int, ms: float) -> tuple[Row, Matched]:
    people = [(i, tall(30, 8 * k)) for i in (1, 2, 3) for k in range(10)]
    of = matched(folder / name, people, [(i, box, 0.9) for i, box in people[::share]])
    found = figures(of)
    return Row(name, kind, {"a": ms}, {"a": 1.0}, {"a": found, ALL: found}), of


def test_rows_are_compared_with_the_best_single_public_one(tmp_path: Path) -> None:
    (weak, _), (best, best_of), (ours, ours_of) = (
        some_row("weak", "public", tmp_path, 3, 10),
        some_row("best", "public", tmp_path, 2, 30),
        some_row("ours", "ours", tmp_path, 1, 11),
    )
    fusion, _ = some_row("fusion", "fused", tmp_path, 1, 40)
    rows = [weak, fusion, ours, best]
    assert reference(rows) is best
    assert reference(rows, "fusion") is fusion
    with pytest.raises(ConfigError, match=r"must be a row \(weak, fusion, ours, best\), got 'x'"):
        reference(rows, "x")
    of = compared(ours_of, ours.figures[ALL], best_of, best.figures[ALL], 20)
    assert of[FAR].difference == pytest.approx(50 / 101)
    assert of[FAR].interval == pytest.approx([50 / 101] * 2)
    assert of[NEAR].difference is None
    shown = table([best, Row("ours", "ours", ours.ms, ours.gmac, {"a": of, ALL: of})], ["a"])
    assert "| **ours** | 11 | 1.0 | 1.000 / - | 1.000, +.495 [+.495, +.495] |" in shown
    assert "| best | 30 | 1.0 | .505 / - | .505 |" in shown
    assert "to the best single" in shown and "to ours" in table([ours], ["a"], "ours")
    pytest.importorskip("matplotlib")
    picture([weak, best, fusion, ours], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 0


def test_fusion_by_hand() -> None:
    """Two boxes of one person, IoU .9 / 1.1, and one that a single detector has."""
    boxes, scores = fuse(
        [np.array([[0, 0, 10, 10], [50, 0, 60, 10]], float), np.array([[1, 0, 11, 10]], float)],
        [np.array([0.6, 0.8]), np.array([0.3])],
    )
    assert boxes == pytest.approx(np.array([[1 / 3, 0, 31 / 3, 10], [50, 0, 60, 10]]))
    assert scores == pytest.approx(np.array([0.45, 0.4]))


def test_fusion_of_nothing() -> None:
    boxes, scores = fuse([np.zeros((0, 4))] * 2, [np.zeros(0)] * 2)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_fused_files_are_of_the_images_that_were_processed(tmp_path: Path) -> None:
    parts = []
    for name, x in (("a", 0.0), ("b", 1.0)):
        path = tmp_path / f"{name}.json"
        entry = {"image_id": 2, "category_id": 1, "bbox": [x, 0, 10, 10], "score": 0.5}
        path.write_text(json.dumps([entry, {**entry, "category_id": 2}]))
        path.with_name(f"{name}.run.json").write_text(json.dumps({"image_ids": [1, 2]}))
        parts.append(path)
    path = fused("a + b", parts, tmp_path)
    assert json.loads(path.read_text()) == [
        {"image_id": 2, "category_id": 1, "bbox": [0.5, 0.0, 10.0, 10.0], "score": 0.5}
    ]
    assert json.loads(path.with_name(f"{path.stem}.run.json").read_text())["image_ids"] == [1, 2]


@pytest.mark.parametrize(
    ("least", "factor", "side"),
    [(720, 1, 736), (720, 1.5, 768), (720, 2, 720), (1242, 1, 1248), (1242, 1.5, 1280)],
)
def test_regions_hold_the_image_and_fit_the_network(least: int, factor: float, side: int) -> None:
    assert region_side(least, factor) == side


def test_bundles_by_name_and_in_tiles(tiny_bundle: Path) -> None:
    (runner,) = own_runners(["", f"{tiny_bundle}@tiles"])
    assert (runner.name, runner.ours, runner.view) == ("tiny", True, "tiles")
    (runner,) = own_runners([f"{tiny_bundle}@node"])
    assert (runner.name, runner.view) == ("tiny, as the node", "node")
    with pytest.raises(ConfigError, match="tiny twice"):
        own_runners([str(tiny_bundle)] * 2)


def test_operations_of_a_convolution_by_hand() -> None:
    openvino = pytest.importorskip("openvino")
    from benchmarks.operations import _macs

    ops = openvino.opset13
    image = ops.parameter([1, 4, 8, 8], np.float32)
    window = ([1, 1], [1, 1], [1, 1], [1, 1])
    plain = ops.convolution(image, np.zeros((6, 4, 3, 3), np.float32), *window)
    depthwise = ops.group_convolution(image, np.zeros((4, 1, 1, 3, 3), np.float32), *window)
    product = ops.matmul(np.zeros((5, 7), np.float32), np.zeros((7, 2), np.float32), False, False)
    assert [_macs(op) for op in (plain, depthwise, product, image)] == [
        8 * 8 * 6 * 4 * 9, 8 * 8 * 4 * 9, 5 * 2 * 7, 0,
    ]  # fmt: skip


def test_what_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert yardstick.main(["--data", str(tmp_path), "--weights", str(tmp_path)]) == 1
    assert "data must be a folder with camvid/val.json" in capsys.readouterr().err
    (tmp_path / "camvid").mkdir()
    (tmp_path / "camvid" / "val.json").write_text("{}")
    with pytest.raises(ConfigError, match="COCO JSON with width and height"):
        find_sets(tmp_path, ["camvid"])


def test_a_tiny_run(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny bundle stands for the public rows too: replays, times, fusion, files."""
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("openvino")
    pytest.importorskip("matplotlib")
    write_set(tmp_path / "data" / "one", [(1, tall(30))], [])
    for k in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "data" / "one" / f"{k}.png"), np.zeros((200, 200, 3), np.uint8))
    names = dict.fromkeys(name for pair in yardstick.FUSED for name in pair)
    runners = [yardstick.Runner(name, str(tiny_bundle), False, "whole") for name in names]
    monkeypatch.setattr(yardstick, "public_runners", lambda weights, folder: runners)
    document = tmp_path / "document.md"
    document.write_text("a\n<!-- yardstick -->\nold\n<!-- end of yardstick -->\nb\n")
    arguments = ["--data", str(tmp_path / "data"), "--weights", str(tmp_path), "--sets", "one"]
    arguments += ["--bundles", str(tiny_bundle), "--out", str(tmp_path / "out")]
    arguments += ["--samples", "5", "--time_every", "3", "--record", str(document)]
    assert yardstick.main(arguments) == 0
    rows = json.loads((tmp_path / "out" / "yardstick.json").read_text())["rows"]
    assert [row["kind"] for row in rows] == ["public"] * 3 + ["fused"] * 2 + ["ours"]
    assert all(row["ms"]["one"] > 0 and row["gmac"]["one"] > 0 for row in rows)
    text = document.read_text()
    assert text.startswith("a\n<!-- yardstick -->\n`make yardstick ")
    assert text.endswith("<!-- end of yardstick -->\nb\n")
    assert "| **tiny** |" in text
