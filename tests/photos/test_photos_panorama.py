"""A panorama's views show what a camera that looks their way shows; names tell them apart."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from spheres import GPANO, directions_of, sphere_image, write, xmp

from hafloc.errors import PhotoError
from hafloc.photos import (
    Cutting,
    Sphere,
    View,
    outline,
    part_name,
    query_photos,
    read,
    read_metadata,
    read_part,
    read_photos,
    split_name,
)
from hafloc.photos.gpano import pose_of, sphere_of
from hafloc.photos.panorama import cut, in_panorama, view_size, views_of

angles = st.floats(0, 359, allow_nan=False)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Right-handed, about an axis of right, down, ahead; written down once more for the tests."""
    s, c = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return {
        "right": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "down": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "ahead": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def pinhole(view: View, width: int, height: int) -> np.ndarray:
    """Where each pixel of an upright camera looks, by a camera's own formula."""
    focal = width / 2 / math.tan(math.radians(view.field_of_view) / 2)
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], axis=-1)
    rays = rays @ (rotation("down", view.heading) @ rotation("right", view.pitch)).T
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def worst_angle(found: np.ndarray, expected: np.ndarray) -> float:
    """Degrees between directions, at most."""
    return math.degrees(float(np.arccos((found * expected).sum(-1).clip(-1, 1)).max()))


@pytest.mark.parametrize(
    "view", [View(0), View(45), View(180), View(315, 20), View(90, -30, 60), View(200, 0, 100)]
)
def test_each_pixel_of_a_view_shows_its_own_direction(view: View) -> None:
    image = sphere_image(2048)

    found = cut(image, Sphere(), view, (160, 120))

    # Colours have 256 steps: half of one is 0.3 degrees.
    assert worst_angle(directions_of(found), pinhole(view, 160, 120)) < 0.6


@settings(max_examples=25)
@given(st.floats(-40, 40), st.floats(-60, 60), angles)
def test_views_of_a_camera_that_was_not_level_are_level(
    pitch: float, roll: float, heading: float
) -> None:
    # Pitch lifts the camera's axis, roll lowers its right side.
    camera = rotation("right", pitch) @ rotation("ahead", roll)
    image = sphere_image(512, turn=camera)
    view = View(heading)

    found = cut(image, Sphere(pitch=pitch, roll=roll), view, (40, 30))

    assert worst_angle(directions_of(found), pinhole(view, 40, 30)) < 0.9


def test_pitch_lifts_the_axis_and_roll_turns_the_horizon_counter_clockwise() -> None:
    # As the source of GPano says: pitch is above the horizon; as roll increases, the horizon
    # rotates counterclockwise in the image.
    tilted = cut(sphere_image(1024, turn=rotation("right", 20)), Sphere(), View(0), (81, 61))
    rolled = cut(sphere_image(1024, turn=rotation("ahead", 20)), Sphere(), View(0), (81, 61))

    assert directions_of(tilted)[30, 40, 1] == pytest.approx(-math.sin(math.radians(20)), abs=0.01)
    horizon = np.abs(directions_of(rolled)[..., 1]).argmin(axis=0)
    assert horizon[0] > horizon[-1]  # lower at the left


def test_a_part_of_a_sphere_gives_the_views_that_it_shows() -> None:
    # 200 degrees wide, 40 above and 40 below the horizon.
    sphere = Sphere(left=-100, top=40, wide=200, high=80)
    image = sphere_image(1000, 400, left=-100, top=40, wide=200, high=80)

    views = views_of(sphere)

    assert [view.heading for view in views] == [0, 45, 315]
    for view in views:
        found = cut(image, sphere, view, (80, 60))
        assert worst_angle(directions_of(found), pinhole(view, 80, 60)) < 0.7


def test_a_low_strip_gives_low_views_and_a_narrow_one_none() -> None:
    low = Sphere(left=-180, top=20, wide=360, high=40)

    assert len(views_of(low)) == 8
    # 20 degrees up of half a view's 29.9: tan 20° / tan 29.9° = 0.633, less at the corners.
    width, height = view_size(low, (3600, 400), View(0))
    assert 0.45 * width * 0.75 <= height <= 0.634 * width * 0.75 + 1
    assert views_of(Sphere(left=-30, top=30, wide=60, high=60)) == []
    assert views_of(Sphere(top=5, high=10)) == []


def test_the_outline_of_a_view_lies_where_its_pixels_come_from() -> None:
    image, view = sphere_image(1024), View(160, 10)
    size = view_size(Sphere(), (1024, 512), view)

    edge = outline(Sphere(), view, (1024, 512))
    corners = np.array([[0, 0], [size[0] - 1, 0], [size[0] - 1, size[1] - 1]], float)
    placed = in_panorama(Sphere(), view, corners, size, (1024, 512))

    found = directions_of(cut(image, Sphere(), view, size))
    for (x, y), (i, j) in zip(placed, corners.astype(int), strict=True):
        pixel = directions_of(image)[round(y), round(x) % 1024]
        assert worst_angle(pixel, found[j, i]) < 1.0
    assert np.abs(edge - placed[0]).sum(axis=1).min() < 3


