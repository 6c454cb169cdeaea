"""The ROS 2 lifecycle node.

One executor thread receives messages and leaves the latest of each camera in its slot; one
inference thread takes them, runs the pipeline and publishes. A frame never waits behind a stale
one.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from tasksr_ros import messages
from tasksr_ros.annotate import draw
from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.config import (
    EngineConfig,
    NodeConfig,
    Option,
    Value,
    build,
    check_value,
    walk,
)
from tasksr_ros.decoding import decode_message
from tasksr_ros.diagnostics import CameraCounters, to_diagnostics
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.errors import ConfigError, TaskSRError
from tasksr_ros.frames import Frame, to_bgr
from tasksr_ros.pipeline import Pipeline, Result
from tasksr_ros.slots import LatestSlots

ImageMessage: TypeAlias = Image | CompressedImage
EngineFactory: TypeAlias = Callable[[Bundle, EngineConfig], Engine]

DIAGNOSTICS_PERIOD_S = 1.0
LOG_PERIOD_S = 5.0
_ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_LATEST_ONLY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


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


@dataclass
class _Camera:
    """One camera of a configured node."""

    name: str
    pipeline: Pipeline
    detections: Publisher
    label_info: Publisher
    debug_image: Publisher
    latency: Publisher
    counters: CameraCounters = field(default_factory=CameraCounters)

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        return self.detections, self.label_info, self.debug_image, self.latency


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
            "tasksr", automatically_declare_parameters_from_overrides=True, **node_arguments
        )
        self._engine_factory = engine_factory
        self._bundle: Bundle | None = None
        self._cameras: dict[str, _Camera] = {}
        self._engine_name = ""
        self._active: _Activity | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", _RELIABLE)
        self._parameter_error = self._declare_parameters()
        self.add_on_set_parameters_callback(self._on_set_parameters)

    # Parameters

    def _declare_parameters(self) -> ConfigError | None:
        """Declare every field of `NodeConfig`; returns the first thing wrong with those given."""
        values: dict[str, Value] = {}
        errors: list[ConfigError] = []
        for name, parameter in self.get_parameters_by_prefix("").items():
            if name.startswith(_ROS_PARAMETERS):
                continue
            try:
                values[name] = check_value(NodeConfig, name, parameter.value)
            except ConfigError as error:
                errors.append(error)
        for name, type_, default, option in walk(NodeConfig):
            if self.has_parameter(name):
                self.undeclare_parameter(name)
            value = _plain(values.get(name, default))
            self.declare_parameter(name, value, _descriptor(type_, option), ignore_override=True)
        return errors[0] if errors else None

    def _config(self) -> NodeConfig:
        if self._parameter_error is not None:
            raise self._parameter_error
        values = {name: self.get_parameter(name).value for name, *_ in walk(NodeConfig)}
        return build(NodeConfig, values)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept valid values while unconfigured; configure checks that they fit each other."""
        ours = {name for name, *_ in walk(NodeConfig)}
        changed = [p for p in parameters if p.name in ours]
        if changed and self._bundle is not None:
            reason = "parameters take effect in configure: cleanup the node first"
            return SetParametersResult(successful=False, reason=reason)
        try:
            for parameter in changed:
                check_value(NodeConfig, parameter.name, parameter.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if changed:
            self._parameter_error = None  # whoever sets parameters has read what was wrong
        return SetParametersResult(successful=True)

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
        return self._transition(self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End whatever runs."""
        return self._transition(self.stop)

    def _transition(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except TaskSRError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().error(f"{step.__name__} failed: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        config = self._config()
        bundle = load_bundle(config.bundle)
        engine = self._engine_factory(bundle, config.engine)
        self._warm_up(engine)
        self._engine_name = engine.name
        self._cameras = {
            name: self._camera(name, Pipeline(engine, config, bundle.score_threshold))
            for name in config.cameras
        }
        self._bundle = bundle
        self.get_logger().info(
            f"configured: bundle {bundle.name}, engine {engine.name}, regions of "
            f"{engine.region_size[0]}x{engine.region_size[1]} px, x{engine.scale_factor}"
        )

    @staticmethod
    def _warm_up(engine: Engine) -> None:
        width, height = engine.region_size
        engine(np.zeros((1, height, width, 3), np.uint8))

    def _camera(self, name: str, pipeline: Pipeline) -> _Camera:
        prefix = f"{name}/" if name else ""
        return _Camera(
            name,
            pipeline,
            self.create_publisher(Detection2DArray, f"{prefix}detections", _RELIABLE),
            self.create_publisher(LabelInfo, f"{prefix}label_info", _LATCHED),
            self.create_publisher(Image, f"{prefix}debug_image", QoSProfile(depth=1)),
            self.create_publisher(DiagnosticArray, f"{prefix}latency", _RELIABLE),
        )

    def _activate(self) -> None:
        assert self._bundle is not None
        self._active = _Activity(self, self._config(), self._cameras, self._engine_name)
        for camera in self._cameras.values():
            header = Header(stamp=self.get_clock().now().to_msg())
            threshold = camera.pipeline.score_threshold
            camera.label_info.publish(
                messages.to_label_info(self._bundle.classes, threshold, header)
            )

    def _deactivate(self) -> None:
        if self._active is not None:
            self._active.close()
            self._active = None

    def _clean_up(self) -> None:
        for camera in self._cameras.values():
            for publisher in camera.publishers:
                self.destroy_publisher(publisher)
        self._cameras, self._bundle = {}, None

    def stop(self) -> None:
        """End the inference thread and give everything back, in any state."""
        self._deactivate()
        self._clean_up()

    def publish_diagnostics(
        self, counters: dict[str, CameraCounters], before: dict[str, CameraCounters]
    ) -> None:
        """Publish the cameras' counters; ``before`` are those of the report before."""
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(
            to_diagnostics(counters, before, self.get_name(), self._engine_name, stamp)
        )


class _Activity:
    """What an active node has: subscriptions, slots, the inference thread, a timer."""

    def __init__(
        self, node: TaskSRNode, config: NodeConfig, cameras: dict[str, _Camera], engine: str
    ) -> None:
        self._node = node
        self._cameras = cameras
        self._counting = threading.Lock()
        self._slots: LatestSlots[ImageMessage] = LatestSlots(list(cameras))
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()
        self._subscriptions = [
            subscription
            for camera in cameras.values()
            for subscription in self._subscribe(camera, config)
        ]
        self._before = self._snapshot()
        steady = rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME)
        self._timer = node.create_timer(DIAGNOSTICS_PERIOD_S, self._report, clock=steady)

    def _subscribe(self, camera: _Camera, config: NodeConfig) -> list[Subscription]:
        node = self._node
        prefix = f"{camera.name}/" if camera.name else ""
        # image is resolved first, so that remapping image also moves image/compressed.
        topic = node.resolve_topic_name(f"{prefix}image")
        message_type: type[ImageMessage] = Image
        if config.compressed:
            topic, message_type = f"{topic}/compressed", CompressedImage
        qos = QoSProfile(depth=1) if config.reliable else _LATEST_ONLY
        return [
            node.create_subscription(message_type, topic, self._receiver(camera), qos),
            node.create_subscription(
                CameraInfo,
                f"{prefix}camera_info",
                lambda message: self._on_camera_info(camera, message),
                _LATEST_ONLY,
            ),
        ]

    def _receiver(self, camera: _Camera) -> Callable[[ImageMessage], None]:
        def receive(message: ImageMessage) -> None:
            camera.counters.received += 1
            if self._slots.put(camera.name, message) is not None:
                camera.counters.replaced += 1

        return receive

    def _on_camera_info(self, camera: _Camera, message: CameraInfo) -> None:
        try:
            camera.pipeline.camera = messages.to_camera_model(message)
        except TaskSRError as error:
            self._warn(f"{camera.name or 'camera'}: {error}")

    def _work(self) -> None:
        """The inference thread."""
        while (taken := self._slots.take()) is not None:
            name, message = taken
            camera = self._cameras[name]
            try:
                self._process(camera, message)
            except Exception as error:  # whatever one frame does, the node goes on
                if not self._node.context.ok():
                    return  # the process is being shut down: nothing can be published any more
                with self._counting:
                    camera.counters.rejected[type(error).__name__] += 1
                    camera.counters.last_rejection = str(error)
                self._warn(f"{name or 'camera'}: frame rejected: {error}")

    def _process(self, camera: _Camera, message: ImageMessage) -> None:
        start = time.perf_counter()
        frame = decode_message(message)
        decoded = time.perf_counter()
        result = camera.pipeline.run(frame)
        detections = messages.to_detection_array(result.detections, message.header)
        now_ns = self._node.get_clock().now().nanoseconds
        latency_ms = {
            "decode": (decoded - start) * 1e3,
            **result.latency_ms,
            "total": (time.perf_counter() - start) * 1e3,
            "age": (now_ns - frame.stamp_ns) / 1e6,
        }
        camera.detections.publish(detections)
        with self._counting:
            camera.counters.processed += 1
            camera.counters.latency_ms = latency_ms
        name = self._node.get_name()
        camera.latency.publish(messages.to_latency(latency_ms, name, message.header))
        if camera.debug_image.get_subscription_count():
            self._publish_debug_image(camera, frame, result, message.header)

    def _publish_debug_image(
        self, camera: _Camera, frame: Frame, result: Result, header: Header
    ) -> None:
        """A picture that cannot be drawn is no rejection: the detections are out."""
        try:
            camera.debug_image.publish(_debug_image(frame, result, header))
        except Exception as error:
            self._warn(f"{camera.name or 'camera'}: no debug image: {error}")

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text, throttle_duration_sec=LOG_PERIOD_S)

    def _snapshot(self) -> dict[str, CameraCounters]:
        """Copies, since the inference thread goes on counting."""
        with self._counting:
            return {name: copy.deepcopy(camera.counters) for name, camera in self._cameras.items()}

    def _report(self) -> None:
        now = self._snapshot()
        self._node.publish_diagnostics(now, self._before)
        self._before = now

    def close(self) -> None:
        """Unsubscribe, let the frame in work end, join the thread."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for name in self._slots.close():
            self._cameras[name].counters.replaced += 1
        self._thread.join()


def _debug_image(frame: Frame, result: Result, header: Header) -> Image:
    regions = [tile.rect for tile in result.tiles]
    image = draw(to_bgr(frame), result.detections, regions)
    return messages.to_image(image, "bgr8", header)


def _plain(value: Value) -> Any:
    """Tuples as ROS parameters take them."""
    return list(value) if isinstance(value, tuple) else value


def _descriptor(type_: Any, option: Option) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=option.description)
    if option.choices:
        descriptor.additional_constraints = "one of " + ", ".join(option.choices)
    if option.low is not None and option.high is not None:
        if type_ is int:
            range_ = IntegerRange(from_value=int(option.low), to_value=int(option.high), step=1)
            descriptor.integer_range = [range_]
        else:
            low, high = float(option.low), float(option.high)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def run(node: TaskSRNode) -> int:
    """Start the node as its parameter ``autostart`` says and spin; returns an exit status."""
    package_logger = logging.getLogger("tasksr_ros")
    package_logger.setLevel(logging.INFO)
    package_logger.addHandler(_RosLogHandler(node))
    if node.get_parameter("autostart").value:
        for trigger in (node.trigger_configure, node.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                return 1 if node.context.ok() else 0
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin()
    return 0


def main(arguments: list[str] | None = None, engine_factory: EngineFactory = build_engine) -> int:
    """Entry point of ``tasksr_node``; see `TaskSRNode` for the engine factory."""
    node = None
    try:
        rclpy.init(args=arguments)
        node = TaskSRNode(engine_factory=engine_factory)
        return run(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception as error:  # of rclpy: a parameter file, a remapping, a topic's name
        if rclpy.ok() or node is None:
            print(f"tasksr_node: {' '.join(str(error).split())}", file=sys.stderr)
            return 1
        return 0  # asked to end while it started
    finally:
        if node is not None:
            with contextlib.suppress(RuntimeError):  # RCLError, once the context is gone
                node.stop()
                node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
