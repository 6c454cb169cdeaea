"""The summary for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from tasksr_ros.evaluation.summary import Bin, Interval, Number, Run, Summary


def text(summary: Summary) -> str:
    """A few lines per run, and per comparison what differs for certain."""
    truth, protocol, settings = summary["ground_truth"], summary["protocol"], summary["settings"]
    lines = [
        f"{truth['images']} images, {truth['pedestrians']} pedestrians "
        f"({truth['ignored']} ignored), protocol {protocol['name']}, "
        f"IoU {protocol['iou']:g}, intervals of {settings['confidence']:.0%}",
        *_problems("ground truth", truth["problems"]),
    ]
    for run in summary["runs"]:
        lines += ["", *_run(run, summary)]
    for comparison in summary["comparisons"]:
        a, b = (summary["runs"][comparison[k]]["name"] for k in ("a", "b"))
        lines += ["", f"{b} against {a}, on the {comparison['images']} images of both"]
        for name, row in comparison["differences"].items():
            if row["difference"] is None:
                continue
            winner = {"a": a, "b": b, None: "no certain difference"}[row["better"]]
            shown = f"{row['difference']:+.4g}{_interval(row['interval_images'], _plain)}"
            lines.append(f"  {name:<38}{shown:<32}{winner}")
    return "\n".join(lines)


def _run(run: Run, summary: Summary) -> list[str]:
    settings, point = summary["settings"], run["operating_point"]
    lines = [f"{run['name']}: {run['detections']} detections in {run['images']} images"]
    lines += _problems("predictions", run["problems"])

    def row(
        label: str,
        name: str,
        value: Number,
        interval: Interval,
        form: Callable[[float], str],
        note: str = "",
    ) -> None:
        why = run["undefined"].get(name, "not defined")
        shown = f"-  ({why})" if value is None else form(value) + _interval(interval, form) + note
        lines.append(f"  {label:<38}{shown}")

    at = f"at {settings['fppi']:g} FPPI"
    recall = settings["recall"]
    row(
        f"range (recall >= {recall:g} {at})",
        "range_m",
        run["range_m"],
        run["range_m_interval"],
        lambda v: f"{v:.1f} m",
        ", or more" if run["range_m_is_limit"] else "",
    )
    row(
        "least height (same)",
        "min_height_px",
        run["min_height_px"],
        run["min_height_px_interval"],
        lambda v: f"{v:.1f} px",
        ", or less" if run["min_height_px_is_limit"] else "",
    )
    row(
        f"recall {at}",
        "operating_point.recall",
        point["recall"],
        point["recall_interval"],
        _percent,
    )
    for number, found in enumerate(run["recall_by_distance"]):
        if found["pedestrians"]:
            far = "" if found["high"] is None else f"{found['high']:g}"
            row(
                f"  of people at {found['low']:g}-{far} m",
                f"recall_by_distance.{number}",
                found["recall"],
                found["recall_interval"],
                _percent,
                f"  of {found['pedestrians']}{_mostly_visible(found)}",
            )
    lines += _range_error(run)
    row(
        f"false positives per hour {at}",
        "false_positives_per_hour",
        run["false_positives_per_hour"],
        run["false_positives_per_hour_interval"],
        lambda v: f"{v:.0f}",
    )
    for name, value in run["log_average_miss_rate"].items():
        key = f"log_average_miss_rate.{name}"
        row(f"MR-2 {name}", key, value, run["log_average_miss_rate_interval"][name], _percent)
    for name, value in run["ap"].items():
        label = name.replace("ap", "AP").replace("_", " ")
        row(label, f"ap.{name}", value, run["ap_interval"][name], _percent)
    for name, value in (run["kitti_ap"] or {}).items():
        row(f"KITTI AP {name}", f"kitti_ap.{name}", value, None, _percent)
    return lines


def _mostly_visible(found: Bin) -> str:
    if found["visible"] in (None, 0, found["pedestrians"]):
        return ""
    return f"; {found['visible_found']} of the {found['visible']} mostly visible"


def _range_error(run: Run) -> list[str]:
    """How good the stated distances are, where there are any."""
    error = run["range_error"]
    if error is None:
        return []
    lines: list[str] = []
    for found in (error["near"], *error["by_distance"]):
        median, bias, share = found["median_error"], found["bias"], found["within_two_sigma"]
        if median is None or bias is None:
            continue
        far = "" if found["high"] is None else f"{found['high']:g}"
        label = f"  at {found['low']:g}-{far} m" if lines else f"distance error to {far} m, median"
        shown = "" if share is None else f", {_percent(share)} within 2 sigma"
        lines.append(
            f"  {label:<38}{_percent(median)}, bias {100 * bias:+.1f} %{shown}  "
            f"of {found['people']}"
        )
    return lines


def _problems(of: str, problems: dict[str, int]) -> list[str]:
    return [f"  ! {of}: {n} x {kind.replace('_', ' ')}" for kind, n in sorted(problems.items())]


def _interval(interval: Interval, form: Callable[[float], str]) -> str:
    return "" if interval is None else f"  [{form(interval[0])}, {form(interval[1])}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _plain(value: float) -> str:
    return f"{value:+.3g}"
