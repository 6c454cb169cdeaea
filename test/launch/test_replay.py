"""Tests of launch/replay.launch.py, where ROS 2's launch is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheel)")

from launch.actions import DeclareLaunchArgument

from launch import LaunchContext
from tasksr_ros.config import EvaluationConfig


@pytest.fixture
def launch_file(load_launch_file: Callable[[str], ModuleType]) -> ModuleType:
    return load_launch_file("replay.launch.py")


def context(launch_file: ModuleType, **given: str) -> LaunchContext:
    made = LaunchContext()
    made.launch_configurations.update(
        {"bag": "drive", "image": "/cam/image", "predictions": "out/p.json"}
    )
    made.launch_configurations.update(
        {"namespace": "", "node_name": "tasksr", "bundle": "", **given}
    )
    for entity in launch_file.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(made)
    return made


def test_the_listener_and_the_player(launch_file: ModuleType) -> None:
    made = context(launch_file, namespace="car", ground_truth="/truth", bundle="b")
    command = launch_file.listener_command(made)
    assert command[3:] == [
        *("replay", "drive", "--live", "--listen", "--predictions", "out/p.json"),
        *("--topic", "/cam/image", "--ground-truth", "/truth", "--bundle", "b"),
        *("--node", "/car/tasksr"),
    ]
    several = context(launch_file, image="/l/image, /r/image", ground_truth="/l/gt,/r/gt")
    assert launch_file.listener_command(several)[9:17] == [
        *("--topic", "/l/image", "--topic", "/r/image"),
        *("--ground-truth", "/l/gt", "--ground-truth", "/r/gt"),
    ]
    play = ["ros2", "bag", "play", "drive", "--clock", "100", "--rate"]
    assert launch_file.player_command(made) == [*play, "1.0"]
    assert launch_file.player_command(context(launch_file, rate="0.5")) == [*play, "0.5"]
    renamed = launch_file.listener_command(context(launch_file, node_name="far"))
    assert renamed[-2:] == ["--node", "/far"]


def test_the_listener_takes_these_arguments(launch_file: ModuleType) -> None:
    from tasksr_ros.cli.main import _parser

    made = context(launch_file, namespace="car", ground_truth="/truth", bundle="b")
    options = _parser().parse_args(launch_file.listener_command(made)[3:])
    assert (options.live, options.listen, options.node) == (True, True, "/car/tasksr")
    assert options.topic == ["/cam/image"]


def test_the_evaluation(launch_file: ModuleType, tmp_path: Path) -> None:
    assert launch_file.evaluation_command(context(launch_file)) == []
    truth = tmp_path / "gt.json"
    truth.touch()
    for given, expected in ((str(truth), str(truth)), ("/truth", "out/p.ground_truth.json")):
        command = launch_file.evaluation_command(context(launch_file, ground_truth=given))
        assert command[3:] == [
            *("evaluate", "--ground-truth", expected, "--predictions", "out/p.json"),
            *("--protocol", EvaluationConfig().protocol, "--json", "out/p.evaluation.json"),
            *("--html", "out/p.evaluation.html"),
        ]


def test_one_thing_begins_the_next(launch_file: ModuleType) -> None:
    """Listener and handlers come first; the player once the listener says that it listens."""
    from launch.events.process import ProcessIO

    made = context(launch_file)
    entities = launch_file.processes(made)
    listener = entities[-1]
    begun = entities[0].event_handler

    def said(text: bytes) -> ProcessIO:
        return ProcessIO(
            action=listener, name="listener", cmd=[], cwd=None, env=None, pid=1, text=text, fd=2
        )

    assert not begun.handle(said(b"live: the node runs"), made)
    (player,) = begun.handle(said(b"live: listening until the last of 3 frames"), made)
    assert [part[0].text for part in player.cmd[:3]] == ["ros2", "bag", "play"]
    assert not begun.handle(said(b"live: listening"), made)


def ended(action: object, status: int) -> object:
    from launch.events.process import ProcessExited

    return ProcessExited(
        action=action, name="x", cmd=[], cwd=None, env=None, pid=1, returncode=status
    )


def test_what_ends_first_ends_everything_and_only_once(
    launch_file: ModuleType, tmp_path: Path
) -> None:
    """A player that the end of the replay has ended is no second reason to end."""
    from launch.actions import RegisterEventHandler, Shutdown

    truth = tmp_path / "gt.json"
    truth.touch()
    made = context(launch_file, ground_truth=str(truth))
    entities = launch_file.processes(made)
    begun, heard, played = (entity.event_handler for entity in entities[:3])
    listener = entities[-1]
    (player,) = begun.handle(_said(listener, b"live: listening"), made)
    assert played.handle(ended(player, 0), made) == []
    register, evaluation = heard.handle(ended(listener, 0), made)
    assert isinstance(register, RegisterEventHandler)
    (end,) = register.event_handler.handle(ended(evaluation, 0), made)
    assert isinstance(end, Shutdown)
    assert played.handle(ended(player, -2), made) == []
    assert heard.handle(ended(listener, 130), made) == []


@pytest.mark.parametrize("what", ["replay", "player", "evaluation"])
def test_what_fails_is_told_and_ends_everything(
    launch_file: ModuleType, tmp_path: Path, what: str
) -> None:
    """launch ends with status 1 where a handler raises."""
    truth = tmp_path / "gt.json"
    truth.touch()
    made = context(launch_file, ground_truth=str(truth))
    begun, heard, played, *_, listener = (
        getattr(entity, "event_handler", entity) for entity in launch_file.processes(made)
    )
    (player,) = begun.handle(_said(listener, b"live: listening"), made)
    if what == "replay":
        with pytest.raises(RuntimeError, match=r"^the replay ended with status 2$"):
            heard.handle(ended(listener, 2), made)
    elif what == "player":
        with pytest.raises(RuntimeError, match=r"^ros2 bag play ended with status 1$"):
            played.handle(ended(player, 1), made)
    else:
        register, evaluation = heard.handle(ended(listener, 0), made)
        with pytest.raises(RuntimeError, match=r"^the evaluation ended with status 2$"):
            register.event_handler.handle(ended(evaluation, 2), made)
    assert played.handle(ended(player, -2), made) == []


def test_ctrl_c_is_no_failure(launch_file: ModuleType) -> None:
    made = context(launch_file)
    _, heard, played, *_, listener = (
        getattr(entity, "event_handler", entity) for entity in launch_file.processes(made)
    )
    made._set_is_shutdown(True)
    assert heard.handle(ended(listener, 130), made) == []
    assert played.handle(ended(listener, -2), made) == []


def _said(listener: object, text: bytes) -> object:
    from launch.events.process import ProcessIO

    return ProcessIO(
        action=listener, name="listener", cmd=[], cwd=None, env=None, pid=1, text=text, fd=2
    )
