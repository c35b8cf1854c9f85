"""What knows no views refuses panoramas, and is never given a bent picture for a flat one."""

from pathlib import Path

import pytest
from spheres import sphere_image, write, xmp

from hafloc.errors import PhotoError
from hafloc.photos import read_flat
from hafloc.train.data import decode


def test_a_panorama_is_refused_in_one_line_and_a_flat_photo_is_not(tmp_path: Path) -> None:
    panorama = write(tmp_path / "pano.jpg", sphere_image(256), xmp())
    for look in (lambda: read_flat(panorama), lambda: decode(panorama, 64)):
        with pytest.raises(
            PhotoError, match=r"pano\.jpg as a flat photo: it is a panorama"
        ) as told:
            look()
        assert "\n" not in str(told.value)

    flat = write(tmp_path / "flat.jpg", sphere_image(256))
    assert max(decode(flat, 64).shape) == 64
    # A strip that shows too little to be cut is taken as it is, as an index takes it.
    strip = xmp(FullPanoWidthPixels=4096, FullPanoHeightPixels=2048,
                CroppedAreaImageWidthPixels=256, CroppedAreaImageHeightPixels=128,
                CroppedAreaLeftPixels=900, CroppedAreaTopPixels=900)  # fmt: skip
    assert read_flat(write(tmp_path / "strip.jpg", sphere_image(256), strip)).width == 256
