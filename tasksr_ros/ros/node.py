"""The ROS 2 lifecycle node.

One executor thread takes messages and leaves the latest of each camera to the worker; the
worker's thread runs the pipeline and publishes (see ``live/``). A frame never waits behind a stale
one. This file has the transitions and parameters; ``activity.py`` what runs while it is active.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import rclpy
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer
from std_msgs.msg import Header

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import DiagnosticsConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.errors import ConfigError, EngineError, TaskSRError
from tasksr_ros.home import ensure_home
from tasksr_ros.io import cv_bridge
from tasksr_ros.model import EngineFactory, Model, load_model
from tasksr_ros.ros import messages
from tasksr_ros.ros.activity import LOG_PERIOD_S, Activity
from tasksr_ros.ros.demand import Switch
from tasksr_ros.ros.diagnostics import Reporter
from tasksr_ros.ros.ending import Ending
from tasksr_ros.ros.live.health import EngineState
from tasksr_ros.ros.live.model_build import ModelBuild
from tasksr_ros.ros.live.worker import Worker
from tasksr_ros.ros.parameter_file import of_other_nodes
from tasksr_ros.ros.parameters import NodeParameters
from tasksr_ros.ros.settings import Settings
from tasksr_ros.ros.topic_names import check_cameras
from tasksr_ros.ros.topics import CameraOutputs

BUILD_PERIOD_S = 0.05
"""How often the node looks whether a bundle that is built beside is ready."""
PATIENCE_S = 1.0
"""At the end of the process, for the frames in work: nothing can be published any more."""


class _RosLogHandler(logging.Handler):
    """Hands what the ROS-free modules log to the node's logger."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(logging.INFO)
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:  # rclpy allows one severity per line of code
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


