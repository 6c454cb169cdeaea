"""Constant-velocity Kalman filters, one per axis, of many objects at once.

The axes are independent, so each covariance is three numbers and nothing is inverted
(Bar-Shalom, Li, Kirubarajan: Estimation with Applications to Tracking and Navigation, 6.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Motion:
    """Positions and velocities of N objects along A axes, each array (N, A) float64.

    Attributes:
        position, velocity: the estimates; a unit of the axis, and that unit per second.
        pp, pv, vv: variances of position and velocity and their covariance.
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    pp: NDArray[np.float64]
    pv: NDArray[np.float64]
    vv: NDArray[np.float64]

    @classmethod
    def at(
        cls,
        measured: NDArray[np.float64],
        noise: NDArray[np.float64],
        velocity: NDArray[np.float64],
        speed: NDArray[np.float64],
    ) -> Motion:
        """Objects seen once.

        Args:
            measured: (N, A) positions.
            noise: (N, A) their standard deviation.
            velocity: (A,) the likeliest velocity.
            speed: (N, A) its standard deviation.
        """
        zero = np.zeros_like(measured)
        return cls(measured.copy(), zero + velocity, noise**2, zero, speed**2)

    def predict(self, seconds: NDArray[np.float64], density: NDArray[np.float64]) -> Motion:
        """Where the objects are (N,) seconds later, or earlier where negative.

        Args:
            seconds: (N,).
            density: (N, A) spectral density of the acceleration, unit² / s³.
        """
        t = seconds[:, None]
        later = np.abs(t)
        return Motion(
            self.position + t * self.velocity,
            self.velocity,
            self.pp + 2 * t * self.pv + t**2 * self.vv + density * later**3 / 3,
            self.pv + t * self.vv + np.sign(t) * density * t**2 / 2,
            self.vv + density * later,
        )

    def update(self, measured: NDArray[np.float64], noise: NDArray[np.float64]) -> Motion:
        """The estimates after one measurement of each object, (N, A), of that deviation."""
        total = self.pp + noise**2
        gain_p, gain_v = self.pp / total, self.pv / total
        error = measured - self.position
        return replace(
            self,
            position=self.position + gain_p * error,
            velocity=self.velocity + gain_v * error,
            pp=(1 - gain_p) * self.pp,
            pv=(1 - gain_p) * self.pv,
            vv=self.vv - gain_v * self.pv,
        )

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Motion:
        """The objects at ``index``."""
        return Motion(*(getattr(self, f.name)[index] for f in fields(self)))

    def join(self, other: Motion) -> Motion:
        """These objects, then the other's."""
        return Motion(
            *(np.concatenate((getattr(self, f.name), getattr(other, f.name))) for f in fields(self))
        )

    def put(self, index: NDArray[np.integer], other: Motion) -> Motion:
        """These objects, those at ``index`` replaced by the other's."""
        arrays = [getattr(self, f.name).copy() for f in fields(self)]
        for array, f in zip(arrays, fields(self), strict=True):
            array[index] = getattr(other, f.name)
        return Motion(*arrays)
