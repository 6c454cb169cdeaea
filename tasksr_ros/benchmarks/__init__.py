"""Measurements of speed on the computer that runs the node, side by side in one run."""
