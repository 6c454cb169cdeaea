"""The parts of the generated drive: figures, street, clutter and camera."""
