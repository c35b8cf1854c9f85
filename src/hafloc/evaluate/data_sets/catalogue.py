"""All benchmarks by name: what each is, where to get it, its options, and how to load it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark
from hafloc.evaluate.data_sets.holidays import load_holidays
from hafloc.evaluate.data_sets.landmarks import load_landmarks, load_revisited
from hafloc.evaluate.data_sets.photo_folders import load_folder, load_index
from hafloc.evaluate.data_sets.places import load_pittsburgh, load_tokyo247, load_tokyotm
from hafloc.evaluate.data_sets.san_francisco import load_sf0

_ON_REQUEST = "on request from the authors (NetVLAD's project page says how)"
_FREE = ""  # an option that takes any text


@dataclass(frozen=True, slots=True)
class DataSet:
    """A benchmark in the catalogue.

    `options`: choices by name, the default first; a first choice of "" takes any text. `counts`
    are (database images, queries) where they are known. `layout` says what `root` must hold.
    `unchecked` says what of all this rests on descriptions and was never held against the real
    archive.
    """

    title: str
    source: str
    licence: str
    size: str
    layout: str
    load: Callable[[Path, Mapping[str, str]], Benchmark]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: tuple[int, int] | None = None
    unchecked: str | None = None


_UNSEEN = "the layout of the folder; no copy of the images was at hand"
_UNSEEN_LICENCE = "the wording of the licence, and that the addresses still serve the same files"
_LANDMARKS_LICENCE = (
    "photos of Flickr users, under Flickr's terms and the publisher's; for research"
)
_OXFORD_LAYOUT = "gnd_{0}.mat, gnd_{0}.pkl or gt_files/; the .jpg anywhere below"
_QUERY = {"query": ("full", "crop", "tight", "cirtorch"), "size": ("as-is", "1024")}
_REVISITED = {"query": ("tight", "cirtorch", "full", "crop"), "size": ("as-is", "1024")}
_UNANSWERABLE = {"unanswerable": ("counted", "left-out")}
_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/"
_PARIS = "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/"
_REVISIT = "http://cmp.felk.cvut.cz/revisitop/"

CATALOGUE: dict[str, DataSet] = {
    "pitts30k": DataSet(
        "Pittsburgh 30k",
        _ON_REQUEST,
        "Street View imagery; for research",
        "10,000 images and 6,816 queries (test)",
        "000/…, queries_real/…, pitts30k_test.mat or .npz (perhaps in datasets/)",
        partial(load_pittsburgh, "pitts30k"),
        {"split": ("test", "val", "train")},
        (10_000, 6_816),
        unchecked=_UNSEEN,
    ),
    "pitts250k": DataSet(
        "Pittsburgh 250k",
        _ON_REQUEST,
        "Street View imagery; for research",
        "about 84,000 images and 8,280 queries (test)",
        "000/…, queries_real/…, pitts250k_test.mat or .npz (perhaps in datasets/)",
        partial(load_pittsburgh, "pitts250k"),
        {"split": ("test", "val", "train")},
        unchecked=f"{_UNSEEN}; the size, whose list of images was not at hand either",
    ),
    "pitts250k-super": DataSet(
        "Pittsburgh, all queries against all images; not comparable with print",
        _ON_REQUEST,
        "Street View imagery; for research",
        "254,064 images and 24,000 queries",
        "000/…, queries_real/…, pittsburgh.mat",
        partial(load_pittsburgh, "pitts250k-super"),
        counts=(254_064, 24_000),
        unchecked=_UNSEEN,
    ),
    "tokyo247": DataSet(
        "Tokyo 24/7",
        _ON_REQUEST,
        "Street View imagery; for research",
        "75,984 images and 315 queries",
        "images/03814/… or 03814/… as unpacked, query/… or 247query_subset_v2/…, tokyo247.mat "
        "(perhaps in datasets/)",
        load_tokyo247,
        {"query_size": ("640", "480", "as-is")},
        (75_984, 315),
        unchecked=f"{_UNSEEN}, it follows published scripts that unpack the archives",
    ),
    "tokyotm": DataSet(
        "Tokyo Time Machine",
        _ON_REQUEST,
        "Street View imagery; for research",
        "not confirmed",
        "images/…, tokyoTM_val.mat",
        load_tokyotm,
        {"split": ("val", "train")},
        unchecked=f"{_UNSEEN}, nor the list",
    ),
    "sf0": DataSet(
        "San Francisco Landmark, perspective images (SF-0)",
        "Stanford; ground truth in CRN's evaluation package",
        "evaluation only, no redistribution",
        "1,062,468 images and 803 queries",
        "database.txt with the names in the order of sv_cartoid.mat, the images, "
        "cartoid_groundTruth_2014_04.txt, queries/0000.jpg…",
        load_sf0,
        {"ground_truth": ("2014_04", "2011_04"), "query": ("whole", "crops")},
        (1_062_468, 803),
        unchecked=f"{_UNSEEN}; the names of the images in the order of sv_cartoid.mat are to be "
        "written into database.txt by you",
    ),
    "oxford5k": DataSet(
        "Oxford Buildings 5k",
        _OXFORD,
        _LANDMARKS_LICENCE,
        "5,063 images and 55 queries",
        _OXFORD_LAYOUT.format("oxford5k"),
        partial(load_landmarks, "oxford5k"),
        _QUERY,
        (5_063, 55),
        unchecked=_UNSEEN_LICENCE,
    ),
    "paris6k": DataSet(
        "Paris 6k",
        _PARIS,
        _LANDMARKS_LICENCE,
        "6,392 images and 55 queries",
        _OXFORD_LAYOUT.format("paris6k"),
        partial(load_landmarks, "paris6k"),
        _QUERY,
        (6_392, 55),
        unchecked=_UNSEEN_LICENCE,
    ),
    "roxford5k": DataSet(
        "Revisited Oxford",
        _REVISIT,
        _LANDMARKS_LICENCE,
        "4,993 images and 70 queries",
        "gnd_roxford5k.pkl or .mat; Oxford's .jpg anywhere below",
        partial(load_revisited, "roxford5k"),
        _REVISITED,
        (4_993, 70),
        unchecked=_UNSEEN_LICENCE,
    ),
    "rparis6k": DataSet(
        "Revisited Paris",
        _REVISIT,
        _LANDMARKS_LICENCE,
        "6,322 images and 70 queries",
        "gnd_rparis6k.pkl or .mat; Paris's .jpg anywhere below",
        partial(load_revisited, "rparis6k"),
        _REVISITED,
        (6_322, 70),
        unchecked=_UNSEEN_LICENCE,
    ),
    "holidays": DataSet(
        "INRIA Holidays",
        "https://lear.inrialpes.fr/~jegou/data.php",
        "photos of INRIA; for research",
        "1,491 images, 500 of them queries",
        "jpg/100000.jpg…; for turn=rot also holidays-rotate.yaml",
        load_holidays,
        {"turn": ("orig", "rot")},
        (1_491, 500),
        unchecked=_UNSEEN_LICENCE,
    ),
    "folder": DataSet(
        "Your own photos",
        "your disk",
        "yours",
        "any",
        "database/ and queries/ (or images/, each photo against the others); positions from "
        "positions.csv, file names or EXIF",
        load_folder,
        {
            **{name: (_FREE,) for name in ("tolerance", "positions", "heading", "apart", "pairs")},
            **_UNANSWERABLE,
        },
    ),
    "index": DataSet(
        "Your own index",
        "hafloc index build",
        "yours",
        "any",
        "an index, a .gpkg file; the queries are another folder",
        load_index,
        {
            **{name: (_FREE,) for name in ("queries", "tolerance", "positions", "heading")},
            **_UNANSWERABLE,
        },
    ),
}


def data_set(name: str) -> DataSet:
    """The data set of that name. Raises EvaluationError listing those there are."""
    if name not in CATALOGUE:
        raise EvaluationError(
            f"there is no benchmark {name}; choose one of: {', '.join(CATALOGUE)}"
        )
    return CATALOGUE[name]


def load(name: str, root: Path, options: Mapping[str, str] | None = None) -> Benchmark:
    """Read a benchmark's lists below `root` and check that its images are there.

    `options` as the catalogue lists them. Raises EvaluationError naming what is wrong.
    """
    chosen = dict(options or {})
    known = data_set(name).options
    for option, value in chosen.items():
        choices = known.get(option)
        if choices is None:
            raise EvaluationError(
                f"{name} has no option {option}; it has: {', '.join(known) or 'none'}"
            )
        if choices[0] != _FREE and value not in choices:
            raise EvaluationError(f"{name}: {option}={value} is not one of {', '.join(choices)}")
    return data_set(name).load(root, chosen)
