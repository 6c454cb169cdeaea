"""Files in, summary out: by hand, with bad input, and as a command."""

from __future__ import annotations

import json
import math
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.cli.main import main
from tasksr_ros.config import EvaluationConfig
from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation import summary as structure
from tasksr_ros.evaluation.evaluate import evaluate
from tasksr_ros.evaluation.summary_text import text

BOX = [0.0, 0.0, 20.0, 60.0]


def person(image: int, distance: float | None = None, **more: Any) -> dict[str, Any]:
    entry = {"image_id": image, "category_id": 1, "bbox": BOX, **more}
    return entry if distance is None else {**entry, "distance_m": distance}


def found(image: int, score: float, bbox: list[float] = BOX, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": bbox, "score": score, **more}


def wrong(image: int, score: float) -> dict[str, Any]:
    return found(image, score, [300.0, 0.0, 20.0, 60.0])


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def truth_file(folder: Path, images: list[dict], people: list[dict], **more: Any) -> Path:
    truth = {
        "images": images,
        "annotations": people,
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    return write(folder / "truth.json", {**truth, **more})


def ten(folder: Path) -> Path:
    """Ten images at 10 Hz in two sequences, a person in each, 10, 20, … 100 m away."""
    images = [
        {
            "id": k,
            "file_name": f"{k}.jpg",
            "sequence": "ab"[k // 5],
            "stamp_ns": 10**18 + k * 10**8,
        }
        for k in range(10)
    ]
    people = [person(k, 10.0 * (k + 1), track_id="ab"[k // 5]) for k in range(10)]
    return truth_file(folder, images, people)


def seven(folder: Path) -> Path:
    """People up to 70 m found, .9 and falling; one false positive of .5, one of .1."""
    rows = [found(k, 0.9 - k / 100) for k in range(7)]
    return write(folder / "seven.json", [*rows, wrong(0, 0.5), wrong(1, 0.1)])


def config(**values: Any) -> EvaluationConfig:
    return EvaluationConfig(**{"samples": 50, "protocol": "citypersons", **values})


def test_the_headline_by_hand(tmp_path: Path) -> None:
    result = evaluate(ten(tmp_path), [seven(tmp_path)], config())
    # Seven of ten are found before the first false positive.
    assert result["log_average_miss_rate"]["reasonable"] == pytest.approx(0.3, abs=1e-12)
    assert result["log_average_miss_rate"]["small"] == pytest.approx(0.3, abs=1e-12)
    assert result["log_average_miss_rate"]["heavy"] is None
    assert result["undefined"]["log_average_miss_rate.heavy"] == "no pedestrian in this subset"
    assert result["ap"]["ap50"] == pytest.approx(70 / 101)  # COCO's .70 is 0.7000000000000001
    assert result["ap"]["ap_small"] is None
    assert result["range_m"] == 70
    run = result["runs"][0]
    assert run["min_height_px"] == 60
    assert run["min_height_px_is_limit"] is True
    assert run["range_m_is_limit"] is False
    point = run["operating_point"]
    assert (point["true_positives"], point["false_negatives"]) == (7, 3)
    # .1 false positives per image allow one in ten images: the one of .5, but not that of .1.
    assert (point["false_positives"], point["fppi_reached"]) == (1, 0.1)
    assert point["score_threshold"] == pytest.approx(0.1)
    assert point["precision"] == 7 / 8
    assert point["recall"] == pytest.approx(0.7)
    low, high = result["range_m_interval"]
    assert low <= 70 <= high


def test_bins_by_hand(tmp_path: Path) -> None:
    result = evaluate(ten(tmp_path), [seven(tmp_path)], config())
    rows = {(b["low"], b["high"]): b for b in result["recall_by_distance"]}
    assert (rows[60, 80]["pedestrians"], rows[60, 80]["found"]) == (2, 2)  # 60 and 70 m
    assert (rows[80, 100]["pedestrians"], rows[80, 100]["found"]) == (2, 0)
    assert rows[100, 125]["recall"] == 0
    assert rows[200, None]["recall"] is None
    assert rows[200, None]["recall_interval"] is None
    shown = [line.split() for line in text(result).splitlines() if "of people at" in line]
    assert shown[0][:5] == ["of", "people", "at", "0-20", "m"]
    assert ["60-80", "100.0"] in [[line[3], line[5]] for line in shown]
    assert not any(line[3].startswith("200-") for line in shown)  # nobody is there
    # The false positive is 60 px tall, as people at all distances: 60 · median distance / 60 px.
    assert rows[40, 60]["fppi"] == 0.1
    heights = {(b["low"], b["high"]): b for b in result["recall_by_height"]}
    assert heights[50, 80]["recall"] == pytest.approx(0.7)
    assert heights[50, 80]["miss_rate"] == pytest.approx(0.3)
    assert (heights[50, 80]["false_positives"], heights[50, 80]["fppi"]) == (1, 0.1)


def test_recall_of_the_mostly_visible(tmp_path: Path) -> None:
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in range(4)]
    people = [person(k, 50.0, vis_ratio=share) for k, share in enumerate((1.0, 0.65, 0.64, 0.9))]
    truth = truth_file(tmp_path, images, people)
    predictions = write(tmp_path / "p.json", [found(k, 0.9) for k in (0, 1, 2)])
    result = evaluate(truth, [predictions], config(protocol="far"))
    (row,) = [b for b in result["recall_by_distance"] if b["pedestrians"]]
    assert (row["pedestrians"], row["found"]) == (4, 3)
    assert (row["visible"], row["visible_found"]) == (3, 2)  # from 65 % on
    (line,) = [line for line in text(result).splitlines() if "of people at 40-60 m" in line]
    assert line.endswith("of 4; 2 of the 3 mostly visible")
    of_ten = evaluate(ten(tmp_path), [seven(tmp_path)], config())
    assert of_ten["recall_by_distance"][2]["visible"] is None  # the truth does not say


def test_sequences_tracks_and_hours(tmp_path: Path) -> None:
    run = evaluate(ten(tmp_path), [seven(tmp_path)], config())["runs"][0]
    a, b = run["by_sequence"]
    assert (a["sequence"], a["images"], a["recall"], a["false_positives"]) == ("a", 5, 1, 1)
    assert (b["sequence"], b["images"], b["recall"]) == ("b", 5, 2 / 5)
    assert a["log_average_miss_rate"] == pytest.approx(1e-10)
    assert b["log_average_miss_rate"] == pytest.approx(3 / 5)
    assert b["ap50"] == pytest.approx(41 / 101)
    # Two sequences of 5 images at 10 Hz: one second, in which there is one false positive.
    assert run["false_positives_per_hour"] == pytest.approx(3600)
    assert run["tracks"] is not None
    rows = {row["track_id"]: row for row in run["tracks"]["rows"]}
    assert rows["b"]["first_detection_m"] == 60
    assert rows["b"]["largest_distance_m"] == 100
    assert (rows["b"]["frames"], rows["b"]["found"]) == (5, 2)
    assert rows["b"]["first_detection_stamp_ns"] == 10**18 + 5 * 10**8
    assert run["tracks"]["first_detection_m"] == 35  # of 10 and 60 m


def test_calibration_by_hand(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, [{"id": 0}, {"id": 1}], [person(0), person(1)])
    rows = [found(0, 0.9), found(1, 0.7), wrong(0, 0.72), wrong(1, 0.2)]
    run = evaluate(truth, [write(tmp_path / "p.json", rows)], config())["runs"][0]
    reliability = run["calibration"]["all"]
    # |1 - .9| · 1/4 + |1/2 - .71| · 2/4 + |0 - .2| · 1/4
    assert reliability["ece"] == pytest.approx(0.025 + 0.105 + 0.05)
    assert reliability["bins"][7]["precision"] == 0.5
    assert reliability["bins"][7]["mean_score"] == pytest.approx(0.71)
    of_height = {row["low"]: row for row in run["calibration"]["by_height"]}
    assert of_height[50]["ece"] == reliability["ece"]
    assert (of_height[80]["detections"], of_height[80]["ece"]) == (0, None)


def test_scores_that_are_no_probabilities_have_no_calibration(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", [found(0, 12.5)])
    run = evaluate(ten(tmp_path), [path], config())["runs"][0]
    assert run["calibration"]["all"]["ece"] is None
    assert run["operating_point"]["true_positives"] == 1


def test_the_gallery(tmp_path: Path) -> None:
    gallery = evaluate(ten(tmp_path), [seven(tmp_path)], config())["runs"][0]["gallery"]
    assert [e["score"] for e in gallery["false_positives"]] == [0.5, 0.1]
    assert gallery["false_positives"][0]["file_name"] == "0.jpg"
    assert [e["image_id"] for e in gallery["misses"]] == [7, 8, 9]
    assert gallery["misses"][0]["distance_m"] == 80
    assert gallery["misses"][0]["bbox"] == BOX


def test_matching_rules_side_by_side(tmp_path: Path) -> None:
    low = found(0, 0.9, [0.0, 0.0, 20.0, 24.0])  # IoU .4 with the person, the centre inside
    small = found(1, 0.9, [8.0, 28.0, 4.0, 4.0])  # the centre alone
    path = write(tmp_path / "p.json", [low, small])
    rows = evaluate(ten(tmp_path), [path], config(fppi=1.0))["runs"][0]["at_match"]
    assert [(r["match"], r["iou"]) for r in rows] == [("iou", 0.5), ("iou", 0.3), ("centre", None)]
    assert [r["recall"] for r in rows] == [0, 0.1, 0.2]


def test_another_iou(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", [found(0, 0.9, [0.0, 0.0, 20.0, 24.0])])
    result = evaluate(ten(tmp_path), [path], config(iou=0.4))
    assert result["protocol"]["iou"] == 0.4
    assert result["runs"][0]["operating_point"]["true_positives"] == 1


def test_the_summary_has_the_stated_structure(tmp_path: Path) -> None:
    result = evaluate(ten(tmp_path), [seven(tmp_path), seven(tmp_path)], config())
    check(result, structure.Summary)
    json.dumps(result, allow_nan=False)
    for key in ("log_average_miss_rate", "ap", "recall_by_height", "range_m", "undefined"):
        assert result[key] == result["runs"][0][key]  # type: ignore[literal-required]


def check(value: Any, type_: Any, where: str = "summary") -> None:
    """The value is of its type; what is a TypedDict has exactly the stated keys."""
    origin = typing.get_origin(type_)
    if typing.is_typeddict(type_):
        hints = typing.get_type_hints(type_)
        assert set(value) == set(hints), where
        for key, hint in hints.items():
            check(value[key], hint, f"{where}.{key}")
    elif origin in (types.UnionType, typing.Union):
        if value is not None:
            plain = [t for t in typing.get_args(type_) if t is not types.NoneType]
            if len(plain) == 1:
                check(value, plain[0], where)
            else:
                assert isinstance(value, tuple(plain)), where
    elif origin is list:
        for k, part in enumerate(value):
            check(part, typing.get_args(type_)[0], f"{where}[{k}]")
    elif origin is dict:
        for key, part in value.items():
            check(part, typing.get_args(type_)[1], f"{where}.{key}")
    elif type_ is not Any:
        assert isinstance(value, (int, float) if type_ is float else type_), where


def test_a_comparison_by_hand(tmp_path: Path) -> None:
    more = [found(k, 0.9 - k / 100) for k in range(9)]
    b = write(tmp_path / "nine.json", [r for r in more if r["image_id"] != 2])
    result = evaluate(ten(tmp_path), [seven(tmp_path), b], config())
    comparison = result["comparisons"][0]
    assert (comparison["a"], comparison["b"], comparison["images"]) == (0, 1, 10)
    row = comparison["differences"]["log_average_miss_rate.reasonable"]
    assert (row["a"], row["b"]) == (pytest.approx(0.3), pytest.approx(0.2))
    assert row["difference"] == pytest.approx(-0.1)
    assert row["better"] is None
    low, high = row["interval_images"]
    assert low <= -0.1 <= high
    assert [e["image_id"] for e in comparison["gains"]] == [7, 8]
    assert [e["image_id"] for e in comparison["losses"]] == [2]
    assert comparison["losses"][0]["score_a"] == pytest.approx(0.88)
    assert comparison["losses"][0]["score_b"] is None
    images = {row["image_id"]: row for row in comparison["by_image"]}
    assert images[7] == {
        "image_id": 7,
        "gained": 1,
        "lost": 0,
        "false_positives_a": 0,
        "false_positives_b": 0,
    }
    assert (images[0]["false_positives_a"], images[0]["false_positives_b"]) == (1, 0)
    assert comparison["differences"]["range_m"]["difference"] == 20  # 70 -> 90 m
    bins = {row["low"]: row for row in comparison["recall_by_distance"]}
    assert bins[80]["difference"] == 1


def test_the_same_run_twice_differs_by_nothing(tmp_path: Path) -> None:
    result = evaluate(ten(tmp_path), [seven(tmp_path), seven(tmp_path)], config())
    rows = result["comparisons"][0]["differences"].values()
    known = [row for row in rows if row["difference"] is not None]
    assert len(known) > 5
    assert all(row["difference"] == 0 and row["interval_images"] == [0, 0] for row in known)
    assert all(row["better"] is None for row in known)
    assert result["comparisons"][0]["gains"] == []
    assert [run["name"] for run in result["runs"]] == [
        f"{tmp_path.name}/seven (1)",
        f"{tmp_path.name}/seven (2)",
    ]


def test_runs_of_one_name_are_told_by_file_or_folder(tmp_path: Path) -> None:
    run = {"name": "tiny far"}
    paths = [tmp_path / name for name in ("monday/p.json", "tuesday/p.json", "tuesday/q.json")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        write(path, [found(0, 0.9)])
        write(path.with_suffix(".run.json"), run)
    for chosen, names in (
        (paths[1:], ["tiny far (p)", "tiny far (q)"]),
        (paths[:2], ["monday/tiny far", "tuesday/tiny far"]),
    ):
        result = evaluate(ten(tmp_path), chosen, config(samples=0))
        assert [run["name"] for run in result["runs"]] == names


def test_a_certain_difference_has_a_winner(tmp_path: Path) -> None:
    images = [{"id": k, "sequence": str(k % 4)} for k in range(60)]
    truth = truth_file(tmp_path, images, [person(k) for k in range(60)])
    some = write(tmp_path / "some.json", [found(k, 0.9) for k in range(0, 60, 3)])
    all_ = write(tmp_path / "all.json", [found(k, 0.9) for k in range(60)])
    rows = evaluate(truth, [some, all_], config())["comparisons"][0]["differences"]
    assert rows["log_average_miss_rate.reasonable"]["better"] == "b"
    assert rows["ap.ap50"]["better"] == "b"
    assert rows["recall"]["interval_sequences"] is not None
    rows = evaluate(truth, [all_, some], config())["comparisons"][0]["differences"]
    assert rows["log_average_miss_rate.reasonable"]["better"] == "a"
    assert rows["recall"]["better"] == "a"


def test_only_processed_images_are_evaluated(tmp_path: Path) -> None:
    path = seven(tmp_path)
    write(
        tmp_path / "seven.run.json",
        {
            "name": "live",
            "info": {"bundle": "tiny"},
            "mode": "live",
            "image_ids": [0, 1, 2, 3, 4, 5, 6, 77, 88],
            "without_ground_truth": [77],
            "latency_ms": {"total": [10, 20, 30, 40]},
        },
    )
    other = write(tmp_path / "all.json", json.loads(path.read_text()))
    result = evaluate(ten(tmp_path), [path, other], config())
    live, full = result["runs"]
    assert (live["name"], live["info"]) == ("live", {"bundle": "tiny", "mode": "live"})
    assert (live["images"], full["images"]) == (7, 10)
    assert live["operating_point"]["recall"] == 1
    assert live["problems"] == {"processed_image_not_in_ground_truth": 1}  # 88
    assert live["latency"]["stages"]["total"]["mean"] == 25
    assert live["latency"]["stages"]["total"]["p50"] == 25
    assert full["latency"] is None
    assert result["comparisons"][0]["images"] == 7
    rows = result["comparisons"][0]["differences"]
    assert rows["recall"]["difference"] == 0


def test_a_replay_tells_the_time_that_the_ground_truth_lacks(tmp_path: Path) -> None:
    """Ten frames at 2 Hz are 5 s; at one false positive, 720 per hour."""
    truth = json.loads(ten(tmp_path).read_text())
    for image in truth["images"]:
        del image["stamp_ns"], image["sequence"]
    path = write(tmp_path / "p.json", [found(0, 0.9), found(1, 0.95, [500.0, 0.0, 10.0, 25.0])])
    run = {"frames": [{"image_id": k, "stamp_ns": k * 500_000_000} for k in range(10)]}
    for matched_by, per_hour in (("frame", 720), ("file_name", None)):  # these may be counted ones
        write(tmp_path / "p.run.json", {**run, "ground_truth": {"matched_by": matched_by}})
        result = evaluate(write(tmp_path / "truth.json", truth), [path], config())
        assert result["runs"][0]["operating_point"]["false_positives"] == 1
        assert result["runs"][0]["false_positives_per_hour"] == per_hour
    write(tmp_path / "p.run.json", {"frames": [{}], "ground_truth": {"matched_by": "frame"}})
    with pytest.raises(EvaluationError, match="frames must have image_id and stamp_ns"):
        evaluate(tmp_path / "truth.json", [path], config())


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    rows = [
        found(0, 0.9),
        found(0, 0.9),
        found(99, 0.9),
        found(1, math.nan),
        found(1, 0.5, [0.0, 0.0, -5.0, 10.0]),
        found(1, 0.5, [0.0, math.inf, 5.0, 10.0]),
        found(2, 0.4, [0.0, 0.0, 0.0, 60.0]),
        {**found(3, 0.9), "category_id": 7},
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(rows))  # NaN and Infinity, as Python writes them
    result = evaluate(ten(tmp_path), [path], config())
    assert result["runs"][0]["problems"] == {
        "image_not_in_ground_truth": 1,
        "score_not_finite": 1,
        "box_negative": 1,
        "box_not_finite": 1,
        "box_without_area": 1,
        "other_category": 1,
        "repeated_prediction": 1,
    }
    assert result["runs"][0]["detections"] == 3
    assert "! predictions: 1 x score not finite" in text(result)


def test_ground_truth_of_no_pedestrians_gives_no_figures(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, [{"id": 0}], [])
    result = evaluate(truth, [write(tmp_path / "p.json", [found(0, 0.9)])], config())
    assert set(result["log_average_miss_rate"].values()) == {None}
    assert set(result["ap"].values()) == {None}
    assert result["range_m"] is None
    assert result["undefined"]["ap.ap50"] == "no pedestrian counts"
    assert result["undefined"]["range_m"] == "no pedestrian counts"
    point = result["runs"][0]["operating_point"]
    assert (point["recall"], point["recall_interval"], point["miss_rate"]) == (None, None, None)
    assert "-  (no pedestrian counts)" in text(result)
    json.dumps(result, allow_nan=False)


def test_no_predictions_are_a_full_miss(tmp_path: Path) -> None:
    result = evaluate(ten(tmp_path), [write(tmp_path / "p.json", [])], config())
    assert result["log_average_miss_rate"]["reasonable"] == 1
    assert result["ap"]["ap50"] == 0
    assert result["range_m"] is None
    assert result["undefined"]["range_m"].startswith("recall does not hold 0.5 at 0.1")
    assert result["runs"][0]["operating_point"]["precision"] is None


def test_without_distances_there_is_no_range(tmp_path: Path) -> None:
    truth = truth_file(tmp_path, [{"id": 0}], [person(0)])
    result = evaluate(truth, [write(tmp_path / "p.json", [found(0, 0.9)])], config(samples=0))
    assert result["range_m"] is None
    assert result["undefined"]["range_m"] == "no pedestrian has distance_m"
    assert result["runs"][0]["false_positives_per_hour"] is None
    assert result["ap_interval"]["ap50"] is None
    json.dumps(result, allow_nan=False)


IMAGES = [{"id": 0}]
GOOD = {"images": IMAGES, "annotations": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected COCO JSON with images and annotations, got a list"),
        ({"images": IMAGES}, "expected COCO JSON with a list of annotations, got the keys images"),
        ({**GOOD, "images": []}, "expected images, the list is empty"),
        ({**GOOD, "images": [{"id": 3}, {"id": 3}]}, "image id 3 stands there more than once"),
        ({**GOOD, "images": [{}]}, r"images\[0\].id must be a whole number or a text, got None"),
        ({**GOOD, "annotations": [person(5)]}, r"annotations\[0\] is of image 5"),
        ({**GOOD, "annotations": [{"image_id": 0}]}, r"annotations\[0\].bbox must be"),
        ({**GOOD, "annotations": [person(0, bbox=[1, 2, 3])]}, r"got \[1, 2, 3\]"),
        ({**GOOD, "annotations": [person(0, height="tall")]}, "height must be a number"),
        ({**GOOD, "annotations": [person(0, iscrowd="so")]}, "iscrowd must be 0 or 1, got 'so'"),
        (
            {**GOOD, "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]},
            "expected a category named pedestrian or person, got car, bus",
        ),
    ],
)
def test_ground_truth_that_cannot_be_read(tmp_path: Path, content: Any, message: str) -> None:
    predictions = write(tmp_path / "p.json", [])
    with pytest.raises(EvaluationError, match=message):
        evaluate(write(tmp_path / "truth.json", content), [predictions], config())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected a list of predictions .*, got an object with the keys a"),
        ([7], "prediction 0 must be an object, got 7"),
        ([{"image_id": 0, "score": 1}], "prediction 0 must have image_id, bbox and score, bbox"),
        ([found(0, 0.5, [1.0, 2.0])], r"bbox must be \[x, y, width, height\]"),
        ([{**found(0, 0.5), "score": "high"}], "score must be a number, got 'high'"),
        ([{**found(0, 0.5), "image_id": None}], "image_id must be a whole number or a text"),
        ([found(55, 0.5)], "none of the 1 predictions is of an image of"),
        ([{**found(0, 0.5), "category_id": 0}], "expected category_id 1, got 0"),
        ({"detections": [], "image_ids": [400]}, "none of the 1 processed images is in"),
        ({"detections": [], "image_ids": 3}, "image_ids must be a list of image ids, got 3"),
        ({"detections": [], "latency_ms": [1]}, "latency_ms must be lists of ms by stage"),
    ],
)
def test_predictions_that_cannot_be_read(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path / "p.json", content)
    with pytest.raises(EvaluationError, match=message):
        evaluate(ten(tmp_path), [path], config())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, predictions = ten(tmp_path), seven(tmp_path)
    out = tmp_path / "results" / "out.json"
    given = ["evaluate", "--ground-truth", str(truth), "--predictions", str(predictions)]
    asked = ["--protocol", "citypersons", "--samples", "20", "--json", str(out)]
    assert main([*given, *asked]) == 0
    printed = capsys.readouterr().out
    assert "range (recall >= 0.5 at 0.1 FPPI)     70.0 m" in printed
    assert "MR-2 reasonable                       30.0 %" in printed
    assert json.loads(out.read_text())["log_average_miss_rate"]["reasonable"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--ground-truth", "absent.json"], "absent.json: expected a JSON file, there is none"),
        (["--recall", "2"], "recall must be"),
        (["--fppi", "-1"], "fppi must be"),
    ],
)
def test_the_command_s_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], message: str
) -> None:
    given = ["--ground-truth", str(ten(tmp_path)), "--predictions", str(seven(tmp_path))]
    assert main(["evaluate", *given, *option]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('[{"image_id": 1,')
    with pytest.raises(EvaluationError, match=r"p\.json: expected JSON, got: Expecting property"):
        evaluate(ten(tmp_path), [path], config())


def test_images_are_in_the_order_of_their_ids_and_ids_may_be_texts(tmp_path: Path) -> None:
    for ids in ([2, 10, 1], ["b", "c", "a"]):
        truth = truth_file(tmp_path, [{"id": i} for i in ids], [person(i) for i in ids])
        path = write(tmp_path / "p.json", [found(ids[0], 0.9)])
        run = evaluate(truth, [path], config(samples=0))["runs"][0]
        assert {e["image_id"] for e in run["gallery"]["misses"]} == set(ids[1:])


def test_the_shared_drives_can_be_evaluated(shared: Path, tmp_path: Path) -> None:
    truth = shared / "data" / "nuscenes" / "val.json"
    people = json.loads(truth.read_text())["annotations"]
    rows = [
        {"image_id": p["image_id"], "bbox": p["bbox"], "score": min(1.0, p["height"] / 100)}
        for p in people
        if p["distance_m"] < 40
    ]
    result = evaluate(truth, [write(tmp_path / "p.json", rows)], config(protocol="far"))
    farthest = max(p["distance_m"] for p in people if p["distance_m"] < 40 and not p["ignore"])
    assert result["range_m"] == farthest
    assert result["runs"][0]["tracks"] is not None
    assert {row["sequence"] for row in result["runs"][0]["by_sequence"]} == {
        "scene-0523",
        "scene-0916",
    }


def test_another_class_is_evaluated_by_its_name(tmp_path: Path) -> None:
    """Riders: one of two found; the pedestrian, and what is found of pedestrians, are nobody's."""
    categories = [{"id": 1, "name": "pedestrian"}, {"id": 4, "name": "Rider"}]
    annotations = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 30]},
        {"image_id": 1, "category_id": 4, "bbox": [50, 0, 10, 30]},
        {"image_id": 1, "category_id": 4, "bbox": [90, 0, 10, 30]},
    ]
    truth = {"images": [{"id": 1}], "annotations": annotations, "categories": categories}
    predictions = [
        {"image_id": 1, "category_id": 4, "bbox": [50, 0, 10, 30], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 30], "score": 0.8},
    ]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "p.json").write_text(json.dumps(predictions))
    config = EvaluationConfig(category="rider", samples=0)
    summary = evaluate(tmp_path / "gt.json", [tmp_path / "p.json"], config)
    assert summary["ground_truth"]["pedestrians"] == 2
    assert summary["runs"][0]["problems"] == {"other_category": 1}
    with pytest.raises(
        EvaluationError, match="expected a category named bus, got pedestrian, Rider"
    ):
        evaluate(tmp_path / "gt.json", [tmp_path / "p.json"], EvaluationConfig(category="bus"))
