"""Tests of tasksr_ros.bundle.schema: what a hostile model.yaml may try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.bundle.schema import described
from tasksr_ros.errors import BundleError

FOLDER, PATH = Path("b"), Path("b/model.yaml")
SHA = "0" * 64
GOOD: dict[str, Any] = {
    "format": 2,
    "name": "tdsr-ss-x4",
    "files": {"sr.safetensors": SHA, "detector.safetensors": SHA},
    "sr": {"network": "dbpn-ss", "scale_factor": 4, "weights": "sr.safetensors"},
    "detector": {
        "network": "fcos",
        "options": {"width": 1.0},
        "weights": "detector.safetensors",
    },
    "classes": ["pedestrian"],
    "region_size": [320, 96],
    "score_threshold": 0.5,
    "recipe": {"anything": [1, None]},
}
TAKES: dict[str, Any] = {
    "channels": "bgr",
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
    "size_multiple": 32,
}
FOREIGN: dict[str, Any] = {
    **GOOD,
    "files": {"yolox.onnx": SHA},
    "sr": "none",
    "detector": {"model": "yolox.onnx", "decoder": "yolox", "labels": [0], "input": TAKES},
}


def test_a_good_description() -> None:
    bundle = described(dict(GOOD), FOLDER, PATH)
    assert isinstance(bundle, Bundle)
    assert (bundle.scale_factor, bundle.sr_size) == (4, (1280, 384))
    foreign = described(dict(FOREIGN), FOLDER, PATH)
    assert isinstance(foreign, Bundle)
    assert isinstance(foreign.detector, ForeignDetector)
    assert (foreign.scale_factor, foreign.detector.input.size_multiple) == (1, 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 3}, "format must be 2, got 3"),
        ({"name": "../../etc/cron.d/x"}, "name must be letters"),
        ({"name": "/etc/passwd"}, "name must be letters"),
        ({"name": "a\nb"}, "name must be letters"),
        ({"name": "a\x1b[2J"}, "name must be letters"),
        ({"name": ""}, "name must be letters"),
        ({"name": "x" * 101}, "name must be letters"),
        ({"files": {"../x": SHA}}, "files must be 64 hex digits by the name of each file"),
        ({"files": {"x": "A" * 64}}, "files must be 64 hex digits"),
        ({"files": {"sr.safetensors": SHA}}, "files must have the sha256 of detector.safetensors"),
        ({"region_size": [10**9, 96]}, "at most 8192 each"),
        ({"region_size": [-320, 96]}, "at most 8192 each"),
        ({"region_size": [320.0, 96]}, "at most 8192 each"),
        ({"region_size": [True, 96]}, "at most 8192 each"),
        ({"region_size": [321, 96]}, "multiples of 32 SR px"),
        ({"score_threshold": float("nan")}, "score_threshold must be between 0 and 1"),
        ({"score_threshold": 2.0}, "score_threshold must be between 0 and 1"),
        ({"weak_threshold": 0.0}, "weak_threshold must be between 0 and 1"),
        ({"weak_threshold": 0.5}, "weak_threshold must be below score_threshold, 0.5, got 0.5"),
        ({"classes": []}, "classes must be 1 to 1000 distinct names"),
        ({"classes": ["a"] * 2}, "classes must be 1 to 1000 distinct names"),
        ({"classes": [str(n) for n in range(1001)]}, "classes must be 1 to 1000 distinct names"),
        ({"classes": [1]}, "classes must be 1 to 1000 distinct names"),
        ({"classes": ["a\r\nb"]}, "classes must be 1 to 1000 distinct names"),
        ({"recipe": []}, "recipe must be of type dict"),
        ({"weights": "/dev/zero"}, r"unknown keys: \['weights'\]"),
        ({"x" * 10**6: 1}, "unknown keys"),
        ({"sr": "dbpn-ss"}, "sr must be a section, or none, got 'dbpn-ss'"),
    ],
)
def test_hostile_values_are_refused_in_one_short_line(values: dict[str, Any], message: str) -> None:
    refused({**GOOD, **values}, message)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("sr", {"network": "../../../tmp/evil"}, "sr.network must be the name of a network"),
        ("sr", {"network": ".."}, "sr.network must be the name of a network"),
        ("sr", {"weights": "/etc/passwd"}, "sr.weights must be the name of a file in the bundle"),
        ("sr", {"scale_factor": 16**5000}, "got a number too long to write"),
        ("sr", {"scale_factor": 9}, "sr.scale_factor must be from 1 to 8"),
        ("sr", {"scale_factor": True}, "sr.scale_factor must be of type int or float"),
        ("sr", {"scale_factor": float("nan")}, "sr.scale_factor must be from 1 to 8"),
        ("sr", {"more": 1}, r"unknown keys: \['more'\]"),
        ("detector", {"options": {"width": 1e9}}, "detector.options must be names and numbers"),
        ("detector", {"options": {"width": float("nan")}}, "detector.options must be names and"),
        ("detector", {"options": {"w x": 1}}, "detector.options must be names and numbers"),
        ("detector", {"options": {1: 1}}, "detector.options must be names and numbers"),
        ("detector", {"weights": ""}, "detector.weights must be the name of a file"),
    ],
)
def test_hostile_sections_are_refused_in_one_short_line(
    section: str, values: dict[str, Any], message: str
) -> None:
    refused({**GOOD, section: {**GOOD[section], **values}}, message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "../yolox.onnx"}, "detector.model must be the name of a file"),
        ({"labels": []}, "detector.labels must be numbers of the detector's classes"),
        ({"labels": [0, 1]}, "detector.labels must be one for each of 1 classes, got 2"),
        ({"labels": [-1]}, "detector.labels must be numbers"),
        ({"input": {**TAKES, "channels": "gbr"}}, "input.channels must be rgb or bgr"),
        ({"input": {**TAKES, "std": [1.0, 0.0, 1.0]}}, "input.std must be three positive numbers"),
        ({"input": {**TAKES, "mean": [1.0]}}, "input.mean must be three numbers"),
        ({"input": {**TAKES, "size": [416, 416]}}, "must be 416x416 px, .* got 320x96"),
        ({"input": {**TAKES, "size_multiple": 64}}, "must be multiples of 64 SR px, got 320x96"),
        ({"decoder_options": {"a": [1]}}, "detector.decoder_options must be names"),
    ],
)
def test_hostile_detectors_are_refused_in_one_short_line(
    values: dict[str, Any], message: str
) -> None:
    refused({**FOREIGN, "detector": {**FOREIGN["detector"], **values}}, message)


@pytest.mark.parametrize("value", [None, [], "text", 1, {}])
def test_what_is_no_description_is_refused(value: object) -> None:
    with pytest.raises(BundleError):
        described(value, FOLDER, PATH)


def refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        described(values, FOLDER, PATH)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
