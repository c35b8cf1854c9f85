"""What bringing a folder into an index has done, for whoever tells it to a person."""

from dataclasses import dataclass, field

from hafloc.index.plan import Skipped
from hafloc.photos import PhotoFile


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was done: numbers of photos' files and films' frames, and what needs a word.

    `added` were described, of them `replaced` in place of another photo of that path; `moved`
    ones have a new path; `corrected` ones are unchanged photos of which table, name or EXIF now
    say something else. `removed` records are gone from the index: their file holds something
    that cannot be indexed, or nothing places it any more; `pruned` ones too, since their file is
    gone. `gone` names the paths of those that are still there. `tabled` records keep what a
    table said that was not at hand this time. `left_out` counts pictures that were not tried, by
    kind. `table` is the table of positions that was read, `table_problems` its rows that cannot
    be used, `unmatched_rows` those that name no photo, `unmatched_photos` the photos without one.
    `tracked` is how many photos the tracks placed, None without any; `notes` what a person should
    know of how table and tracks were read, a line each.
    Of the `added`, `panoramas` were cut into so many `views`; `flat` says why photos that call
    themselves panoramas were taken as they are, and `wide` names added ones that do not, but look
    like one. Of the `added`, `frames` are those of so many `films`.
    """

    added: int
    unchanged: int
    moved: int
    corrected: int = 0
    replaced: int = 0
    removed: int = 0
    pruned: int = 0
    tabled: int = 0
    gone: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = field(default=())
    left_out: str = ""
    table: PhotoFile | None = None
    table_problems: tuple[str, ...] = ()
    unmatched_rows: tuple[str, ...] = ()
    unmatched_photos: tuple[str, ...] = ()
    tracked: int | None = None
    notes: tuple[str, ...] = ()
    panoramas: int = 0
    views: int = 0
    flat: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    films: int = 0
    frames: int = 0
