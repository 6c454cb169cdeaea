"""What an active node has: subscriptions, and the worker between them and the publishers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.timer import Timer

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import NodeConfig
from tasksr_ros.model import Model
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.ros.demand import idle_reason
from tasksr_ros.ros.live.accounts import Account, Report, rates_and_ages
from tasksr_ros.ros.live.health import InputState
from tasksr_ros.ros.live.scheduler import RateLimit
from tasksr_ros.ros.live.silence import SILENT
from tasksr_ros.ros.live.stamps import StampGate
from tasksr_ros.ros.live.throttle import Throttle
from tasksr_ros.ros.live.worker import Answer, Channel, Worker
from tasksr_ros.ros.settings import Settings
from tasksr_ros.ros.topics import CameraInputs, CameraOutputs, OnImage

LOG_PERIOD_S = 5.0
CHOOSE_PERIOD_S = 0.5
"""How often cameras look for those on whom their subscriptions depend."""
GRAPH_PERIOD_S = 3.0
"""How often, and after which silence, the graph is asked why nothing comes; discovery takes up
to 3 s."""
SHARED_S = 25.0
"""For how long others are on the node's topics before it is told: killed ones stay 20 s in the
graph."""
SILENCE_LOG_S = 30.0
"""After which the same reason is logged again."""


class Activity:
    """The node between activate and deactivate.

    Args:
        node: that subscribes; its clock is ROS time.
        settings: of all cameras.
        model: that their pipelines use.
        outputs: the cameras' publishers.
        enabled: whether images are wanted at all, see `demand.Switch`.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        model: Model,
        outputs: Mapping[str, CameraOutputs],
        enabled: Callable[[], bool] = lambda: True,
    ) -> None:
        self._node = node
        self._settings = settings
        self._outputs = outputs
        self._enabled = enabled
        self._throttle = Throttle(LOG_PERIOD_S)
        self._seldom = Throttle(SILENCE_LOG_S)
        self._hints: dict[str, str] = {}
        self._shared: dict[str, tuple[str, float]] = {}
        now_s = time.monotonic()
        self._channels = {
            name: Channel(
                name,
                model.pipeline(config),
                Account(now_s),
                StampGate(config.stamps),
                RateLimit(config.input.rate_limit),
            )
            for name, config in settings.cameras.items()
        }
        common = settings.common
        self.worker = Worker(
            list(self._channels.values()),
            self,
            batch=batch_size(settings, model),
            max_age_s=common.schedule.max_age,
            timeout_s=common.diagnostics.engine_timeout,
            decoding=common.decoding,
        )
        self._inputs: dict[str, CameraInputs] = {}
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = (
            node.create_timer(CHOOSE_PERIOD_S, self.choose_inputs, clock=steady),
            node.create_timer(GRAPH_PERIOD_S, self._look_around, clock=steady),
            *self._log_timer(common.diagnostics.log_period, steady),
        )
        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None,
                min_backward=Duration(nanoseconds=-max(1, int(common.stamps.jump_back * 1e9))),
            ),
            post_callback=lambda _: self.restart(),
        )
        try:
            for name, config in settings.cameras.items():
                self._inputs[name] = self._subscribe(name, config)
            self.choose_inputs()
        except Exception:
            self.close()
            raise

    def _log_timer(self, period_s: float, clock: Clock) -> list[Timer]:
        if not period_s:
            return []
        return [self._node.create_timer(period_s, self._log_rates, clock=clock)]

    def _subscribe(self, name: str, config: NodeConfig) -> CameraInputs:
        channel = self._channels[name]

        def know(camera: CameraModel) -> None:
            channel.camera, channel.camera_error = camera, ""

        def refuse(reason: str) -> None:
            channel.camera_error = reason
            if self._needs_intrinsics(name):
                label = name or "camera"
                self.warn(f"{label}: camera_info", f"{label}: {inputs.info_topic}: {reason}")

        receive = self._receiver(name)
        inputs = CameraInputs(self._node, name, config.input, receive, know, refuse, self.warn)
        channel.info_topic = inputs.info_topic
        return inputs

    def _receiver(self, name: str) -> OnImage:
        return lambda message: self.worker.receive(name, message)

    # What `worker.Outlet` asks for

    def publish(self, answer: Answer) -> None:
        """See `worker.Outlet`."""
        self._outputs[answer.channel].publish(answer, self.warn)

    def wants_ranges(self, channel: str) -> bool:
        """See `worker.Outlet`."""
        return self._outputs[channel].wants_ranges

    def warn(self, what: str, text: str) -> None:
        """See `worker.Outlet`."""
        if self._throttle.passes(what, time.monotonic()):
            self._node.get_logger().warning(text)

    def now_ns(self) -> int:
        """See `worker.Outlet`."""
        return int(self._node.get_clock().now().nanoseconds)

    def is_open(self) -> bool:
        """See `worker.Outlet`."""
        return bool(self._node.context.ok())

    # Called by the node

    def choose_inputs(self) -> None:
        """Subscribe to the images that are wanted, as they are published."""
        for name, inputs in self._inputs.items():
            wanted = not self._idle(name)
            inputs.follow_publishers(wanted)
            if not wanted:
                self._channels[name].account.begin_to_wait(time.monotonic())

    def _idle(self, name: str) -> str:
        """Why a camera's images are not subscribed to, or ""."""
        lazy, listeners = self._settings.cameras[name].input.lazy, self._outputs[name].listeners
        return idle_reason(on=self._enabled(), lazy=lazy, listeners=listeners)

    def _look_around(self) -> None:
        """Find out why cameras are silent, and tell it."""
        for name, report in self.reports().items():
            inputs, camera = self._inputs[name], name or "camera"
            self._look_for_others(name)
            self._hints[name] = ""
            if report.silent_s >= GRAPH_PERIOD_S:
                self._hints[name] = inputs.why_no_image() or ("" if report.received else SILENT)
                if self._hints[name]:
                    self._warn_seldom(
                        f"{camera}: no image on {inputs.image_topic}: {self._hints[name]}"
                    )
            elif report.received and self._lacks_intrinsics(name):
                why = inputs.why_no_info() or SILENT
                self._warn_seldom(f"{camera}: no CameraInfo on {inputs.info_topic}: {why}")

    def _look_for_others(self, name: str) -> None:
        """Find out since when others are on a camera's topics."""
        text = self._inputs[name].why_too_many() or self._outputs[name].why_too_many()
        known, _ = self._shared.get(name, ("", 0.0))
        if text != known:
            self._shared[name] = (text, time.monotonic())
        if told := self._too_many(name):
            self._warn_seldom(f"{name or 'camera'}: {told}")

    def _too_many(self, name: str) -> str:
        """That others have been on a camera's topics for a while, or ""."""
        text, since_s = self._shared.get(name, ("", 0.0))
        return text if time.monotonic() - since_s >= SHARED_S else ""

    def _log_rates(self) -> None:
        for name, report in self.reports().items():
            if report.received:
                self._node.get_logger().info(f"{name or 'camera'}: {rates_and_ages(report)}")

    def _needs_intrinsics(self, name: str) -> bool:
        config = self._settings.cameras[name]
        return config.region.mode == "distance" or config.tracking.enabled

    def _lacks_intrinsics(self, name: str) -> bool:
        channel = self._channels[name]
        missing = channel.camera is None and not channel.camera_error
        return missing and self._needs_intrinsics(name)

    def _warn_seldom(self, text: str) -> None:
        if self._seldom.passes(text, time.monotonic()):
            self._node.get_logger().warning(text)

    def change(
        self, settings: Settings, model: Model, then: Callable[[], None] = lambda: None
    ) -> None:
        """Go on with other settings or another model from the next frame on.

        Args:
            settings: of the same cameras.
            model: that their pipelines use.
            then: called between the last frame of the old and the first of the new.

        Raises:
            ConfigError: if they do not fit each other; nothing is changed.
        """
        pipelines: dict[str, Pipeline] = {
            name: model.pipeline(config) for name, config in settings.cameras.items()
        }
        for name, config in settings.cameras.items():
            if config.input.rate_limit != self._settings.cameras[name].input.rate_limit:
                self._channels[name].rate = RateLimit(config.input.rate_limit)
        self._settings = settings
        self.worker.exchange(pipelines, batch_size(settings, model), then)

    def restart(self) -> None:
        """ROS time jumped: begin anew with every camera."""
        for name, channel in self._channels.items():
            channel.gate.restart()
            self.worker.restart(name)

    def reports(self) -> dict[str, Report]:
        """Every camera's account."""
        now_s = time.monotonic()
        return {name: channel.account.report(now_s) for name, channel in self._channels.items()}

    def inputs(self) -> dict[str, InputState]:
        """What is known of every camera's topics."""
        return {name: self._input_state(name) for name in self._inputs}

    def _input_state(self, name: str) -> InputState:
        inputs, hint = self._inputs[name], self._hints.get(name, "")
        topics = (inputs.image_topic, inputs.info_topic)
        return InputState(*topics, inputs.qos_error, hint, self._idle(name), self._too_many(name))

    def close(self, patience_s: float = math.inf) -> bool:
        """Unsubscribe and end the thread; see `worker.Worker.close`."""
        self._jumps.unregister()
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for inputs in self._inputs.values():
            inputs.close()
        return self.worker.close(patience_s)


def batch_size(settings: Settings, model: Model) -> int:
    """Most cameras' frames in one engine call."""
    chosen = settings.common.schedule.batch
    return chosen or (len(settings.cameras) if model.engine.runs_batches else 1)
