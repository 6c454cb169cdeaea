#!/bin/bash
# Healthy while the node answers that it is active. TASKSR_NODE names it where a namespace does.
set -eo pipefail
source /opt/ros/jazzy/setup.bash
state="$(timeout 6 ros2 lifecycle get "${TASKSR_NODE:-/tasksr}")"
[[ "${state}" == active* ]]