@given(angles, st.floats(-90, 90), st.floats(1, 120), st.text("ab#./é=", min_size=1))
def test_a_view_is_named_and_read_back(
    heading: float, pitch: float, wide: float, stem: str
) -> None:
    view = View(heading, pitch, wide)

    assert split_name(part_name(f"{stem}.jpg", view)) == (f"{stem}.jpg", view)
    assert split_name(f"{stem}.jpg") == (f"{stem}.jpg", None)


def test_names_leave_out_what_is_usual() -> None:
    # Indexes hold these names: what they leave out may never change.
    assert part_name("p/a.jpg", View(45)) == "p/a.jpg#view=45"
    assert part_name("a.jpg", View(22.5, 0, 60)) == "a.jpg#view=22.5,0,60"
    assert part_name("a.jpg", View(0, 10)) == "a.jpg#view=0,10"
    assert split_name("a.jpg#view=45")[1] == View(45, 0, 75)


@pytest.mark.parametrize(
    "name",
    ["a.jpg#view=", "a.jpg#view=x", "a.jpg#view=1,2,3,4", "a.jpg#view=0,99", "a#view=45",
     "a.jpg#view=045", "a.jpg#view=400", "#view=45", "a.jpg#view=45.jpg", "a.jpg#t=45",
     "a.jpg#view=1e9", "a.jpg#view=0,0,500"],
)  # fmt: skip
def test_a_file_that_is_called_nearly_like_a_view_is_a_file(name: str) -> None:
    assert split_name(name) == (name, None)


