"""Tests of tasksr_ros.evaluation.categories."""

from __future__ import annotations

import pytest

from tasksr_ros.evaluation.categories import is_pedestrian, listed, same_words, word


@pytest.mark.parametrize("name", ["pedestrian", "Person", "PERSON ", " Pedestrians", "persons"])
def test_words_for_pedestrians(name: str) -> None:
    assert is_pedestrian(name)
    assert same_words(name) == {"pedestrian", "pedestrians", "person", "persons"}


@pytest.mark.parametrize("name", ["people", "car", "person_sitting", "rider", "personal car", ""])
def test_words_for_others(name: str) -> None:
    """``people`` is a group in Caltech."""
    assert not is_pedestrian(name)
    assert same_words(name) == {name}


def test_words_are_compared_without_case_and_spaces() -> None:
    assert word("  Traffic  Light\n") == "traffic light"


def test_each_name_is_listed_once() -> None:
    assert listed(["car", "Bus", "car"]) == "car, Bus"
    assert listed([]) == "none"
