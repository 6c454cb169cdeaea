"""Measurements of this repository that no user runs on a vehicle; not installed.

Each is a command, run from the checkout: ``.venv/bin/python -m benchmarks.networks --help``.
docs/BENCHMARKS.md says what came out.
"""
