"""The training stages: super-resolution, detector, task-driven."""
