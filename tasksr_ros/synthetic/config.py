"""What is generated: the single home of the drive's defaults."""

from __future__ import annotations

from dataclasses import dataclass

from tasksr_ros.errors import ConfigError


@dataclass(frozen=True)
class DriveConfig:
    """What is generated.

    Attributes:
        width, height: image size, px.
        hfov_deg: horizontal field of view, degrees.
        camera_height: above the road, m.
        fps: frames per second.
        num_frames: length of the drive.
        num_pedestrians: how many are between the two distances at a time.
        min_distance: how near people come while they cross the road; on the pavements they are
            passed, m.
        max_distance: where people appear, m.
        speed: of the vehicle, m/s.
        pitch_deg: amplitude of the vehicle's pitch motion, degrees.
        exposure_s: exposure time, s.
        jpeg_quality: 1 to 100; 0 leaves the pixels uncompressed.
        seed: of everything random.
        start_ns: stamp of the first frame.
    """

    width: int = 1280
    height: int = 720
    hfov_deg: float = 60.0
    camera_height: float = 1.4
    fps: float = 10.0
    num_frames: int = 100
    num_pedestrians: int = 14
    min_distance: float = 20.0
    max_distance: float = 150.0
    speed: float = 10.0
    pitch_deg: float = 0.25
    exposure_s: float = 0.008
    jpeg_quality: int = 92
    seed: int = 0
    start_ns: int = 1_700_000_000_000_000_000

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "width": (64, 8192),
            "height": (64, 8192),
            "hfov_deg": (5, 140),
            "camera_height": (0.3, 4),
            "fps": (0.1, 1000),
            "num_frames": (1, 1_000_000),
            "num_pedestrians": (0, 200),
            "min_distance": (5, 1000),
            "max_distance": (5, 1000),
            "speed": (0.5, 60),
            "pitch_deg": (0, 5),
            "exposure_s": (0, 0.1),
            "jpeg_quality": (0, 100),
            "seed": (0, 2**63),
            "start_ns": (0, 2**62),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be between {low:g} and {high:g}, got {value:g}")
        if self.min_distance >= self.max_distance:
            raise ConfigError(
                f"min_distance must be less than max_distance, got {self.min_distance:g} "
                f"and {self.max_distance:g} m"
            )
