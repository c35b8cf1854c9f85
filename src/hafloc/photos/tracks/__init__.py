"""Tracks: reading what receivers recorded, and placing photos on it by their times."""

from hafloc.photos.tracks.along import MAX_GAP, Place, place_at
from hafloc.photos.tracks.placing import Placed, Tracking, place_photos
from hafloc.photos.tracks.reading import TrackFile, read_track
from hafloc.photos.tracks.track import Fix, Track
from hafloc.photos.tracks.zone import parse_zone

__all__ = [
    "MAX_GAP",
    "Fix",
    "Place",
    "Placed",
    "Track",
    "TrackFile",
    "Tracking",
    "parse_zone",
    "place_at",
    "place_photos",
    "read_track",
]
