"""A small city drawn in code: photos with known positions for tests and for a first taste."""

from hafloc.demo.camera import Camera, project
from hafloc.demo.city import City, build_city
from hafloc.demo.conditions import Conditions, Season
from hafloc.demo.render import render
from hafloc.demo.write import DemoCity, DemoPhoto, render_city

__all__ = [
    "Camera",
    "City",
    "Conditions",
    "DemoCity",
    "DemoPhoto",
    "Season",
    "build_city",
    "project",
    "render",
    "render_city",
]