def test_a_panorama_is_read_as_its_views(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jpg", sphere_image(1024), xmp(PoseHeadingDegrees=30))

    photos = read_photos(file, longer_side=120)

    assert [photo.part for photo in photos] == [View(45 * k) for k in range(8)]
    assert {photo.image.shape for photo in photos} == {(90, 120, 3)}
    assert {photo.content for photo in photos} == {read(file).content}
    assert photos[0].metadata.heading == 30
    again = read_part(file, View(90), longer_side=120)
    assert np.array_equal(again.image, photos[2].image)
    # 1024 pixels are 360 degrees, so 75 in the middle of a view are 2 tan 37.5° · 1024 / 2π.
    assert (again.width, again.height) == (250, 188)
    # The focal length in longer sides: 1 / (2 tan 37.5°).
    assert again.focal == pytest.approx(0.6516, abs=1e-4)


def test_a_photo_of_twice_its_height_is_a_panorama_if_told_so(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jpg", sphere_image(1024))

    assert [photo.part for photo in read_photos(file, longer_side=90)] == [None]
    assert len(read_photos(file, longer_side=90, cutting=Cutting(6, assume=True))) == 6
    assert len(query_photos(file, longer_side=90, cutting=Cutting(assume=True))) == 8
    pixels = sphere_image(512)
    assert len(query_photos(pixels, longer_side=90, cutting=Cutting(assume=True))) == 8
    assert len(query_photos(pixels, longer_side=90)) == 1


def test_a_heading_of_exif_serves_where_the_panorama_tells_none(tmp_path: Path) -> None:
    told = write(tmp_path / "a.jpg", sphere_image(512), xmp(PoseHeadingDegrees=350.5), heading=10)
    other = write(tmp_path / "b.jpg", sphere_image(512), xmp(), heading=10)

    assert read_metadata(told).heading == 350.5
    assert read_metadata(other).heading == 10


@pytest.mark.parametrize(
    ("said", "size", "why"),
    [
        ({}, (900, 600), "not twice as wide"),
        ({"FullPanoWidthPixels": "many"}, (800, 400), "its FullPanoWidthPixels is 'many'"),
        ({"FullPanoWidthPixels": 800, "FullPanoHeightPixels": 800}, (800, 800), "not twice"),
        ({"PosePitchDegrees": "nan"}, (800, 400), "its PosePitchDegrees is 'nan'"),
        ({"PoseRollDegrees": 1000}, (800, 400), "its PoseRollDegrees is '1000'"),
        ({"FullPanoWidthPixels": 4000, "FullPanoHeightPixels": 2000,
          "CroppedAreaImageWidthPixels": 2000, "CroppedAreaImageHeightPixels": 1000},
         (800, 300), "says 2,000 × 1,000"),
        ({"FullPanoWidthPixels": 4000, "FullPanoHeightPixels": 2000,
          "CroppedAreaImageWidthPixels": 2000, "CroppedAreaImageHeightPixels": 1000,
          "CroppedAreaLeftPixels": 3500}, (800, 400), "does not lie in the whole"),
        ({"FullPanoWidthPixels": 0, "FullPanoHeightPixels": 0}, (900, 600), "not twice"),
        ({"FullPanoWidthPixels": -4000, "FullPanoHeightPixels": -2000}, (900, 450), "not twice"),
    ],
)  # fmt: skip
def test_a_panorama_that_contradicts_itself_is_taken_as_it_is(
    tmp_path: Path, said: dict[str, object], size: tuple[int, int], why: str
) -> None:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    file = write(tmp_path / "p.jpg", pixels, xmp(**said))

    (photo,) = read_photos(file, longer_side=100, cutting=Cutting(assume=True))

    assert photo.part is None
    assert why in str(photo.doubt)


def test_a_part_of_a_panorama_that_was_scaled_is_still_one(tmp_path: Path) -> None:
    # As a phone writes: 6,000 × 3,000 in all, of which 3,000 × 1,500 were taken, now 750 wide.
    packet = xmp(
        FullPanoWidthPixels=6000, FullPanoHeightPixels=3000, CroppedAreaImageWidthPixels=3000,
        CroppedAreaImageHeightPixels=1500, CroppedAreaLeftPixels=1500, CroppedAreaTopPixels=750,
    )  # fmt: skip

    found = sphere_of(packet, (750, 375))

    assert found == Sphere(left=-90, top=45, wide=180, high=90)


def test_a_view_over_the_seam_has_no_line_in_it() -> None:
    # Others drew one there: sunset1995/py360convert, issue 46.
    grey = np.full((256, 512, 3), 100, np.uint8)

    for view in (View(180), View(179.9, 40), View(180.1, -89)):
        assert (cut(grey, Sphere(), view, (90, 68)) == 100).all()


def test_a_panorama_that_lies_upside_down_in_its_file_is_cut_upright(tmp_path: Path) -> None:
    # As phones write, nextcloud/files_photospheres, issue 49: EXIF says that it is to be turned.
    upright = sphere_image(512)
    file = tmp_path / "p.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(upright[::-1, ::-1].copy()).save(file, quality=95, exif=exif, xmp=xmp())

    photos = read_photos(file, longer_side=100)

    assert len(photos) == 8
    width, height = photos[2].image.shape[1::-1]
    assert worst_angle(directions_of(photos[2].image), pinhole(View(90), width, height)) < 6


def test_the_packet_of_a_camera_on_its_side_is_understood() -> None:
    # As a Theta S writes it, elements in place of attributes: mistic100/Photo-Sphere-Viewer, 268.
    said = {
        "UsePanoramaViewer": "True", "CroppedAreaImageWidthPixels": 5376,
        "CroppedAreaImageHeightPixels": 2688, "FullPanoWidthPixels": 5376,
        "FullPanoHeightPixels": 2688, "CroppedAreaLeftPixels": 0, "CroppedAreaTopPixels": 0,
        "PoseHeadingDegrees": "225.0", "PosePitchDegrees": "17.0", "PoseRollDegrees": "-121.0",
        "ProjectionType": "equirectangular",
    }  # fmt: skip
    elements = "".join(f"<GPano:{name}>{value}</GPano:{name}>" for name, value in said.items())
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmptk="RICOH THETA S Ver1.11">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:GPano="{GPANO}">{elements}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    )

    assert sphere_of(packet, (5376, 2688)) == Sphere(pitch=17, roll=-121)
    # Scaled afterwards by a program that kept the packet: Photo-Sphere-Viewer, issue 1520.
    assert sphere_of(packet, (1000, 500)) == Sphere(pitch=17, roll=-121)
    assert pose_of(packet) == 225


def test_a_panorama_of_a_phone_that_says_nothing_of_its_size_is_no_sphere() -> None:
    # immich-app/immich, issue 28970: taken for a whole one it would be torn apart.
    found = sphere_of(xmp(), (12000, 2500))

    assert isinstance(found, str)
    assert "not twice as wide" in found


@given(st.binary(max_size=300) | st.text(max_size=200))
def test_whatever_a_packet_holds_nothing_is_raised(packet: bytes | str) -> None:
    wrapped = xmp(FullPanoWidthPixels="X").replace(b"X", repr(packet).encode("utf-8", "replace"))

    for one in (packet, wrapped):
        found = sphere_of(one, (800, 400))
        assert found is None or isinstance(found, str | Sphere)


def test_a_view_of_a_file_that_is_no_panorama_any_more_is_refused_in_one_line(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "p.jpg", np.zeros((60, 80, 3), np.uint8))

    with pytest.raises(PhotoError, match=r"p\.jpg#view=45: the file is no panorama any more"):
        read_part(file, View(45), longer_side=100)
