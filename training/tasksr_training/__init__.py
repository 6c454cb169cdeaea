"""Offline training of the networks that `tasksr_ros` deploys."""
