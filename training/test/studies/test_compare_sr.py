"""Super-resolution networks side by side."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from tasksr_training import cli
from tasksr_training.blur_kernels import BlurConfig
from tasksr_training.checkpoints import LAST, load_network, save_checkpoint
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.export import export_sr
from tasksr_training.image_quality import psnr
from tasksr_training.studies import compare_sr_report
from tasksr_training.studies.compare_sr import (
    ComparisonConfig,
    SetConfig,
    SystemConfig,
    compare,
    paired_interval,
)

from tasksr_ros.bundle import load_any_bundle
from tasksr_ros.networks import build_sr

VIDEO = {"base_filter": 4, "feat": 4}
BLIND = {"ks": 3, "kout": 7, "md_ch": 4, "reduction_ch": 4}
SETS = [SetConfig("images", side=32)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained checkpoints ``still``, ``video`` and ``blind``, x2."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(1)
    for run, name, options in (
        ("still", "dbpn-ss", {}),
        ("video", "rbpn-small-4", VIDEO),
        ("blind", "kbpn-small", BLIND),
    ):
        description = {"name": name, "scale_factor": 2, **options}
        weights = {f"sr.{k}": v for k, v in build_sr(**description).state_dict().items()}
        (folder / run).mkdir()
        networks = {"sr": description}
        content = {"networks": networks, "ema": weights, "model": {}, "step": 7, "seconds": 90.0}
        save_checkpoint(folder / run / LAST, content)
    return folder


def comparison(*names: str, **changes: object) -> ComparisonConfig:
    systems = [SystemConfig("bicubic"), *(SystemConfig(n, n) for n in names)]
    plain = ComparisonConfig("Test", systems, SETS, 2)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_interval_by_hand() -> None:
    assert paired_interval([3.0, 3.0, 3.0], [1.0, 1.0, 1.0]) == (2, 2, 2)
    mean, low, high = paired_interval([1.0, 0.0] * 200, [0.0] * 400)
    assert mean == 0.5
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / 20, abs=0.005)  # the normal approximation
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / 20, abs=0.005)
    # pairing: a common difference between images does not widen it
    ours, theirs = np.arange(50.0) + 0.1, np.arange(50.0)
    assert paired_interval(ours.tolist(), theirs.tolist()) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.usefixtures("small_cost_region")
def test_figures_are_those_of_the_images(data: Path, runs: Path) -> None:
    result, panels = compare([comparison("still")], data, runs)
    first, second = result["comparisons"][0]["rows"]
    assert first["cost"]["parameters"] == 0 and second["cost"]["parameters"] == 109_086
    assert second["cost"]["steps"] == 7 and second["cost"]["minutes"] == 1.5
    means = [row["mean"]["images"]["psnr_y"] for row in (first, second)]
    gain, low, high = second["psnr_y_gain_on_row_above"]["images"]
    assert gain == pytest.approx(means[1] - means[0])
    assert low <= gain <= high
    per_image = first["per_image"]["images"]["psnr_y"]
    assert means[0] == pytest.approx(np.mean(per_image))
    images = list(panels[0].images.values())
    assert [i.shape for i in images] == [(32, 32, 3)] * 3
    shown = psnr(images[0], images[-1], 2)
    assert min(abs(shown - value) for value in per_image) < 1e-9


@pytest.mark.usefixtures("small_cost_region")
def test_video_and_blind_networks_side_by_side(data: Path, runs: Path) -> None:
    video = comparison("still", "video", sets=[SetConfig("images", side=32, sequence=True)])
    blurs = BlurConfig(kernel_size=5, length=(1, 4), radius=(0.5, 2), turn_weight=0)
    blurred = comparison("still", "blind", blur=blurs)
    result, panels = compare([video, blurred], data, runs)
    rows = [[row["name"] for row in c["rows"]] for c in result["comparisons"]]
    assert rows == [["bicubic", "still", "video"], ["bicubic", "still", "blind"]]
    assert panels[0].kernels == {}
    assert {k: v.shape for k, v in panels[1].kernels.items()} == {
        "estimated": (7, 7), "true": (7, 7),
    }  # fmt: skip
    errors = result["comparisons"][1]["rows"][2]["mean"]["images"]
    assert errors["kernel_error"] > 0 and errors["no_kernel_error"] > 0
    assert "kernel_error" not in result["comparisons"][1]["rows"][1]["mean"]["images"]
    table = compare_sr_report.markdown(result)
    assert "| squared error of the kernel | images |" in table
    assert f"| blind | {errors['kernel_error']:.4f} |" in table
    of_images = result["comparisons"][1]["rows"][2]["per_image"]["images"]
    assert len(of_images["length"]) == len(of_images["true_length"]) == 6
    assert f"| always 0 | {np.mean(of_images['true_length']):.2f} |" in table
    sharp, soft = (c["rows"][0]["mean"]["images"]["psnr_y"] for c in result["comparisons"])
    assert soft < sharp


def test_lengths_of_the_blur_beside_guesses() -> None:
    """True 2, 4 and 6 px; one that tells 3, 5 and 7 is 1 off, and right in their order."""
    per_image = {"images": {"length": [3.0, 5.0, 7.0], "true_length": [2.0, 4.0, 6.0]}}
    still = {"images": {**per_image["images"], "length": [4.0, 4.0, 4.0]}}
    rows = [{"name": "a", "per_image": per_image}, {"name": "b", "per_image": still}]
    assert compare_sr_report._lengths(rows, ["images"])[3:] == [
        "| always 0 | 4.00 |",
        "| always their mean | 1.33 |",
        "| a | 1.00, 1.00 |",
        "| b | 1.33, - |",
    ]


@pytest.mark.usefixtures("small_cost_region")
def test_sets_are_thinned(data: Path, runs: Path) -> None:
    sets = [SetConfig("images", "all", side=32), SetConfig("images", "some", 32, 2, 2)]
    result, _ = compare([comparison(sets=sets)], data, runs)
    per_image = result["comparisons"][0]["rows"][0]["per_image"]
    assert {k: len(v["psnr_y"]) for k, v in per_image.items()} == {"all": 6, "some": 2}


def test_a_run_of_another_scale_factor_is_refused(data: Path, runs: Path) -> None:
    with pytest.raises(TrainingError, match="expected scale factor 4, got 2"):
        compare([comparison("still", scale_factor=4)], data, runs)


def test_command_writes_table_plot_and_panels(
    data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text(
        "comparisons:\n- title: Still\n  scale_factor: 2\n"
        "  systems: [{name: bicubic}, {name: ours, run: still}]\n"
        "  sets: [{path: images, side: 32}]\n"
    )
    out = tmp_path / "out"
    arguments = ["--config", str(config), "--data", str(data), "--runs", str(runs)]
    log = [{"step": step, "total": 1 / step} for step in range(1, 45)]
    (runs / "still" / "log.jsonl").write_text("\n".join(map(json.dumps, log)))
    assert cli.main(["compare-sr", *arguments, "--out", str(out)]) == 0
    table = (out / "compare_sr.md").read_text()
    assert table in capsys.readouterr().out
    assert "| ours | 109,086 |" in table and "| ours - bicubic |" in table
    assert json.loads((out / "compare_sr.json").read_text())["cost_hw"] == [96, 320]
    for picture in ("compare_sr.png", "curves.png", "panel_01.png"):
        assert np.std(cv2.imread(str(out / picture))) > 1


@pytest.mark.usefixtures("small_cost_region")
def test_a_run_becomes_a_bundle_with_its_tables(data: Path, runs: Path, tmp_path: Path) -> None:
    result, _ = compare([comparison("still")], data, runs)
    figures = tmp_path / "compare_sr.json"
    figures.write_text(json.dumps(result))
    bundle = tmp_path / "dbpn-ss-x2"
    options = [f"--run={runs / 'still'}", f"--bundle={bundle}", f"--comparison={figures}"]
    assert cli.main(["export-sr", *options, "--row=still"]) == 0
    card = (bundle / "README.md").read_text()
    assert "| bicubic | still |" in card and "109,086 parameters" in card
    assert "**reduced by 2 for the laboratory**" in card
    assert "7 steps in 1.5 minutes" in card
    sr = load_any_bundle(bundle).load_sr()
    trained, _ = load_network(runs / "still", "sr")
    again, description = load_network(bundle, "sr")
    assert description == {"name": "dbpn-ss", "scale_factor": 2}
    lr = torch.rand(1, 3, 8, 8)
    assert torch.equal(sr(lr), trained(lr)) and torch.equal(again(lr), trained(lr))
    with pytest.raises(
        CheckpointError, match=r"expected a checkpoint or bundle with 'detector', got \['sr'\]"
    ):
        load_network(bundle, "detector")


@pytest.mark.usefixtures("small_cost_region")
def test_bundles_are_compared_as_their_runs_are(data: Path, runs: Path, tmp_path: Path) -> None:
    """Networks that differ from the named variant, too: their options are in the bundle."""
    result, _ = compare([comparison("still", "video")], data, runs)
    figures = tmp_path / "compare_sr.json"
    figures.write_text(json.dumps(result))
    for run in ("still", "video"):
        export_sr(runs / run, tmp_path / run, figures, run)
    again, _ = compare([comparison("still", "video")], data, tmp_path)
    for a, b in zip(result["comparisons"][0]["rows"], again["comparisons"][0]["rows"], strict=True):
        a["cost"]["ms"] = b["cost"]["ms"]
        assert a == b
    video = load_any_bundle(tmp_path / "video").sr
    assert video is not None
    assert video.options == VIDEO


def test_the_shipped_comparison_is_of_bundles_that_are_there() -> None:
    root = Path(__file__).resolve().parents[3]
    config = yaml.safe_load((root / "training" / "configs" / "compare_sr.yaml").read_text())
    for comparison in config["comparisons"]:
        for run in (system["run"] for system in comparison["systems"] if "run" in system):
            assert load_any_bundle(root / run).scale_factor == comparison["scale_factor"], run


def test_nothing_to_compare_is_said(data: Path, runs: Path) -> None:
    with pytest.raises(TrainingError, match="expected at least one, got none"):
        compare([], data, runs)


@pytest.mark.usefixtures("small_cost_region")
def test_a_row_that_was_not_measured_cannot_be_exported(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "compare_sr.json"
    figures.write_text(json.dumps(compare([comparison("still")], data, runs)[0]))
    with pytest.raises(CheckpointError, match="expected a row 'other' at x2"):
        export_sr(runs / "still", tmp_path / "bundle", figures, "other")


def test_busiest_window() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[100:180:2, 150:270:2] = 255
    y, x = compare_sr_report.busiest_window(image)
    assert 83 <= y <= 100 and 141 <= x <= 150
    assert compare_sr_report.busiest_window(image[:50, :60]) == (0, 0)
