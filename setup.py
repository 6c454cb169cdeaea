"""Build of the package, for colcon (`colcon build`) and for pip (`pip install -e .`)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
NAME = "tasksr_ros"


def version():
    """Return the version without importing the package, whose dependencies may be missing."""
    text = (ROOT / NAME / "_version.py").read_text()
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def requirements(name):
    """Return the requirements of one file under requirements/, without its comments."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def shared_files(folder, pattern="*"):
    """Return (destination, files) of every folder under `folder`, for share/tasksr_ros."""
    by_folder = {}
    for path in sorted((ROOT / folder).rglob(pattern)):
        if path.is_file():
            relative = path.relative_to(ROOT)
            by_folder.setdefault(relative.parent, []).append(str(relative))
    return [(f"share/{NAME}/{parent}", files) for parent, files in by_folder.items()]


setup(
    name=NAME,
    version=version(),
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "evaluation/report/template/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files("interfaces/vision_msgs/msg", "*.msg"),
        *shared_files("launch", "*.launch.py"),
        *shared_files("config"),
        *shared_files("models"),
    ],
    python_requires=">=3.10",
    install_requires=requirements("torch.txt") + requirements("runtime.txt"),
    extras_require={
        "test": ["pytest"],  # tells colcon to test with pytest
        "cluster": requirements("cluster.txt"),
        "int8": requirements("int8.txt"),
        "onnx": requirements("onnx.txt"),
        "tensorrt": requirements("tensorrt.txt"),
    },
    zip_safe=False,
    maintainer="tasksr_ros maintainers",
    maintainer_email="tasksr@example.org",
    description="Sees pedestrians further: task-driven super-resolution and detection for ROS 2",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "tasksr = tasksr_ros.cli.main:main",
            "tasksr_node = tasksr_ros.ros.process:main",
        ],
    },
)
