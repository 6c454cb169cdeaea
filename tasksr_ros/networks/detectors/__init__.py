"""Detectors, one per file, and the decoders of detectors that are not ours."""
