"""What a pixel of a rendered photo shows."""

from enum import IntEnum


class PixelClass(IntEnum):
    """In the order in which a pixel that shows two of them equally is given to one: the smaller
    things first. `ROAD` is all ground, `SKY` holds the far hills too."""

    SIGN = 0
    PERSON = 1
    LAMP = 2
    CAR = 3
    TREE = 4
    FACADE = 5
    ROAD = 6
    SKY = 7
