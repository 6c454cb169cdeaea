"""COCO's AP by the library, the outcomes behind its intervals, and KITTI's AP."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.coco_ap import NAMES, ApSampler, average_precision, precision_of
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.kitti import kitti_ap, thresholds
from tasksr_ros.evaluation.predictions import read_predictions
from tasksr_ros.evaluation.protocols import PROTOCOLS, Case


def read(folder: Path, images: int, people: list[dict], found: list[dict], protocol: str) -> Case:
    truth = {
        "images": [{"id": k} for k in range(images)],
        "annotations": [{"id": k + 1, "category_id": 1, **p} for k, p in enumerate(people)],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps([{"category_id": 1, **d} for d in found]))
    gt = read_ground_truth(folder / "truth.json")
    return Case.of(PROTOCOLS[protocol], gt, read_predictions(folder / "found.json", gt))


def scene(seed: int) -> tuple[int, list[dict], list[dict]]:
    """Crowded images with small and large people, crowds and equal scores."""
    rng = np.random.default_rng(seed)
    people, found = [], []
    for image in range(40):
        for _ in range(rng.integers(0, 6)):
            height = float(rng.integers(12, 130))
            width = float(round(0.41 * height))
            x, y = float(rng.integers(0, 150)), float(rng.integers(0, 80))
            crowd = int(rng.random() < 0.15)
            box = [x, y, *((90.0, 60.0) if crowd else (width, height))]
            area = box[2] * box[3]
            people.append(
                {"image_id": image, "bbox": box, "area": area, "iscrowd": crowd, "ignore": crowd}
            )
            for _ in range(rng.integers(0, 4)):
                dx, dy, dw, dh = rng.integers(-4, 5, 4).tolist()
                near = [x + dx, y + dy, max(1.0, width + dw), max(1.0, height + dh)]
                found.append(
                    {"image_id": image, "bbox": near, "score": round(float(rng.beta(3, 2)), 2)}
                )
        for _ in range(rng.integers(0, 3)):
            height = float(rng.integers(10, 150))
            box = [float(rng.integers(0, 300)), float(rng.integers(0, 200)), 0.41 * height, height]
            found.append({"image_id": image, "bbox": box, "score": round(float(rng.beta(1, 2)), 2)})
    return 40, people, found


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_to_the_same_ap(tmp_path: Path, seed: int) -> None:
    case = read(tmp_path, *scene(seed), "far")
    library = average_precision(case.truth, case.predictions).values
    once = np.ones(case.truth.num_images, np.int32)
    own = ApSampler.of(case.truth, case.predictions)(once)
    assert own == pytest.approx([library[name] for name in NAMES], abs=1e-12)
    assert 0.02 < library["ap_small"] < library["ap50"] < library["ap30"] < 0.9


def test_the_library_agrees_with_pycocotools(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, people, found = scene(5)
    case = read(tmp_path, images, people, found, "far")
    values = average_precision(case.truth, case.predictions).values
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    expected = evaluation.stats[[0, 1, 3]]
    assert [values["ap"], values["ap50"], values["ap_small"]] == pytest.approx(expected, abs=1e-12)


def test_ap_by_hand(tmp_path: Path) -> None:
    # Found, missed by a false positive, found: precision 1 up to recall .5, then 2/3. Of the 101
    # recalls 0, .01, … 1, 51 are at most .5.
    people = [{"image_id": k, "bbox": [0, 0, 20, 60]} for k in (0, 1)]
    found = [
        {"image_id": 0, "bbox": [0, 0, 20, 60], "score": 0.9},
        {"image_id": 0, "bbox": [200, 0, 20, 60], "score": 0.8},
        {"image_id": 1, "bbox": [0, 0, 20, 60], "score": 0.7},
    ]
    case = read(tmp_path, 2, people, found, "far")
    ap = average_precision(case.truth, case.predictions)
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert ap.values["ap"] == pytest.approx(expected)
    assert ap.values["ap30"] == pytest.approx(expected)
    assert np.isnan(ap.values["ap_small"])  # 1200 px² are more than 32²
    assert ap.curves["0.5"][[0, 50, 51, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3])
    assert precision_of(case.matches(PROTOCOLS["far"].everyone)) == pytest.approx(expected)


def test_ap_of_nobody_and_of_nothing(tmp_path: Path) -> None:
    crowd = [{"image_id": 0, "bbox": [0, 0, 20, 60], "ignore": 1}]
    found = [{"image_id": 0, "bbox": [0, 0, 20, 60], "score": 0.9}]
    nobody = read(tmp_path, 1, crowd, found, "far")
    assert np.isnan(list(average_precision(nobody.truth, nobody.predictions).values.values())).all()
    nothing = read(tmp_path, 1, [{"image_id": 0, "bbox": [0, 0, 10, 20]}], [], "far")
    values = average_precision(nothing.truth, nothing.predictions).values
    assert values == {"ap": 0, "ap50": 0, "ap30": 0, "ap_small": 0}


def test_without_the_library_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    case = read(tmp_path, 1, [{"image_id": 0, "bbox": [0, 0, 10, 20]}], [], "far")
    with pytest.raises(EvaluationError, match="pip install faster-coco-eval"):
        average_precision(case.truth, case.predictions)


def test_at_most_100_detections_of_an_image_count(tmp_path: Path) -> None:
    people = [{"image_id": 0, "bbox": [0, 0, 20, 60]}]
    wrong = [{"image_id": 0, "bbox": [100 + k, 0, 20, 60], "score": 0.9} for k in range(100)]
    right = [{"image_id": 0, "bbox": [0, 0, 20, 60], "score": 0.1}]
    case = read(tmp_path, 1, people, wrong + right, "far")
    assert average_precision(case.truth, case.predictions).values["ap50"] == 0
    once = np.ones(1, np.int32)
    assert ApSampler.of(case.truth, case.predictions)(once)[1] == 0
    case = read(tmp_path, 1, people, wrong[1:] + right, "far")
    assert average_precision(case.truth, case.predictions).values["ap50"] == pytest.approx(0.01)
    assert ApSampler.of(case.truth, case.predictions)(once)[1] == pytest.approx(0.01)


def test_kitti_thresholds() -> None:
    # With 40 people and all of them found, every score is a threshold, and the last one closes.
    scores = np.linspace(1, 0.61, 40)
    assert thresholds(scores, 40).tolist() == scores.tolist()
    # With 80, every second: recall steps of 1/40.
    scores = np.arange(80, 0, -1) / 100
    points = thresholds(scores, 80)
    assert points[:3].tolist() == [0.8, 0.79, 0.77]
    assert len(points) == 41
    assert thresholds(np.zeros(0), 5).tolist() == []


def test_kitti_ap_by_hand(tmp_path: Path) -> None:
    # 40 people, the 20 strongest detections right; then one false positive per right one, 10 each.
    people = [{"image_id": k, "bbox": [0, 0, 20, 60]} for k in range(40)]
    found = [
        {"image_id": k, "bbox": [0, 0, 20, 60], "score": round(0.9 - k / 100, 2)} for k in range(30)
    ]
    found += [
        {"image_id": k, "bbox": [300, 0, 20, 60], "score": round(0.905 - k / 100, 3)}
        for k in range(20, 30)
    ]
    case = read(tmp_path, 40, people, found, "kitti")
    # Thresholds are the 30 scores; the first is recall point 0, so that points 1 to 29 hold the
    # precisions of 2 to 30 hits: 1 up to 20, then 21/22, … 30/40. Points 30 to 40 are 0.
    expected = (19 + sum(hits / (2 * hits - 20) for hits in range(21, 31))) / 40
    assert kitti_ap(case) == pytest.approx(
        {"easy": expected, "moderate": expected, "hard": expected}, abs=1e-12
    )


def test_kitti_ap_leaves_out_what_its_rules_leave_out(tmp_path: Path) -> None:
    people = [
        *({"image_id": 0, "bbox": [100 * k, 0, 20, 60]} for k in range(3)),
        {"image_id": 0, "bbox": [300, 0, 20, 30]},  # easy: too low, so its detection is nothing
        {"image_id": 0, "bbox": [400, 0, 300, 100], "ignore": 1},  # what lies inside is nothing
    ]
    boxes = [[0, 0, 20, 60], [100, 0, 20, 60], [300, 0, 20, 41], [450, 10, 20, 60], [0, 200, 9, 20]]
    found = [{"image_id": 0, "bbox": b, "score": 0.9 - k / 10} for k, b in enumerate(boxes)]
    case = read(tmp_path, 1, people, found, "kitti")
    # Two of three found and nothing false: thresholds .9 and .8, precision 1 at points 0 and 1.
    assert kitti_ap(case)["easy"] == pytest.approx(1 / 40)
    # Moderate: four people, three found.
    assert kitti_ap(case)["moderate"] == pytest.approx(2 / 40)


def kitti_by_definition(people: list[dict], found: list[dict], images: int, least: int) -> float:
    """evaluate_object's two passes, box by box, for people who differ in height alone."""

    def iou(a: list[float], b: list[float], own: bool = False) -> float:
        width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (a[2] * a[3] if own else a[2] * a[3] + b[2] * b[3] - common)

    def image_counts(image: int, threshold: float, by_score: bool) -> tuple[list[float], int]:
        here = [d for d in found if d["image_id"] == image and d["score"] >= threshold]
        used: list[int] = []
        hits = []
        for p in (p for p in people if p["image_id"] == image and not p["ignore"]):
            fits = [d for d in here if id(d) not in used and iou(d["bbox"], p["bbox"]) > 0.5]
            tall = [d for d in fits if int(d["bbox"][3]) >= least]
            if by_score and fits:
                taken = max(fits, key=lambda d: d["score"])
            elif tall:
                taken = max(tall, key=lambda d: iou(d["bbox"], p["bbox"]))
            elif fits:
                taken = fits[0]
            else:
                continue
            used.append(id(taken))
            if p["bbox"][3] >= least and int(taken["bbox"][3]) >= least:
                hits.append(taken["score"])
        regions = [p["bbox"] for p in people if p["image_id"] == image and p["ignore"]]
        false = [
            d
            for d in here
            if id(d) not in used
            and int(d["bbox"][3]) >= least
            and not any(iou(d["bbox"], r, own=True) > 0.5 for r in regions)
        ]
        return hits, len(false)

    number = sum(p["bbox"][3] >= least and not p["ignore"] for p in people)
    scores = [s for k in range(images) for s in image_counts(k, -1.0, True)[0]]
    precision = []
    for threshold in thresholds(np.array(scores), number):
        parts = [image_counts(k, threshold, False) for k in range(images)]
        right, wrong = sum(len(h) for h, _ in parts), sum(f for _, f in parts)
        precision.append(right / (right + wrong))
    precision += [0.0] * (41 - len(precision))
    return sum(max(precision[k:]) for k in range(1, 41)) / 40


def test_kitti_ap_against_the_definition(tmp_path: Path) -> None:
    images, people, found = scene(11)
    rng = np.random.default_rng(3)
    for d in found:  # distinct scores: of equal ones the definition takes either
        d["score"] += float(rng.uniform(0, 1e-3))
    case = read(tmp_path, images, people, found, "kitti")
    measured = kitti_ap(case)
    for name, least in (("easy", 40), ("moderate", 25)):
        expected = kitti_by_definition(people, found, images, least)
        assert measured[name] == pytest.approx(expected, abs=1e-9)
        assert 0.05 < expected < 0.95
