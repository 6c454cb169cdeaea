"""The single home of the version; setup.py reads it, package.xml repeats it under test."""

__version__ = "0.1.0"
