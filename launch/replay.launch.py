r"""Play a bag to the tasksr node, keep what it finds, and evaluate it.

The node runs on the bag's time. `ros2 bag play` begins once the node is active and `tasksr replay`
listens; when the last frame is answered, the predictions file is written and, where there is
ground truth, evaluated. Then everything ends.

    ros2 launch tasksr_ros replay.launch.py bag:=drive image:=/front/image_raw \
        predictions:=out/p.json ground_truth:=drive.json

Arguments beside those below are those of tasksr.launch.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events.process import ProcessExited, ProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import SetParameter

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from tasksr_ros.config import EvaluationConfig

LISTENING = b"listening"
"""What `tasksr replay` says once it is ready."""
TASKSR = [sys.executable, "-m", "tasksr_ros.cli"]


def value(context: LaunchContext, name: str) -> str:
    """A launch argument's value."""
    return LaunchConfiguration(name).perform(context)


def values(context: LaunchContext, name: str) -> list[str]:
    """Those of a launch argument with one for each camera."""
    return [text.strip() for text in value(context, name).split(",") if text.strip()]


def listener_command(context: LaunchContext) -> list[str]:
    """`tasksr replay`, listening to the node."""
    namespace, name = value(context, "namespace").strip("/"), value(context, "node_name")
    node = f"/{namespace}/{name}" if namespace else f"/{name}"
    given = [
        ("--predictions", value(context, "predictions")),
        *(("--topic", topic) for topic in values(context, "image")),
        *(("--ground-truth", truth) for truth in values(context, "ground_truth")),
        ("--bundle", value(context, "bundle")),
        ("--node", node),
    ]
    command = [*TASKSR, "replay", value(context, "bag"), "--live", "--listen"]
    return command + [part for key, text in given if text for part in (key, text)]


def player_command(context: LaunchContext) -> list[str]:
    """`ros2 bag play`, publishing the time."""
    given = ("--clock", value(context, "clock"), "--rate", value(context, "rate"))
    return ["ros2", "bag", "play", value(context, "bag"), *given]


def evaluation_command(context: LaunchContext) -> list[str]:
    """`tasksr evaluate` on what was found; empty where there is no ground truth."""
    truth = value(context, "ground_truth")
    if not truth:
        return []
    predictions = Path(value(context, "predictions"))
    if not Path(truth).is_file():  # a topic: the listener has written it
        truth = str(predictions.with_name(f"{predictions.stem}.ground_truth.json"))
    given = {
        "--ground-truth": truth,
        "--predictions": str(predictions),
        "--protocol": value(context, "protocol"),
        "--json": str(predictions.with_name(f"{predictions.stem}.evaluation.json")),
        "--html": str(predictions.with_name(f"{predictions.stem}.evaluation.html")),
    }
    return [*TASKSR, "evaluate", *(part for pair in given.items() for part in pair)]


def processes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Listener, player and evaluation, each begun by what comes before it."""
    listener = ExecuteProcess(cmd=listener_command(context), name="listener", output="screen")
    player = ExecuteProcess(cmd=player_command(context), name="player", output="screen")
    started: list[bool] = []
    ended: list[str] = []

    def when_listening(event: ProcessIO) -> list[LaunchDescriptionEntity]:
        if started or LISTENING not in event.text:
            return []
        started.append(True)
        return [player]

    def when_heard(event: ProcessExited, _: LaunchContext) -> list[LaunchDescriptionEntity]:
        command = evaluation_command(context)
        if event.returncode != 0 or not command:
            return end("the replay", event.returncode)
        evaluation = ExecuteProcess(cmd=command, name="evaluation", output="screen")
        done = OnProcessExit(
            target_action=evaluation,
            on_exit=lambda event, _: end("the evaluation", event.returncode),
        )
        return [RegisterEventHandler(done), evaluation]

    def when_played(event: ProcessExited, _: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode == 0:
            return []  # the listener ends when the last answer has come
        return end("ros2 bag play", event.returncode)

    def end(what: str, status: int) -> list[LaunchDescriptionEntity]:
        """Whatever ends first ends everything; the others' ends only follow from that."""
        if ended or context.is_shutdown:
            return []
        ended.append(what)
        if status != 0:
            raise RuntimeError(f"{what} ended with status {status}")  # so does `ros2 launch`
        return [Shutdown(reason=f"{what} is done")]

    handlers = [
        OnProcessIO(target_action=listener, on_stderr=when_listening),
        OnProcessExit(target_action=listener, on_exit=when_heard),
        OnProcessExit(target_action=player, on_exit=when_played),
    ]
    return [*map(RegisterEventHandler, handlers), listener]


def generate_launch_description() -> LaunchDescription:
    """The node and what is made of the bag."""
    arguments = [
        DeclareLaunchArgument("bag", description="rosbag2 to play"),
        DeclareLaunchArgument("image", description="its image topic, or one for each camera"),
        DeclareLaunchArgument("predictions", description="predictions file to write (.json)"),
        DeclareLaunchArgument(
            "ground_truth",
            default_value="",
            description="COCO file, or topic of the bag, one for each camera; without, nothing is "
            "evaluated",
        ),
        DeclareLaunchArgument(
            "protocol",
            default_value=EvaluationConfig().protocol,
            description="of the evaluation",
        ),
        DeclareLaunchArgument(
            "clock", default_value="100", description="rate at which the time is published, Hz"
        ),
        DeclareLaunchArgument(
            "rate", default_value="1.0", description="how fast the bag is played; 1.0: as recorded"
        ),
    ]
    share = Path(get_package_share_directory("tasksr_ros"))
    # Its own arguments are given to this launch file as they are.
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "tasksr.launch.py"))
    )
    sim_time = SetParameter("use_sim_time", True)
    return LaunchDescription([*arguments, sim_time, node, OpaqueFunction(function=processes)])
