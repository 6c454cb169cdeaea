"""Whether a camera's images are wanted: `~/enable`, and somebody who listens to what is found."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import SetBool

DISABLED = "disabled by ~/enable"
NOT_HEARD = "nobody listens (input.lazy)"


class Switch:
    """The service ``~/enable`` (std_srvs/SetBool), beside the lifecycle.

    Args:
        node: that serves.
        changed: called after each change.

    Attributes:
        on: whether images are to be looked at while the node is active.
    """

    def __init__(self, node: Node, changed: Callable[[], None]) -> None:
        self.on = True
        self._changed = changed
        node.create_service(SetBool, "~/enable", self._answer)

    def _answer(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.on = bool(request.data)
        self._changed()
        response.success = True
        response.message = "enabled" if self.on else "disabled"
        return response


def idle_reason(*, on: bool, lazy: bool, listeners: int) -> str:
    """Why a camera's images are not subscribed to, or "".

    Args:
        on: see `Switch`.
        lazy: ``input.lazy`` of the camera.
        listeners: of the camera's outputs.
    """
    if not on:
        return DISABLED
    return NOT_HEARD if lazy and not listeners else ""
