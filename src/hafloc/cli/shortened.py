"""What `index build --dimension` makes of a network's vectors, and says of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from hafloc.cli.output import tell
from hafloc.cli.progress import bar
from hafloc.errors import OptionError

if TYPE_CHECKING:
    from hafloc.describe import Describer
    from hafloc.photos import PhotoFile


def shortened(
    index: str, describer: "Describer", photos: "list[PhotoFile]", dimension: int
) -> "Describer":
    """The describer with vectors of `dimension` numbers; its file lies beside the index.

    An index that exists goes on with the directions that it was begun with. Raises OptionError
    where these are of another number or network.
    """
    from hafloc.describe import Describer, shorten
    from hafloc.index import folder_of, index_exists

    folder = folder_of(index)
    if folder is None:
        raise OptionError(
            f"{index} lies in no folder, where --dimension keeps its directions; build a .gpkg "
            "with it, and give its pca:FILE as the --model here"
        )
    file = folder / f"{Path(index).stem}.pca.safetensors"
    if not index_exists(index):
        with bar() as progress:
            found, loss = shorten(describer, photos, dimension, file, progress=progress, trust=True)
        tell(loss.in_words())
        return found
    if not file.is_file():
        raise OptionError(
            f"{index} was not built with --dimension, or {file} is gone; leave the option out, put "
            "the file back, or build a new index"
        )
    found = Describer.open(
        f"pca:{file}",
        device=describer.device,
        trust=True,
        runtime=describer.runtime.name,
        precision=describer.runtime.precision,
    )
    if found.dimension != dimension or found.shortens != describer.hash:
        raise OptionError(
            f"{index} has vectors of {found.dimension:,} numbers, shortened from another start; "
            "give the --dimension and --model that it was built with, or build a new index"
        )
    return found
