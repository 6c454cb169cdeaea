"""The message types of interfaces/ are those of the released vision_msgs 4.1.1."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

# Type hashes (REP 2011) of vision_msgs 4.1.1. ROS 2 compares them before two nodes talk.
RELEASED = {
    "BoundingBox2D": "008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f",
    "BoundingBox2DArray": "2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691",
    "BoundingBox3D": "bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698",
    "BoundingBox3DArray": "a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6",
    "Classification": "f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143",
    "Detection2D": "0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection3D": "ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b",
    "Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "LabelInfo": "3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "ObjectHypothesis": "51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90",
    "ObjectHypothesisWithPose": "41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc",
    "Point2D": "eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247",
    "Pose2D": "b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648",
    "VisionClass": "1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
    "VisionInfo": "95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
}


def test_definitions_have_the_released_type_hashes(root: Path) -> None:
    # rosbags computes the hash from the text of the definitions, without ROS 2.
    store = get_typestore(Stores.EMPTY)
    base = get_typestore(Stores.ROS2_JAZZY)
    used = ("std_msgs", "geometry_msgs", "builtin_interfaces")
    store.register({k: v for k, v in base.fielddefs.items() if k.startswith(used)})
    folder = root / "interfaces" / "vision_msgs" / "msg"
    for path in folder.glob("*.msg"):
        store.register(get_types_from_msg(path.read_text(), f"vision_msgs/msg/{path.stem}"))
    hashes = {
        path.stem: store.hash_rihs01(f"vision_msgs/msg/{path.stem}")
        for path in folder.glob("*.msg")
    }
    assert hashes == {name: f"RIHS01_{digest}" for name, digest in RELEASED.items()}


def test_every_definition_is_built(root: Path) -> None:
    folder = root / "interfaces" / "vision_msgs"
    built = (folder / "CMakeLists.txt").read_text().split()
    names = sorted(path.name for path in (folder / "msg").iterdir())
    assert sorted(word for word in built if word.endswith(".msg")) == [f"msg/{n}" for n in names]


@pytest.mark.wire
def test_installed_messages_are_announced_with_the_released_type_hash(ros_domain: int) -> None:
    import rclpy
    from vision_msgs.msg import Detection2DArray

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    try:
        node = rclpy.create_node("announcer", context=context)
        node.create_publisher(Detection2DArray, "detections", 1)
        (endpoint,) = node.get_publishers_info_by_topic("detections")
        announced = bytes(endpoint.topic_type_hash.value).hex()
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    assert announced == RELEASED["Detection2DArray"]
