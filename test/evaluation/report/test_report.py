"""The report as a text, and as a headless browser shows it."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.cli.main import main
from tasksr_ros.evaluation.report import render, write_report
from tasksr_ros.evaluation.report.crops import make_crops
from tasksr_ros.evaluation.report.quantities import bin_name, number, percent, subset_words

HOSTILE = '<script>alert("x")</script> & "quotes"'
BROWSERS = ("chromium-headless-shell", "chrome-headless-shell")
IMAGES = ("left.png", "right.png")


def example(**values: Any) -> dict[str, Any]:
    return {
        "image_id": 1,
        "file_name": "images/left.png",
        "sequence": "drive_1",
        "stamp_ns": None,
        "bbox": [100.0, 60.0, 12.0, 30.0],
        "height": 30.0,
        "distance_m": 66.4,
        "outcome": "false_positive",
        "score": 0.91,
        "score_a": None,
        "score_b": None,
        **values,
    }


def run(name: str, shift: float, stages: tuple[str, ...] = ("decode", "engine", "total")) -> Any:
    """A run whose figures are better by ``shift``."""
    fppi = np.geomspace(0.004, 3, 60)
    bins = [(0, 20, 40), (20, 30, 120), (30, 50, 90), (50, 80, 60), (80, None, 0)]
    recall = [0.1 + shift, 0.4 + shift, 0.7 + shift, 0.9, None]
    return {
        "name": name,
        "path": f"{name}.json",
        "sha256": "0f" * 32,
        "info": {"bundle": "tdsr-ss-x4", "bundle_sha256": "066187b7", "machine": "2 cores"},
        "images": 40,
        "detections": 900,
        "problems": {"image_not_in_ground_truth": 2, "score_not_finite": 1},
        "log_average_miss_rate": {"reasonable": 0.412 - shift, "small": 0.553, "heavy": None},
        "log_average_miss_rate_interval": {
            "reasonable": [0.36 - shift, 0.47 - shift],
            "small": [0.5, 0.6],
            "heavy": None,
        },
        "subset_pedestrians": {"reasonable": 200, "small": 80, "heavy": 0},
        "ap": {"ap": 0.3, "ap50": 0.55 + shift, "ap30": 0.62, "ap_small": 0.2},
        "ap_interval": {
            "ap": [0.27, 0.33],
            "ap50": [0.5, 0.6],
            "ap30": [0.57, 0.67],
            "ap_small": [0.15, 0.25],
        },
        "kitti_ap": None,
        "operating_point": {
            "fppi": 0.1,
            "fppi_reached": 0.093,
            "score_threshold": 0.41,
            "true_positives": 161,
            "false_positives": 4,
            "false_negatives": 149,
            "recall": 0.52 + shift,
            "recall_interval": [0.47 + shift, 0.56 + shift],
            "miss_rate": 0.48 - shift,
            "precision": 0.95,
        },
        "range_m": 72.4 + 100 * shift,
        "range_m_interval": [66.0, 80.1],
        "range_m_is_limit": False,
        "min_height_px": 21.0,
        "min_height_px_interval": [18.5, 24.0],
        "min_height_px_is_limit": False,
        "false_positives_per_hour": 3340.0,
        "false_positives_per_hour_interval": [2500.0, 4100.0],
        "at_match": [
            {
                "match": match,
                "iou": iou,
                "log_average_miss_rate": 0.4,
                "ap": 0.55,
                "recall": 0.52,
                "range_m": 72.4,
                "min_height_px": 21.0,
            }
            for match, iou in (("iou", 0.5), ("iou", 0.3), ("centre", None))
        ],
        "curves": {
            "miss_rate_fppi": {
                "reasonable": {
                    "fppi": fppi.tolist(),
                    "miss_rate": np.clip(0.35 * fppi**-0.2 - shift, 0.02, 1).tolist(),
                    "score": np.linspace(0.99, 0.1, 60).tolist(),
                }
            },
            "precision_recall": {
                iou: {
                    "recall": np.linspace(0, 1, 101).tolist(),
                    "precision": np.clip(1.1 + shift - np.linspace(0, 1, 101) ** 2, 0, 1).tolist(),
                }
                for iou in ("0.5", "0.3")
            },
        },
        "recall_by_height": [
            {
                "low": low,
                "high": high,
                "pedestrians": people,
                "found": 0 if share is None else round(share * people),
                "recall": share,
                "recall_interval": None if share is None else [share - 0.08, share + 0.06],
                "miss_rate": None if share is None else 1 - share,
                "false_positives": 1,
                "fppi": 0.02,
            }
            for (low, high, people), share in zip(bins, recall, strict=True)
        ],
        "recall_by_distance": [],
        "by_sequence": [
            {
                "sequence": "drive_1",
                "images": 40,
                "pedestrians": 310,
                "found": 161,
                "recall": 0.52 + shift,
                "false_positives": 4,
                "fppi": 0.1,
                "log_average_miss_rate": 0.41,
                "ap50": 0.55,
            }
        ],
        "calibration": {
            "all": reliability(None, None),
            "by_height": [reliability(0, 20), reliability(20, 40), reliability(40, None)],
        },
        "tracks": None,
        "latency": {
            "stages": {
                stage: {
                    "frames": 40,
                    "mean": time,
                    "p50": time,
                    "p90": 1.2 * time,
                    "p95": 1.3 * time,
                    "p99": 1.6 * time,
                    "max": 2 * time,
                }
                for stage, time in zip(stages, (4.0, 30.0, 36.0), strict=True)
            }
        },
        "gallery": {
            "false_positives": [example(), example(score=0.72, file_name="images/right.png")],
            "misses": [example(outcome="miss", score=None), example(outcome="miss", score=0.2)],
        },
        "undefined": {"log_average_miss_rate.heavy": "no pedestrian in this subset"},
    }


def reliability(low: float | None, high: float | None) -> dict[str, Any]:
    bins = [
        {"low": k / 10, "high": (k + 1) / 10, "detections": 40, "mean_score": k / 10 + 0.05}
        for k in range(10)
    ]
    return {
        "low": low,
        "high": high,
        "detections": 400,
        "ece": 0.12,
        "bins": [{**b, "precision": 0.8 * b["mean_score"]} for b in bins],
    }


def summary(runs: int = 1) -> Any:
    """A summary of one or more runs, each better than the one before."""
    found = [run(f"tdsr {k}", 0.04 * k) for k in range(runs)]
    difference = {
        "a": 0.412,
        "b": 0.372,
        "difference": -0.04,
        "interval_images": [-0.07, -0.01],
        "interval_sequences": None,
        "better": "b",
    }
    nothing = {**difference, "difference": 3.0, "interval_images": [-1.0, 7.0], "better": None}
    return {
        "schema": 1,
        "created": {
            "command": "tasksr evaluate --ground-truth val.json",
            "version": "0.1.0",
            "commit": "56cc795",
            "machine": "x86_64, 2 cores",
            "time": "2025-11-22T18:50:00+00:00",
        },
        "protocol": {
            "name": "citypersons",
            "headline": "reasonable",
            "match": "iou",
            "iou": 0.5,
            "subsets": {
                "reasonable": subset(50, None, 0.65),
                "small": subset(50, 75, 0.65),
                "heavy": subset(50, None, 0.2),
            },
        },
        "settings": {"fppi": 0.1, "recall": 0.5, "confidence": 0.95, "samples": 1000, "seed": 0},
        "ground_truth": {
            "path": "drives/val.json",
            "sha256": "ab" * 32,
            "images": 40,
            "pedestrians": 310,
            "ignored": 25,
            "sequences": 1,
            "tracks": 0,
            "duration_s": None,
            "has_distance": False,
            "has_visibility": True,
            "problems": {"box_without_area": 3},
        },
        "runs": found,
        "comparisons": [
            {
                "a": 0,
                "b": b,
                "images": 40,
                "differences": {
                    "log_average_miss_rate.reasonable": difference,
                    "range_m": nothing,
                },
                "recall_by_height": [
                    {"low": 0, "high": 20, "pedestrians": 40, "difference": d, "interval": i}
                    for d, i in ((0.1, [-0.02, 0.2]), (0.04, [0.01, 0.08]), (None, None))
                ],
                "recall_by_distance": [],
                "by_image": [
                    {
                        "image_id": 1,
                        "gained": 2,
                        "lost": 0,
                        "false_positives_a": 1,
                        "false_positives_b": 0,
                    }
                ],
                "gains": [example(outcome="gain", score=None, score_b=0.8)],
                "losses": [],
                "undefined": {},
            }
            for b in range(1, runs)
        ],
        **{
            key: found[0][key]
            for key in ("log_average_miss_rate", "ap", "range_m", "recall_by_height", "undefined")
        },
    }


def subset(low: float | None, high: float | None, visible: float | None) -> dict[str, Any]:
    return {
        "min_height": low,
        "max_height": high,
        "min_visibility": visible,
        "max_visibility": None,
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in IMAGES:
        coarse = rng.integers(0, 255, (12, 20, 3), np.uint8)
        picture = cv2.resize(coarse, (320, 192), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / name), picture)
    return tmp_path


def doubled(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return crop.repeat(2, 0).repeat(2, 1)


class Page(html.parser.HTMLParser):
    """The elements, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.text += " "
        self._in_style = tag == "style"
        self.tags.append(tag)
        values = dict(attributes)
        self.addresses += [values[k] or "" for k in ("src", "href", "xlink:href") if k in values]
        self.ids += [values["id"] or ""] if "id" in values else []

    def handle_endtag(self, tag: str) -> None:
        self.text += " "
        self._in_style = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._in_style else data


