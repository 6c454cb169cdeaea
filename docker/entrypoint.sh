#!/bin/bash
# Launch the node; arguments are those of tasksr.launch.py (name:=value).
set -eo pipefail
source /opt/ros/jazzy/setup.bash
source /opt/tasksr/setup.bash
exec ros2 launch tasksr_ros tasksr.launch.py "$@"
