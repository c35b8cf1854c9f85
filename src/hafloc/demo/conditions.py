"""What changes between two photos of one place: light, weather, season, traffic, the camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LAMP_COLOUR: Floats = np.array([255, 196, 120], np.float32)
_HAZE = 420.0  # metres after which the air has taken two thirds of the contrast


class Season(StrEnum):
    """What trees and ground look like."""

    SUMMER = "summer"
    AUTUMN = "autumn"
    WINTER = "winter"
    SNOW = "snow"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The moment of a photo.

    `sun_azimuth` degrees clockwise from north; `sun_elevation` degrees: dusk below 3, night
    below -8. `cloudiness` and `parked` (share of the bays with a car) are between 0 and 1;
    `people` stand and `cars` drive in the camera's view. `exposure` in stops, `noise` the
    standard deviation in grey values; `quality` is the JPEG quality the photo is written with.
    `seed` decides which bays, people, cars, clouds and noise.
    """

    sun_azimuth: float = 60.0
    sun_elevation: float = 42.0
    cloudiness: float = 0.35
    season: Season = Season.SUMMER
    parked: float = 0.45
    people: int = 2
    cars: int = 0
    exposure: float = 0.0
    noise: float = 1.5
    quality: int = 88
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """`sun` points to the sun (east, north, up); colours `[3]` multiply a surface's own;
    `zenith` and `horizon` are the sky's, 0 to 255; `lamps` is 0 by day and 1 at night."""

    sun: tuple[float, float, float]
    direct: Floats
    ambient: Floats
    zenith: Floats
    horizon: Floats
    lamps: float


_ELEVATION = [-10.0, -4.0, 3.0, 14.0, 45.0]
_DIRECT = [(0, 0, 0), (0, 0, 0), (0.6, 0.34, 0.16), (0.76, 0.62, 0.44), (0.72, 0.68, 0.60)]
_AMBIENT = [
    (0.14, 0.16, 0.25), (0.34, 0.35, 0.46), (0.58, 0.54, 0.56), (0.64, 0.66, 0.70),
    (0.70, 0.72, 0.76),
]  # fmt: skip
_ZENITH = [(10, 13, 30), (44, 56, 104), (86, 112, 166), (92, 138, 204), (88, 144, 216)]
_HORIZON = [(26, 28, 48), (196, 124, 98), (244, 190, 140), (214, 220, 226), (202, 220, 236)]
_LAMPS = [1.0, 0.8, 0.2, 0.0, 0.0]


def light_of(conditions: Conditions) -> Light:
    """The light of a moment: hand-picked colours by the sun's elevation, greyed by clouds."""
    azimuth, elevation = np.radians([conditions.sun_azimuth, conditions.sun_elevation])
    flat = math.cos(elevation)
    clouds = conditions.cloudiness
    grey = max(0.0, clouds - 0.4) / 0.6
    horizon = _by_elevation(_HORIZON, conditions.sun_elevation)
    zenith = _by_elevation(_ZENITH, conditions.sun_elevation)
    overcast = np.float32(0.25 * zenith.mean() + 0.75 * horizon.mean())
    ambient = _by_elevation(_AMBIENT, conditions.sun_elevation)
    return Light(
        sun=(flat * math.sin(azimuth), flat * math.cos(azimuth), math.sin(elevation)),
        direct=_by_elevation(_DIRECT, conditions.sun_elevation) * np.float32(1 - grey),
        ambient=ambient * np.float32(1 + 0.22 * grey),
        zenith=zenith * np.float32(1 - grey) + overcast * np.float32(grey),
        horizon=horizon * np.float32(1 - grey) + overcast * np.float32(grey),
        lamps=float(np.interp(conditions.sun_elevation, _ELEVATION, _LAMPS)),
    )


def _by_elevation(colours: Sequence[tuple[float, float, float]], elevation: float) -> Floats:
    table = np.array(colours)
    return np.array(
        [np.interp(elevation, _ELEVATION, table[:, channel]) for channel in range(3)], np.float32
    )


def hazy(colour: Floats, far: Floats, light: Light) -> Floats:
    """Colours `[N, 3]` seen through `far` `[N]` metres of air."""
    air = 1 - np.exp(-far / np.float32(_HAZE))
    return np.asarray(colour + air[:, None] * (light.horizon * np.float32(0.9) - colour))
