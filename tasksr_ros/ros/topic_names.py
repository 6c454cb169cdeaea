"""Where cameras' images and CameraInfo are, as parameters, remappings and namespaces resolve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rclpy.node import Node

from tasksr_ros.config import InputConfig, NodeConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.ros.live.silence import SUFFIX

TRANSPORTS = ("raw", "compressed")


def named(name: str, topic: str) -> str:
    """A topic of a camera, whose name may be empty."""
    return f"{name}/{topic}" if name else topic


class TopicNames:
    """The full names of one camera's input topics.

    Args:
        node: whose remappings count.
        name: of the camera, before its topics; may be empty.
        config: topics and transport.

    Attributes:
        image: of the images, without the transport's suffix.
        info: of the intrinsics.
    """

    def __init__(self, node: Node, name: str, config: InputConfig) -> None:
        self._node = node
        self._name = name
        self._config = config
        # image is resolved first, so that remapping image also moves image/compressed.
        self.image = node.resolve_topic_name(config.topic or named(name, "image"))
        if config.transport != "raw":
            while self.image.endswith(SUFFIX):
                self.image = self.image.removesuffix(SUFFIX)
        self.info = node.resolve_topic_name(self._info())

    def of(self, transport: str) -> str:
        """Of the images of a transport."""
        suffix = "" if transport == "raw" else SUFFIX
        return str(self._node.resolve_topic_name(f"{self.image}{suffix}"))

    @property
    def images(self) -> tuple[str, ...]:
        """Of the images, wherever the configured transport may take them."""
        chosen = self._config.transport
        return tuple(map(self.of, TRANSPORTS if chosen == "auto" else (chosen,)))

    def _info(self) -> str:
        """As configured or remapped, else beside the image, as image_transport has it."""
        default = named(self._name, "camera_info")
        remapped = self._node.resolve_topic_name(default)
        if self._config.info_topic or remapped != self._node.resolve_topic_name(
            default, only_expand=True
        ):
            return self._config.info_topic or remapped
        compressed = self._config.transport == "compressed"  # which may be remapped by itself
        image = self.of("compressed").removesuffix(SUFFIX) if compressed else self.image
        return f"{image.rpartition('/')[0]}/camera_info"


def check_cameras(node: Node, cameras: Mapping[str, NodeConfig]) -> Iterator[str]:
    """See that each camera has images of its own; lines about those that share a CameraInfo.

    Raises:
        ConfigError: where two take their images from one topic, whatever moved it there.
    """
    images: dict[str, str] = {}
    infos: dict[str, str] = {}
    for name, config in cameras.items():
        topics = TopicNames(node, name, config.input)
        for topic in topics.images:
            other = images.setdefault(topic, name)
            if other != name:
                raise ConfigError(
                    f"cameras must have topics of their own, got {topic} for the images of "
                    f"{other} and {name}, by remappings or parameters"
                )
        other = infos.setdefault(topics.info, name)
        if other != name and not config.input.info_topic:
            yield (
                f"{other} and {name} take their CameraInfo from one topic, {topics.info}: if they "
                f"are two cameras, set {name}.input.info_topic or remap {name}/camera_info"
            )
