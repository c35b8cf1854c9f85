"""A describer with shorter vectors, fitted to a sample of the photos that it is to describe."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hafloc.describe.describer import Describer
from hafloc.describe.in_turn import Described
from hafloc.describe.projection import (
    PREFIX,
    Loss,
    loss_of,
    principal_directions,
    save_projection,
)
from hafloc.errors import PhotoError
from hafloc.photos import PhotoFile
from hafloc.progress import Progress

# Photos that are described for it, once more than otherwise.
SAMPLE = 2_000


def shorten(
    describer: Describer,
    photos: Sequence[PhotoFile],
    dimension: int,
    file: Path,
    *,
    progress: Progress,
    trust: bool = False,
) -> tuple[Describer, Loss]:
    """Fit `dimension` principal directions to up to SAMPLE of `photos`, and keep them in `file`.

    The describer opened with that file, and what the shorter vectors lose. Raises OptionError
    where there are too few photos or numbers for it, PhotoError where no photo can be read,
    OutputError where the file cannot be written.
    """
    chosen = list(photos)
    if len(chosen) > SAMPLE:
        numbers = np.random.default_rng(0).choice(len(chosen), SAMPLE, replace=False)
        chosen = [chosen[number] for number in sorted(numbers)]
    vectors = []
    progress.start("finding directions", len(chosen))
    for number, (_, found) in enumerate(describer.describe_files(chosen), start=1):
        if isinstance(found, Described):
            vectors.append(found.features.vector)
        progress.advance(number)
    if not vectors:
        raise PhotoError(f"none of the {len(chosen):,} photos can be described; check the folder")
    seen = np.stack(vectors)
    directions = principal_directions(seen, dimension)
    loss = loss_of(seen, dimension)
    save_projection(file, directions, describer.way_from(file.absolute().parent), describer.hash)
    shorter = Describer.open(
        f"{PREFIX}{file}",
        device=describer.device,
        trust=trust,
        runtime=describer.runtime.name,
        precision=describer.runtime.precision,
    )
    return shorter, loss
