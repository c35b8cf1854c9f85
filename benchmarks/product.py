"""The product in one table: each set before parts of photos were compared, and now.

    python benchmarks/product.py --measure data/sf_west sets/sf_west.gpkg
    python benchmarks/product.py

The first writes `results/product_costs.json`: processor seconds a query, paired on the same photos,
and bytes a photo. The second makes `results/product.md` of that and of what `answers.py`,
`crops.py` and `positions.py` recorded; it measures nothing.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hafloc.describe import Describer
from hafloc.files import write_whole
from hafloc.index import open_index
from hafloc.locate import RERANK
from hafloc.locate.candidates import CandidateFinder
from hafloc.locate.scales import at_scales, search_scales
from hafloc.photos import read

RESULTS = Path(__file__).parent / "results"
ASKED = 8
REGIONS = 7  # a photo, a byte an entry
KINDS = {
    "phone": "`sf_west`",
    "street view": "`cambridge/val`",
    "night": "`campus_night/val`, night to day",
    "day": "`campus_night/val`, day to day",
}
CROPS = ("half", "half off", "third off")

HEAD = """# The product in one table

    python benchmarks/product.py

Made of `answers.json` (now), `answers_whole.json` (before: the same with whole photos' vectors),
`crops.json`, `positions.json` and `product_costs.json`, where each number stands. Before and now
have the same rule's form, fitted anew on the candidates that each finds. In brackets are 95 %
intervals, drawn by neighbourhoods of some 20 queries (crops: by place).
"""


def measure(photos: Path, file: Path) -> dict[str, Any]:
    """Processor seconds a query, medians of ASKED photos, and bytes a photo of the index."""
    describer = Describer.open("haf")
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        found = work()
        seconds.setdefault(name, []).append(time.process_time() - start)
        return found

    with open_index(file) as index:
        finder = CandidateFinder(index, describer)
        records = list(index.iterate())
        for record in records[:: len(records) // ASKED][:ASKED]:
            image = read(photos / "images" / Path(record.path).name, longer_side=640).image
            for way, regions in (("before", False), ("now", True)):
                seen = timed(
                    f"describing, {way}",
                    lambda image=image, regions=regions: at_scales(
                        describer, image, local=True, regions=regions
                    ),
                )
                found = timed(
                    f"searching, {way}", lambda seen=seen: search_scales(index, seen, RERANK)
                )
                ids = [item.id for item in found]
                by_id = dict(zip(ids, index.get(ids), strict=True))
                timed(
                    f"verifying, {way}",
                    lambda by_id=by_id, found=found, seen=seen: finder.weigh(by_id, found, seen),
                )
        dimension = index.model.dimension
    size = file.stat().st_size / len(records)
    return {
        "processor seconds a query": {
            name: round(float(np.median(values)), 3) for name, values in seconds.items()
        },
        "bytes a photo": {"before": round(size - REGIONS * dimension), "now": round(size)},
    }


def table() -> Iterator[str]:
    costs = _read("product_costs")
    spent = {
        way: sum(v for k, v in costs["processor seconds a query"].items() if k.endswith(way))
        for way in ("before", "now")
    }
    size = costs["bytes a photo"]
    yield (
        "| set | | queries, known | recall@1 alone | verified | found of right firsts | precision "
        "| removed places found | radius held | median radius | calibration error |"
    )
    yield "|" + "---|" * 11
    ways = {"before": _read("answers_whole"), "now": _read("answers")}
    for kind, name in KINDS.items():
        for way, results in ways.items():
            yield _row(name, way, results["held_out_by_neighbourhoods"][kind]["verified"])
    yield ""
    yield (
        f"Processor seconds a query: before {spent['before']:.2f}, now {spent['now']:.2f} "
        "(two busy cores: only their ratio means something). Bytes a photo of the index: "
        f"before {size['before']:,}, now {size['now']:,}."
    )
    yield ""
    yield "## Crops\n"
    yield (
        "Whole photos' rule and calibration. Every place is in the database here, and confidence\n"
        "is made for databases that lack every second one, so its error looks larger than in the\n"
        "table above: with removed places beside them see `answers.md`.\n"
    )
    yield (
        "| set | crop | | recall@1 alone | verified | found | found and wrong | calibration error |"
    )
    yield "|" + "---|" * 8
    for name, rows in _read("crops").items():
        for crop in ("whole", *CROPS):
            for way in ("before", "now"):
                yield _crop_row(name, crop, way, rows[f"{crop}, {way}"])
    yield ""
    yield "## Where in the place\n"
    yield "Metres, median and 90th percentile of queries in the right place; see `positions.md`.\n"
    yield "| set | first hit | consensus | where views meet | acts on |"
    yield "|" + "---|" * 5
    for name, figures in _read("positions").items():
        errors = [
            f"{figures['all'][way][0]:.1f} / {figures['all'][way][1]:.1f}"
            for way in ("first", "consensus", "meeting")
        ]
        yield f"| {name} | {' | '.join(errors)} | {figures['acts_percent']} % |"


def _row(name: str, way: str, figures: Mapping[str, Any]) -> str:
    found, radius = figures["found"], figures["radius"]["plain"]
    low, high = radius["interval"]
    cells = (
        f"{figures['queries']}, {figures['known']}",
        _between(figures["recall"]["alone"]["@1"]),
        _between(figures["recall"]["verified"]["@1"]),
        _between(found["of_first"]),
        _between(found["precision"]),
        _between(found["removed"]),
        _between([radius["coverage"], low, high]),
        f"{radius['radius']:.0f} m",
        f"{figures['confidence']['ece_answer_right']:.3f}",
    )
    return f"| {name} | {way} | {' | '.join(cells)} |"


def _crop_row(name: str, crop: str, way: str, figures: Mapping[str, Any]) -> str:
    cells = (
        _between([figures["recall@1"], *figures["recall@1 between"]]),
        _between([figures["verified"], *figures["verified between"]]),
        f"{figures['found']:.3f}",
        f"{figures['sure and wrong']:.3f}",
        f"{figures['calibration error']:.3f}",
    )
    return f"| `{name}` | {crop} | {way} | {' | '.join(cells)} |"


def _between(values: list[float]) -> str:
    share, low, high = values
    return f"{share:.3f} ({low:.3f} to {high:.3f})"


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=Path, nargs=2, metavar=("PHOTOS", "INDEX"))
    given = parser.parse_args()
    if given.measure is not None:
        text = json.dumps(measure(*given.measure), indent=1)
        write_whole(RESULTS / "product_costs.json", f"{text}\n".encode())
        return
    text = "\n".join([HEAD, *table()])
    write_whole(RESULTS / "product.md", f"{text}\n".encode())


if __name__ == "__main__":
    main()
