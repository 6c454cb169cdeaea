"""Tests of tasksr_ros.bundle_schema: what a hostile model.yaml may try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.bundle_schema import checked
from tasksr_ros.errors import BundleError

PATH = Path("b/model.yaml")
GOOD: dict[str, Any] = {
    "name": "tdsr-ss-x4",
    "sr": "dbpn-ss",
    "detector_width": 1.0,
    "scale_factor": 4,
    "classes": ["pedestrian"],
    "region_size": [320, 96],
    "score_threshold": 0.5,
    "recipe": {"anything": [1, None]},
    "weights_sha256": "0" * 64,
}


def test_a_good_description_passes_as_it_is() -> None:
    assert checked(dict(GOOD), PATH) == GOOD


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "../../etc/cron.d/x"}, "name must be letters"),
        ({"name": "/etc/passwd"}, "name must be letters"),
        ({"name": "a\nb"}, "name must be letters"),
        ({"name": "a\x1b[2J"}, "name must be letters"),
        ({"name": ""}, "name must be letters"),
        ({"name": "x" * 101}, "name must be letters"),
        ({"sr": "../../../tmp/evil"}, "sr must be the name of a network"),
        ({"sr": ".."}, "sr must be the name of a network"),
        ({"weights_sha256": "../" * 21 + "x"}, "weights_sha256 must be 64 hex digits"),
        ({"weights_sha256": "A" * 64}, "weights_sha256 must be 64 hex digits"),
        ({"detector_width": float("nan")}, "detector_width must be more than 0"),
        ({"detector_width": float("inf")}, "detector_width must be more than 0"),
        ({"detector_width": 1e9}, "detector_width must be more than 0"),
        ({"detector_width": -1.0}, "detector_width must be more than 0"),
        ({"scale_factor": 3}, "scale_factor must be 2, 4 or 8"),
        ({"scale_factor": 10**100}, "scale_factor must be 2, 4 or 8"),
        ({"scale_factor": 16**5000}, "got a number too long to write"),
        ({"scale_factor": True}, "scale_factor must be of type int"),
        ({"region_size": [10**9, 96]}, "at most 4096 each"),
        ({"region_size": [-320, 96]}, "at most 4096 each"),
        ({"region_size": [320.0, 96]}, "at most 4096 each"),
        ({"region_size": [True, 96]}, "at most 4096 each"),
        ({"region_size": [321, 96]}, "multiples of 32 SR px"),
        ({"score_threshold": float("nan")}, "score_threshold must be between 0 and 1"),
        ({"score_threshold": 2.0}, "score_threshold must be between 0 and 1"),
        ({"classes": []}, "classes must be a list of 1 to 1000 names"),
        ({"classes": ["a"] * 1001}, "classes must be a list of 1 to 1000 names"),
        ({"classes": [1]}, "classes must be a list of 1 to 1000 names"),
        ({"classes": ["a\r\nb"]}, "classes must be a list of 1 to 1000 names"),
        ({"recipe": []}, "recipe must be of type dict"),
        ({"weights": "/dev/zero"}, r"unknown keys: \['weights'\]"),
        ({"x" * 10**6: 1}, "unknown keys"),
        ({"sr_options": {"nr": 24}}, r"unknown keys: \['sr_options'\]"),  # it has a detector
    ],
)
def test_hostile_values_are_refused_in_one_short_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        checked({**GOOD, **values}, PATH)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [None, [], "text", 1, {}])
def test_what_is_no_description_is_refused(value: object) -> None:
    with pytest.raises(BundleError):
        checked(value, PATH)


@pytest.mark.parametrize("options", [{"nr": 10**9}, {"nr": 0}, {"nr": 1.5}, {"n r": 1}, {1: 1}])
def test_options_of_a_network_are_small_numbers(options: dict[object, object]) -> None:
    alone = {k: GOOD[k] for k in ("name", "sr", "scale_factor", "recipe", "weights_sha256")}
    good = {**alone, "sr_options": {"nr": 24}}
    assert checked(dict(good), PATH) == good
    with pytest.raises(BundleError, match="sr_options must be names and whole numbers from 1"):
        checked({**alone, "sr_options": options}, PATH)
