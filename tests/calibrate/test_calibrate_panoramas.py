"""Panoramas as queries of known position: all views together, as they are answered."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from spheres import write, xmp

from hafloc.calibrate.trials import Known, Trials, photos_of
from hafloc.describe import Describer
from hafloc.index import build_index, open_index
from hafloc.locate import Localizer
from hafloc.photos import Cutting
from hafloc.progress import Silent

WIDTH = 400


def texture(seed: int, turn: float) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(np.concatenate([blocks] * 3, axis=1))
    wide = np.array(picture.resize((3 * WIDTH, WIDTH // 2), Image.Resampling.BICUBIC))
    return np.roll(wide[:, WIDTH : 2 * WIDTH], -round(turn / 360 * WIDTH), axis=1)


def test_a_panorama_of_known_position_is_tried_as_it_would_be_answered(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    describer = Describer.open(tiny_checkpoint)
    for seed in range(3):
        write(tmp_path / "p" / f"{seed}.jpg", texture(seed, 0), xmp(), lat=48 + seed)
    cutting = Cutting(3)
    build_index(tmp_path / "c.gpkg", describer, tmp_path / "p", cutting=cutting)
    # One says that it is a panorama, one is assumed to be, both seen by a turned camera.
    write(tmp_path / "q" / "told.jpg", texture(1, 100), xmp(), lat=49)
    write(tmp_path / "q" / "assumed.jpg", texture(2, 50), lat=50)

    assumed = Cutting(3, assume=True)
    with Localizer(open_index(tmp_path / "c.gpkg"), describer) as localizer:
        known = list(photos_of(localizer, tmp_path / "q", None, assumed, Silent()))
        trials = Trials(localizer.index, localizer.candidates.local_features)
        for query in known:
            assert isinstance(query, Known)
            assert len(query.views) == 3
            trials.add(query)
        answers = [
            localizer.locate(tmp_path / "q" / name, cutting=assumed)
            for name in ("assumed.jpg", "told.jpg")
        ]

    assert len(trials.verified) == 2
    for trial, answer in zip(trials.verified, answers, strict=True):
        assert trial.error < 1
        assert answer.position.lat == pytest.approx(trial.here.position.lat)
        # Without its place the other panoramas are left, and less speaks for them.
        assert trial.elsewhere is not None
        assert trial.elsewhere.signs[0] < trial.here.signs[0]