class TaskSRNode(LifecycleNode):
    """Publishes pedestrian detections for the images of one or several cameras.

    Args:
        engine_factory: builds the engine; another one serves tests that need a slow engine.
        **node_arguments: as for `rclpy.node.Node`.
    """

    def __init__(
        self, *, engine_factory: EngineFactory = build_engine, **node_arguments: Any
    ) -> None:
        super().__init__(
            "tasksr",
            allow_undeclared_parameters=True,  # a camera's own, checked by _on_set_parameters
            **node_arguments,
        )
        self._engine_factory = engine_factory
        self._settings: Settings | None = None
        self._model: Model | None = None
        self._outputs: dict[str, CameraOutputs] = {}
        self._activity: Activity | None = None
        self._hanging: Worker | None = None
        self._build: ModelBuild | None = None
        self._swap_error = ""
        self._finalized = False
        self._hang_told = False
        self._declared = NodeParameters(self)
        self._reporter = Reporter(self)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self._every(DiagnosticsConfig().period, self._report)
        self._build_timer: Timer | None = None
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._switch = Switch(self, self._choose_inputs)
        self._answer_impossible_transitions()

    def _choose_inputs(self) -> None:
        if self._activity is not None:
            self._activity.choose_inputs()

    def _every(self, period_s: float, callback: Callable[[], None]) -> Timer:
        return self.create_timer(period_s, callback, clock=self._steady)

    # Lifecycle: rclpy swallows exceptions of transitions, so each is logged here.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the bundle, build the engine, create the publishers."""
        return self._transition(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the inference thread and subscribe to the cameras."""
        return self._transition(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and end the inference thread."""
        return self._transition(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the engine and the publishers."""
        return self._transition(self.stop)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End whatever runs."""
        self._finalized = True
        return self._transition(self.stop)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin anew, unconfigured."""
        return self._transition(self.stop)

    def _transition(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except TaskSRError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            if self.context.ok():  # else the process was asked to end meanwhile: no fault
                self.get_logger().error(f"{step.__name__} failed: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _answer_impossible_transitions(self) -> None:
        """Answer them with success=False: rclpy lets them end the process."""
        service = self._service_change_state
        change = service.callback

        def answer(
            request: ChangeState.Request, response: ChangeState.Response
        ) -> ChangeState.Response:
            try:
                return change(request, response)
            except RuntimeError as error:  # RCLError
                self.get_logger().error(f"no such transition now: {' '.join(str(error).split())}")
                response.success = False
                return response

        service.callback = answer

    def _configure(self) -> None:
        settings = self._declared.settings()
        common = settings.common
        for line in check_cameras(self, settings.cameras):
            self.get_logger().warning(line)
        cv_bridge.bridge()  # trying it takes a second, which no image should wait for
        model = load_model(common.bundle, common.engine, common.near, self._engine_factory)
        for config in settings.cameras.values():
            model.pipeline(config)  # a region that does not fit the engine is told here
        try:
            for name in settings.cameras:
                self._outputs[name] = CameraOutputs(self, name, common.output)
        except Exception:
            self.stop()
            raise
        self._settings, self._model, self._hanging, self._swap_error = settings, model, None, ""
        self.destroy_timer(self._report_timer)
        self._report_timer = self._every(common.diagnostics.period, self._report)
        engine = model.engine
        self.get_logger().info(
            f"configured: bundle {model.bundle.name}, engine {engine.name}, regions of "
            f"{engine.region_size[0]}x{engine.region_size[1]} px, x{engine.scale_factor:g}, "
            f"{_near_pass(model)}"
        )

    def _activate(self) -> None:
        assert self._settings is not None
        assert self._model is not None
        if self._hanging is not None and self._hanging.alive:
            raise EngineError("the engine still hangs: cleanup and configure the node anew")
        self._hanging = None
        self._limit_debug_images()
        self._publish_labels()
        self._activity = Activity(
            self, self._settings, self._model, self._outputs, lambda: self._switch.on
        )

    def _deactivate(self, patience_s: float = math.inf) -> None:
        activity, self._activity = self._activity, None
        if activity is not None and not activity.close(patience_s):
            self._hanging = activity.worker
            if self.context.ok():
                self.get_logger().error("the engine hangs: its thread is left alone")

    def stop(self, patience_s: float = math.inf) -> None:
        """End the inference thread and give everything back, in any state.

        Args:
            patience_s: most to wait for the frames in work, s.
        """
        self._deactivate(patience_s)
        outputs, self._outputs = self._outputs, {}
        self._model, self._settings = None, None
        self._forget_build()
        for output in outputs.values():
            output.close()

    def destroy_node(self) -> None:
        """See `rclpy.node.Node`; gives the shared memory back."""
        super().destroy_node()
        self._state_machine = None  # rclpy keeps it, and it keeps the transport's memory

    # Parameters

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse what is wrong; while the node is configured, all values are checked together."""
        changes = self._declared.ours(parameters)
        try:
            if self._model is None:
                self._declared.check_each(changes)
            else:
                self._check_live(self._model, changes)
        except TaskSRError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check_live(self, model: Model, changes: dict[str, Any]) -> None:
        settings = self._declared.with_changes(changes)
        for config in settings.cameras.values():
            model.pipeline(config)
        if changes.get("bundle", model.source) != model.source:
            if self._build is not None:
                raise ConfigError(f"bundle {self._build.source} is being built: try again later")
            load_bundle(settings.common.bundle)

    def _after_set_parameters(self, parameters: list[Parameter]) -> None:
        changes = self._declared.ours(parameters)
        if self._model is None or self._settings is None:
            if changes:
                self._declared.mended()
            return
        settings = self._declared.settings()
        if settings.common.bundle not in (self._model.source, self._building):
            self._start_build(settings)
        if settings != self._settings:
            self._settings = settings
            self._limit_debug_images()
            if self._activity is not None:
                self._activity.change(settings, self._model)

    # The change of the bundle while the node is configured

    @property
    def _building(self) -> str:
        return self._build.source if self._build is not None else ""

    def _start_build(self, settings: Settings) -> None:
        common = settings.common
        self._build = ModelBuild(common.bundle, common, self._engine_factory)
        self._build_timer = self._every(BUILD_PERIOD_S, self._take_build)
        self.get_logger().info(f"building bundle {common.bundle} beside")

    def _take_build(self) -> None:
        """Go on with the new bundle if it is ready; stay with the old one if it is not fit."""
        build = self._build
        if build is None or not build.done or self._model is None or self._settings is None:
            return
        self._forget_build()
        try:
            model = build.result()
            for config in self._settings.cameras.values():
                model.pipeline(config)  # raises where the camera's regions do not fit the model
            if self._activity is not None:
                self._activity.change(self._settings, model, self._publish_labels_of(model))
        except Exception as error:
            self._swap_error = f"bundle {build.source} cannot be used: {error}"
            self.get_logger().error(f"{self._swap_error}; still {self._model.bundle.name}")
            self.set_parameters([Parameter("bundle", value=self._model.source)])
            return
        self._model, self._swap_error = model, ""
        self.get_logger().info(f"bundle {model.bundle.name} is in use")

    def _forget_build(self) -> None:
        self._build = None
        if self._build_timer is not None:
            self.destroy_timer(self._build_timer)
            self._build_timer = None

    # What is published beside detections

    def _publish_labels(self) -> None:
        assert self._model is not None
        self._publish_labels_of(self._model)()

    def _publish_labels_of(self, model: Model) -> Callable[[], None]:
        assert self._settings is not None
        settings, outputs = self._settings, dict(self._outputs)

        def publish() -> None:
            header = Header(stamp=self.get_clock().now().to_msg())
            for name, output in outputs.items():
                threshold = model.pipeline(settings.cameras[name]).score_threshold
                output.publish_labels(
                    messages.to_label_info(model.bundle.classes, threshold, header)
                )

        return publish

    def _limit_debug_images(self) -> None:
        assert self._settings is not None
        debug = self._settings.common.debug
        for output in self._outputs.values():
            output.limit_debug_images(debug.image, debug.rate_limit)

    def _report(self) -> None:
        activity = self._activity
        state = self._engine_state()
        config = (
            DiagnosticsConfig() if self._settings is None else self._settings.common.diagnostics
        )
        if state.hangs and not self._hang_told:
            self.get_logger().error(f"the engine gives no answer for {state.busy_s:.1f} s")
        self._hang_told = state.hangs
        reports = {} if activity is None else activity.reports()
        inputs = {} if activity is None else activity.inputs()
        self._reporter.report(state, reports, inputs, config)

    def _engine_state(self) -> EngineState:
        model, activity = self._model, self._activity
        worker = activity.worker if activity is not None else self._hanging
        return EngineState(
            lifecycle=self._lifecycle,
            bundle=model.bundle.name if model is not None else "",
            engine=model.engine.name if model is not None else "",
            busy_s=worker.busy_s if worker is not None else 0.0,
            hangs=worker is not None and worker.hangs,
            limit_s=worker.limit_s if worker is not None else 0.0,
            slowness=worker.slowness if worker is not None else "",
            thread_ended=activity is not None and not activity.worker.alive,
            out_of_memory=model is not None and model.out_of_memory,
            batch_limit=model.engine.batch_limit if model is not None else None,
            swap_error=self._swap_error,
            building=self._building,
            parameter_error=str(self._declared.error or ""),
        )

    @property
    def _lifecycle(self) -> str:
        if self._finalized:
            return "finalized"
        if self._model is None:
            return "unconfigured"
        return "inactive" if self._activity is None else "active"


def _near_pass(model: Model) -> str:
    if model.near is None:
        return "no near pass"
    width, height = model.near.region_size
    return f"near pass of {width}x{height} px"


def run(node: TaskSRNode) -> int:
    """Start the node as its parameter ``autostart`` says and spin; returns an exit status."""
    package_logger = logging.getLogger("tasksr_ros")
    package_logger.setLevel(logging.INFO)
    package_logger.addHandler(_RosLogHandler(node))
    if node.get_parameter("autostart").value:
        for trigger in (node.trigger_configure, node.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                return 1 if node.context.ok() else 0
    return spin(node)


def spin(node: TaskSRNode) -> int:
    """Serve the node until its context ends; returns an exit status."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    with contextlib.suppress(ExternalShutdownException):
        while node.context.ok():
            try:
                executor.spin()
            except RuntimeError as error:  # RMWError: one broken message must not end the node
                if node.context.ok():
                    text = " ".join(str(error).split())
                    node.get_logger().warning(text, throttle_duration_sec=LOG_PERIOD_S)
                    time.sleep(0.01)  # nor a lasting error take a whole core
    return 0


def main(
    arguments: list[str] | None = None,
    engine_factory: EngineFactory = build_engine,
    ending: Ending | None = None,
) -> NoReturn:
    """Run the node and end the process.

    Args:
        arguments: of ROS; None: the command line's.
        engine_factory: see `TaskSRNode`.
        ending: already looks out for signals; None: from now on.
    """
    if ending is None:
        ending = Ending()
        ending.watch()
    nodes: list[TaskSRNode] = []
    ending.hold(rclpy.try_shutdown, lambda: _release(nodes))
    ensure_home()
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        nodes.append(TaskSRNode(engine_factory=engine_factory))
        name = nodes[0].get_fully_qualified_name()
        for line in of_other_nodes(sys.argv if arguments is None else arguments, name):
            nodes[0].get_logger().warning(line)
        ending.end(0 if ending.asked else run(nodes[0]))
    except Exception as error:  # of rclpy: a parameter file, a remapping, a topic's name
        if not ending.asked:
            print(f"tasksr_node: {' '.join(str(error).split())}", file=sys.stderr)
        ending.end(1)


def _release(nodes: list[TaskSRNode]) -> None:
    """Give back what the transport holds, at the end of the process."""
    rclpy.try_shutdown()
    for node in nodes:
        with contextlib.suppress(Exception):
            node.stop(PATIENCE_S)
        node.destroy_node()


if __name__ == "__main__":
    main()