@pytest.fixture(scope="module")
def one_run() -> str:
    """The text of a page of one run."""
    return words(render(summary()))


@pytest.fixture(scope="module")
def two_runs() -> str:
    return words(render(summary(2)))


def words(text: str) -> str:
    return " ".join(Page(text).text.split()).replace("\u202f", " ")


def test_page_needs_nothing_but_itself(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(summary(2), path, images, doubled)
    page = Page(path.read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "base"} & set(page.tags)
    outside = [a for a in page.addresses if not a.startswith(("#", "data:image/"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 1e6
    ids = page.ids
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(ids)


def test_same_summary_gives_the_same_page(images: Path) -> None:
    assert render(summary(2), images, doubled) == render(summary(2), images, doubled)


def test_headline_has_numbers_with_units_and_intervals(one_run: str) -> None:
    assert "Range 72.4 m 66.0 to 80.1" in one_run
    assert "MR⁻² 41.2 % 36.0 to 47.0" in one_run
    assert "AP₅₀ 55.0 % 50.0 to 60.0" in one_run
    assert "Latency 36.0 ms p95 46.8, p99 57.6" in one_run
    assert "3 340 /h" in one_run


def test_limits_are_marked_as_such() -> None:
    one = summary()
    one["runs"][0] |= {"range_m_is_limit": True, "min_height_px_is_limit": True}
    text = words(render(one))
    assert "Range ≥ 72.4 m" in text
    assert "Smallest height ≤ 21.0 px" in text


def test_what_is_not_defined_says_why_and_is_no_zero() -> None:
    one = summary()
    one["runs"][0] |= {"range_m": None, "range_m_interval": None, "latency": None}
    one["runs"][0]["undefined"]["range_m"] = "the ground truth has no distances"
    text = words(render(one))
    assert "Range not defined: the ground truth has no distances" in text
    assert "Latency not measured" in text
    assert "Recall by distance Not shown: the ground truth has no distances." in text
    assert "Not defined: MR⁻² heavy (no pedestrian in this subset)" in text
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_comparison_says_which_is_better_only_where_shown(two_runs: str) -> None:
    text = two_runs.replace("\N{MINUS SIGN}", "-")
    assert "B - A: -4.0 points (-7.0 to -1.0) B is better" in text
    assert "B - A: +3.0 m (-1.0 to +7.0) no difference shown" in text
    assert "Gained: found by B, not by A" in text


def test_one_run_has_no_differences(one_run: str) -> None:
    for words_of_comparison in ("B - A", "is better", "difference", "found by", "paired"):
        assert words_of_comparison not in re.sub(r"(lower|left|right) is better", "", one_run)


def test_what_was_left_out_is_counted(one_run: str) -> None:
    assert "image not in ground truth: 2, score not finite: 1" in one_run
    assert "box without area: 3" in one_run
    assert "25 boxes are ignored" in one_run


def test_provenance_is_on_the_page(one_run: str) -> None:
    for known in ("tasksr evaluate --ground-truth val.json", "56cc795", "066187b7", "2 cores"):
        assert known in one_run


def test_everything_is_escaped(images: Path) -> None:
    hostile = summary(2)
    hostile["created"] |= {"command": HOSTILE, "machine": HOSTILE}
    hostile["ground_truth"]["problems"] = {HOSTILE: 1}
    one = hostile["runs"][0]
    one |= {"name": HOSTILE, "path": HOSTILE, "info": {HOSTILE: HOSTILE}}
    one["by_sequence"][0]["sequence"] = HOSTILE
    one["undefined"] = {"ap": HOSTILE}
    one["latency"]["stages"] = {f"$x_{HOSTILE}$": one["latency"]["stages"]["total"]}
    one["gallery"]["misses"] = [example(outcome="miss", file_name=HOSTILE, sequence=HOSTILE)]
    page = Page(render(hostile, images))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 10


def test_empty_runs_make_a_page() -> None:
    empty = summary(2)
    for one in empty["runs"]:
        one["curves"] = {"miss_rate_fppi": {}, "precision_recall": {}}
        one["recall_by_height"], one["by_sequence"] = [], []
        one["calibration"]["by_height"] = []
        one["calibration"]["all"] |= {"detections": 0, "ece": None, "bins": []}
        one["gallery"] = {"false_positives": [], "misses": []}
        one["latency"] = None
        one["info"] = {}
        one["operating_point"]["score_threshold"] = None
    empty["comparisons"][0] |= {"differences": {}, "recall_by_height": [], "gains": []}
    text = words(render(empty))
    for reason in (
        "no bin has a person that counts",
        "there are no detections to judge",
        "the ground truth names no sequences",
        "no predictions file has times beside it",
        "nobody was missed",
        "no false positives",
    ):
        assert reason in text


def test_more_runs_than_colours_are_in_the_tables() -> None:
    text = words(render(summary(8)))
    assert "The figures show the first 6 of 8 runs" in text
    assert "H tdsr 7" in text


def test_runs_with_other_bins_and_stages() -> None:
    two = summary(2)
    two["runs"][1]["recall_by_height"].pop(0)
    two["runs"][1]["recall_by_height"][0]["pedestrians"] = 100
    two["runs"][1]["latency"]["stages"] = {
        "inference": two["runs"][0]["latency"]["stages"]["engine"]
    }
    page = render(two)
    assert "n 120/100" in page
    assert (
        words(page).index("decode A")
        < words(page).index("inference B")
        < words(page).index("total A")
    )


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (12345.678, 1, False, "12\u202f345.7"),
        (-0.04, 1, True, "0.0"),
        (-1.26, 1, True, "\N{MINUS SIGN}1.3"),
        (3.0, 0, True, "+3"),
        (float("nan"), 1, False, "\N{EN DASH}"),
    ],
)
def test_number(value: float, digits: int, signed: bool, text: str) -> None:
    assert number(value, digits, signed=signed) == text


def test_names() -> None:
    assert [bin_name(20, 30), bin_name(80, None), bin_name(None, 20), bin_name(None, None)] == [
        "20\N{EN DASH}30",
        "≥ 80",
        "< 20",
        "all",
    ]
    assert percent(0.4123) == "41.2"
    assert subset_words(subset(50, None, 0.65)) == "height ≥ 50 px, visible share ≥ 0.65"
    assert subset_words(subset(None, None, None)) == "everybody"


def test_crop_shows_the_box_where_it_is(images: Path) -> None:
    (crop,) = make_crops([example()], images, doubled)
    # box (100, 60, 12, 30), centre (106, 75); 1.9 x 30 = 57 px high, 43 wide: from (84, 46)
    lr, bicubic, sr = crop.pictures
    assert (lr.kind, bicubic.kind, sr.kind) == ("LR", "bicubic", "SR")
    assert lr.outline == pytest.approx(
        (100 * 16 / 43, 100 * 14 / 57, 100 * 12 / 43, 100 * 30 / 57), abs=1.5
    )
    left = cv2.imread(str(images / "images" / "left.png"))
    assert np.array_equal(decoded(lr.uri), left[46:103, 84:127])
    assert decoded(sr.uri).shape == decoded(bicubic.uri).shape == (114, 86, 3)


def test_crop_at_the_corner_stays_inside(images: Path) -> None:
    (crop,) = make_crops([example(bbox=[-4.0, -6.0, 12.0, 30.0])], images, None)
    assert [p.kind for p in crop.pictures] == ["LR", "bicubic"]
    assert decoded(crop.pictures[0].uri).shape == (57, 43, 3)
    assert crop.pictures[0].outline[:2] == pytest.approx((100 * -4 / 43, 100 * -6 / 57))


def test_crop_of_someone_close_is_not_enlarged(images: Path) -> None:
    big = np.zeros((900, 800, 3), np.uint8)
    cv2.imwrite(str(images / "images" / "left.png"), big)
    (crop,) = make_crops([example(bbox=[300.0, 300.0, 100.0, 250.0])], images, doubled)
    (picture,) = crop.pictures
    assert (picture.kind, picture.outlined) == ("image", True)
    # 1.4 x 250 = 350 px high, 2.25 times as wide: moved to the left edge and inside
    assert picture.outline == pytest.approx((100 * 300 / 788, 14.3, 100 * 100 / 788, 71.4), abs=1)


def test_missing_images_are_named(images: Path, tmp_path: Path) -> None:
    (images / "images" / "right.png").write_bytes(b"no image")
    outside = example(bbox=[900.0, 60.0, 12.0, 30.0])
    elsewhere, broken = example(file_name="images/x.png"), example(file_name="images/right.png")
    crops = make_crops([outside, elsewhere, broken, example()], images, None)
    assert [bool(crop.pictures) for crop in crops] == [False, False, False, True]
    assert crops[0].missing == "its box lies outside of its image"
    assert crops[1].missing == f"its image is not in {images.name}"
    assert crops[2].missing == "images/right.png cannot be read"
    assert make_crops([example()], None, None)[0].missing == "no images were given"


def test_images_come_from_a_recording_by_stamp(images: Path) -> None:
    # a folder without stamps is read at 10 frames/s: right.png is the second
    second = example(file_name=None, stamp_ns=100_000_000)
    never = example(file_name=None, stamp_ns=1)
    crops = make_crops([never, second], images / "images", None)
    right = cv2.imread(str(images / "images" / "right.png"))
    assert crops[0].pictures == ()
    assert np.array_equal(decoded(crops[1].pictures[0].uri), right[46:103, 84:127])


def test_images_of_another_folder_or_camera_are_not_shown(images: Path) -> None:
    near = [example(), example(file_name="images\\right.png"), example(file_name="rear/left.png")]
    crops = make_crops(near, images / "images", None)
    assert [bool(crop.pictures) for crop in crops] == [True, True, False]
    assert make_crops(near[2:], images / "images", None)[0].pictures == ()
    twice = [example(file_name=None, stamp_ns=0, image_id=k) for k in (1, 2)]
    assert [crop.pictures for crop in make_crops(twice, images / "images", None)] == [(), ()]


def test_same_box_is_super_resolved_once(images: Path) -> None:
    calls = []

    def count(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        calls.append(crop.shape)
        return doubled(crop)

    first, second, other = make_crops(
        [example(), example(outcome="miss"), example(bbox=[50.0, 60.0, 12.0, 30.0])], images, count
    )
    assert first is second
    assert first.pictures != other.pictures
    # 57 x 43 px with 8 px of surroundings on each side
    assert calls == [(73, 59, 3), (73, 59, 3)]


def test_tasksr_evaluate_writes_the_page(images: Path, tmp_path: Path) -> None:
    truth = {
        "images": [
            {"id": k, "file_name": f"images/{name}", "width": 320, "height": 192, "sequence": "s"}
            for k, name in enumerate(IMAGES)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "bbox": [100, 60, 12, 30], "ignore": 0}
            for k in range(2)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    for name, found in (("one", [0]), ("both", [0, 1])):
        hits = [
            {"image_id": k, "category_id": 1, "bbox": [100, 60, 12, 30], "score": 0.9}
            for k in found
        ]
        false = {"image_id": 0, "category_id": 1, "bbox": [20, 60, 12, 30], "score": 0.2}
        (tmp_path / f"{name}.json").write_text(json.dumps([*hits, false]))
    page = tmp_path / "report.html"
    files = [str(tmp_path / f"{name}.json") for name in ("one", "both")]
    arguments = ["evaluate", "--ground-truth", str(tmp_path / "truth.json"), "--html", str(page)]
    assert main([*arguments, "--samples", "50", "--predictions", *files]) == 0
    text = words(page.read_text(encoding="utf-8"))
    assert "A one 2 detections B both 3 detections" in text
    assert "Recall A 50.0 %" in text
    assert "B 100.0 %" in text
    assert "Gained: found by B, not by A LR bicubic B scores 0.90 · 30 px s · right.png" in text
    assert "no distance" in text


def decoded(uri: str) -> NDArray[np.uint8]:
    data = base64.b64decode(uri.partition(",")[2])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


CHECK = """
<script>
for (const d of document.querySelectorAll("details")) d.open = true;
const images = [...document.images];
const found = {
  inner: innerWidth,
  scroll: document.documentElement.scrollWidth,
  images: images.length,
  broken: images.filter(i => !i.complete || !i.naturalWidth).length,
  figures: [...document.querySelectorAll("figure > svg")]
    .filter(figure => figure.getBoundingClientRect().height > 80).length,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  paper: getComputedStyle(document.body).backgroundColor,
};
addEventListener("load", () => {
  const text = JSON.stringify(found);
  document.body.insertAdjacentHTML("beforeend", `<pre id=found>${text}</pre>`);
});
</script>
"""


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], list[str], Path]]:
    """Show a page: what the page measures of itself, console messages, screenshot."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no headless browser ({', '.join(BROWSERS)}) on the path")

    def show(text: str, width: int, *options: str) -> tuple[dict[str, Any], list[str], Path]:
        page, picture = tmp_path / "page.html", tmp_path / f"{width}.png"
        page.write_text(text.replace("</body>", f"{CHECK}</body>"), encoding="utf-8")
        command = [browser, "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        command += ["--disable-background-networking", "--disable-component-update"]
        command += ["--hide-scrollbars", "--enable-logging=stderr", *options]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
        command += [f"--screenshot={picture}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
        assert found is not None, done.stderr[-2000:]
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return json.loads(found.group(1)), console, picture

    return show


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("runs", [1, 3])
def test_browser_shows_the_whole_page(
    browse: Callable[..., Any], images: Path, width: int, runs: int
) -> None:
    long = summary(runs)
    long["created"]["command"] = "tasksr evaluate " + "--predictions=" + "p" * 300
    long["runs"][0]["name"] = "n" * 120
    found, console, picture = browse(render(long, images, doubled), width)
    assert console == []
    assert found["inner"] == width
    assert found["scroll"] <= width
    assert found["broken"] == 0
    assert found["images"] >= 3 * 4
    assert found["figures"] >= 8
    shown = cv2.imread(str(picture))
    assert shown.shape[:2] == (900, width)
    assert shown.std() > 10


def test_browser_shows_dark_where_wanted(browse: Callable[..., Any]) -> None:
    text = render(summary())
    light, _, _ = browse(text, 390)
    dark, _, _ = browse(text, 390, "--blink-settings=preferredColorScheme=0")
    assert (light["dark"], dark["dark"]) == (False, True)
    assert light["paper"] != dark["paper"]


def test_browser_check_finds_what_is_wrong(browse: Callable[..., Any]) -> None:
    text = """<!doctype html><body><img src="data:image/png;base64,AAAA">
    <p style="width: 600px">wide</p><script>undefined_function()</script></body>"""
    found, console, _ = browse(text, 390)
    assert (found["broken"], found["scroll"] > 390) == (1, True)
    assert any("undefined_function" in line for line in console)
