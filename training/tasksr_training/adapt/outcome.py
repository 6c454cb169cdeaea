"""The end of a run: what was learnt is measured, shown, and written as a bundle if it helps."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_training.adapt.crops import Labels
from tasksr_training.adapt.degradation import lr_copies
from tasksr_training.adapt.export import export_adapted
from tasksr_training.adapt.measure import ADAPTED, BICUBIC, X1, Setting, helps, measure
from tasksr_training.adapt.page import crops_sheet, write_page
from tasksr_training.adapt.prepared import Detector, Prepared
from tasksr_training.adapt.stage import starting_network
from tasksr_training.adapt.systems import System, alone, behind_bicubic
from tasksr_training.checkpoints import build_network, load_checkpoint, load_network
from tasksr_training.whole_files import replace_text

MEASURED, PAGE, BUNDLE, CANDIDATE = "measured.json", "page.html", "bundle", "candidate"
_SHOWN = 3
"""Batches on the page."""

Results = dict[str, dict[str, Any]]


def finish(
    detector: Detector,
    prepared: Prepared,
    setting: Setting,
    start: str,
    export: str,
    threads: int,
    run: Path,
    out: Path,
) -> None:
    """Measure what was learnt, say whether it helps, write the page and the bundle.

    Args:
        detector: that stays as it is.
        prepared: what the run began with.
        setting: what is measured.
        start: name of the network that it began with.
        export: ``if-better``, ``anyway`` or ``never``.
        threads: of the engines.
        run: folder of the run.
        out: folder to write to.
    """
    bundle = detector.bundle
    sr, description = load_network(run, "sr")
    recipe = _recipe(run, bundle)
    candidate, final = out / CANDIDATE, out / BUNDLE
    export_adapted(bundle, sr, description, recipe, "Not measured yet.", candidate)
    results = _results(detector, candidate, setting, prepared.labels, threads, out)
    shutil.rmtree(candidate, ignore_errors=True)
    better, told = helps(results, setting.config)
    answer = f"{'It helps' if better else 'It is not shown to help'}. {told}."
    exported = export == "anyway" or (better and export == "if-better")
    if exported:
        export_adapted(bundle, sr, description, recipe, answer, final)
    elif final.is_dir() and export != "never":
        shutil.rmtree(final)  # of earlier weights
    networks = _networks(start, sr, setting.scale_factor, run)
    _write_page(detector, prepared, networks, answer, results, setting.scale_factor, out)
    print(f"tasksr-train: {answer}")
    why = "as --export never says" if export == "never" else "--export anyway does so"
    print(f"tasksr-train: {final if exported else f'no bundle is written ({why})'}; {out / PAGE}")


def _write_page(
    detector: Detector,
    prepared: Prepared,
    networks: dict[str, nn.Module],
    answer: str,
    results: Results,
    scale_factor: int,
    out: Path,
) -> None:
    detector.module.cpu()  # where the crops are
    shown = list(prepared.held_out[:_SHOWN])
    lrs = [lr_copies(b.hr, b.degradations, scale_factor, b.seed) for b in shown]
    sheet = crops_sheet(shown, lrs, networks, detector.module)
    write_page(out / PAGE, answer, results, prepared.lines, sheet)


def _results(
    detector: Detector,
    candidate: Path,
    setting: Setting,
    labels: Labels | None,
    threads: int,
    out: Path,
) -> Results:
    """Measured, or taken from the run where the same was measured before."""
    bundle, people, adapted = detector.bundle, detector.people, load_bundle(candidate)
    what = _measured_what([bundle.sha256, adapted.sha256], setting, labels)
    path = out / MEASURED
    known = _known(path, what)
    if known is not None:
        return known
    systems = {
        X1: System(alone(bundle), people, threads),
        BICUBIC: System(behind_bicubic(bundle, setting.scale_factor), people, threads),
        ADAPTED: System(adapted, people, threads),
    }
    results = measure(systems, setting, labels)
    replace_text(path, json.dumps({"of": what, "results": results}, indent=1))
    return results


def _measured_what(
    bundles: Sequence[str], setting: Setting, labels: Labels | None
) -> dict[str, Any]:
    of_labels = None if labels is None else {k: v[0].tolist() for k, v in labels.items()}
    seen = [[v.tolist() for v in setting.seen[f.file]] for f in setting.frames.held_out]
    return {
        "bundles": list(bundles),
        "degradations": {name: asdict(d) for name, d in setting.degradations.items()},
        "measuring": asdict(setting.config),
        "seen": _sha256(seen),
        "labels": _sha256(of_labels),
    }


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _known(path: Path, what: dict[str, Any]) -> Results | None:
    """Measured before, of the same."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        found: Results = before["results"]
        return found if before["of"] == what else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _networks(start: str, sr: nn.Module, scale_factor: int, run: Path) -> dict[str, nn.Module]:
    """What enlarges the crops of the page, from left to right."""
    bicubic = build_network("sr", {"name": "bicubic", "scale_factor": scale_factor})
    begun, _, has_weights = starting_network(start, scale_factor, run)
    before = {"SR for people": begun.eval()} if has_weights else {}
    return {"bicubic": bicubic.eval(), **before, "SR for this detector": sr}


def _recipe(run: Path, bundle: Bundle) -> dict[str, Any]:
    content = load_checkpoint(run)
    return {
        "stages": ["tasksr-train adapt"],
        "adapted_to": bundle.name,
        "detector_recipe": dict(bundle.recipe),
        "steps": int(content["step"]),
        "minutes": round(content["seconds"] / 60, 1),
        "licence": "of the detector and of the recordings: their owners'",
    }
