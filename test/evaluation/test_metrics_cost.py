"""What the metrics cost: array elements touched, a count that no load of a machine changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tasksr_ros.evaluation import metrics
from tasksr_ros.evaluation.samplers import MissRateSampler, OperatingSampler, PrecisionSampler

IMAGES = 60
MORE = 4  # times as many
SLACK = 1.1


class Counted(np.ndarray[Any, Any]):
    """An array that counts the elements that operations on it, and on what came of it, touch."""

    touched = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _call(getattr(ufunc, method), inputs, options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return _call(function, inputs, options)

    def __getitem__(self, key: Any) -> Any:
        return _call(np.ndarray.__getitem__, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        _call(np.ndarray.__setitem__, (self, key, value), {})

    def take(self, *inputs: Any, **options: Any) -> Any:
        return _call(np.ndarray.take, (self, *inputs), options)


def _call(function: Callable[..., Any], inputs: Any, options: Any) -> Any:
    plain_inputs, plain_options = _plain(inputs), _plain(options)
    result = function(*plain_inputs, **plain_options)
    looked_up = function in (np.ndarray.__getitem__, np.ndarray.take, np.ndarray.__setitem__)
    read = plain_inputs[1:] if looked_up else plain_inputs  # looking up touches what is asked for
    Counted.touched += max(_size(read), _size(result))
    return _counted(result)


def _plain(value: Any) -> Any:
    if isinstance(value, Counted):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def _counted(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_counted, value))
    return value.view(Counted) if isinstance(value, np.ndarray) else value


def _size(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return value.size if isinstance(value, np.ndarray) else 1


def touched(function: Callable[..., None], images: int) -> int:
    """Elements that ``function`` touches for so many images of 10 detections and 4 people."""
    rng = np.random.default_rng(0)

    def boxes(number: int) -> Any:
        corner, size = rng.uniform(0, 100, (number, 2)), rng.uniform(5, 60, (number, 2))
        return _counted(np.concatenate([corner, corner + size], 1))

    found = [(boxes(10), _counted(rng.random(10))) for _ in range(images)]
    truth = [(boxes(4), _counted(rng.random(4) < 0.1)) for _ in range(images)]
    Counted.touched = 0
    function(found, truth)
    return Counted.touched


def every_metric(found: Any, truth: Any) -> None:
    matches = metrics.match_images(found, truth, 0.3)
    assert 0 < metrics.log_average_miss_rate(matches) < 1
    assert 0 < metrics.average_precision(matches) < 1
    assert metrics.score_at_fppi(matches, 0.5) > 0
    assert metrics.recall(matches, 0.5, 10, 50)[1] > 0
    draws = _counted(np.ones(len(truth), np.int32))
    people = np.bincount(matches.person_image, minlength=len(truth))
    bins = [((matches.height // 20).astype(np.int64), 4)]
    MissRateSampler(matches)(draws)
    PrecisionSampler(matches.image, matches.outcome[None], people)(draws)
    OperatingSampler(matches, 0.5, 0.5, matches.height, bins)(draws)


def each_image_against_all(found: Any, truth: Any) -> None:
    """What must not be: the control of the count."""
    scores = np.concatenate([score for _, score in found])
    image = _counted(np.repeat(np.arange(len(found)), 10))
    for k in range(len(found)):
        scores[image == k].sum()


def test_the_cost_grows_no_faster_than_the_images() -> None:
    few, many = touched(every_metric, IMAGES), touched(every_metric, MORE * IMAGES)
    assert few > 100 * IMAGES  # of 14 boxes each: what is done is counted
    assert many <= MORE * SLACK * few


def test_a_quadratic_cost_is_noticed() -> None:
    few, many = (touched(each_image_against_all, n) for n in (IMAGES, MORE * IMAGES))
    assert many > 0.9 * MORE**2 * few
