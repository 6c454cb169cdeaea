"""Recordings to predictions files: `tasksr replay`."""
