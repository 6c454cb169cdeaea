"""Measurements of speed, and of what it costs, side by side in one run."""
