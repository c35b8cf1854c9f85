"""A small city drawn in code: photos with known positions for tests and for a first taste."""

from hafloc.demo.camera import Camera, project
from hafloc.demo.city import City, build_city
from hafloc.demo.conditions import Conditions, Season
from hafloc.demo.occluders import Occluder, draw_occluders
from hafloc.demo.panorama import panorama_file, render_panorama, write_panoramas
from hafloc.demo.pixel_class import PixelClass
from hafloc.demo.render import render, render_classes
from hafloc.demo.write import DemoCity, DemoPhoto, render_city

__all__ = [
    "Camera",
    "City",
    "Conditions",
    "DemoCity",
    "DemoPhoto",
    "Occluder",
    "PixelClass",
    "Season",
    "build_city",
    "draw_occluders",
    "panorama_file",
    "project",
    "render",
    "render_city",
    "render_classes",
    "render_panorama",
    "write_panoramas",
]
