"""Pages of queries with their nearest photos, right and wrong, to look at."""

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.engine import Result
from hafloc.evaluate.report import labels, make_folder
from hafloc.files import write_whole
from hafloc.show import Thumbnails

CANDIDATES = 5
MOST_QUERIES = 200
_SIDE = 200  # pixels
_MOST_BYTES = 40_000_000

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1d2329; background: #fff; }
label { cursor: pointer; }
#only:checked ~ main .found { display: none; }
section { margin: 0 0 1.2rem; border-top: 1px solid #d5d9de; padding-top: .5rem; }
h2 { font-size: 14px; margin: 0 0 .4rem; font-weight: 600; overflow-wrap: anywhere; }
.photos { display: flex; gap: .6rem; overflow-x: auto; }
figure { margin: 0; width: 176px; flex: none; }
img, .none { width: 176px; height: 132px; object-fit: contain; background: #eef0f2;
  border: 4px solid transparent; box-sizing: border-box; }
.none { padding: .6rem; font-size: 12px; overflow: hidden; }
.right img { border: 4px solid #14804a; } .wrong img { border: 4px dashed #b3261e; }
.missed { margin-left: .8rem; padding-left: .8rem; border-left: 1px solid #d5d9de; }
.missed img { border: 4px double #14804a; }
figcaption { font-size: 12px; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .3rem; }
"""
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>$title</title><style>$style</style></head>
<body><h1>$title</h1><p>$summary</p>
<p>Left the query, then the nearest photos. ✓ solid frame: right; ✗ dashed frame: wrong. Below each:
$caption. Where the first answer is wrong, the photo that should have been found stands last.</p>
<details><summary>Protocol</summary><dl>$protocol</dl></details>
<input type="checkbox" id="only"> <label for="only">only failures</label>
<main>
$rows
</main>
</body></html>
""")


def write_galleries(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write `folder/index.html`, of several networks each into a folder of its name; the pages.

    Wrong answers come first, at most 200 queries. A thumbnail shows what the network saw of a
    photo, such as the crop of a query; one that cannot be shown has a placeholder. Makes the
    folders. Raises OutputError.
    """
    pages = []
    for label, result in zip(labels(results), results, strict=True):
        home = folder / label if len(results) > 1 else folder
        make_folder(home)
        write_whole(home / "index.html", _page(result).encode())
        pages.append(home / "index.html")
    return pages


def _page(result: Result) -> str:
    count = result.benchmark.query_count
    wrong = [q for q in range(count) if result.first_right[q] != 0]
    right = [q for q in range(count) if result.first_right[q] == 0]
    shown = (wrong + right)[:MOST_QUERIES]
    thumbnails = Thumbnails(_SIDE, _MOST_BYTES)
    rows = [_row(result, q, thumbnails) for q in shown]
    scores = ", ".join(f"{name} {100 * value:.1f}" for name, value in result.scores.items())
    metres = "metres from the query, " if result.benchmark.metres else ""
    return _PAGE.substitute(
        title=html.escape(f"{result.benchmark.name}: {result.name}"),
        style=_STYLE,
        summary=html.escape(
            f"{len(wrong):,} of {count:,} queries have a wrong first answer; {len(shown):,} are "
            f"shown, wrong ones first. {scores} (%)."
        ),
        caption=f"{metres}distance of the vectors (0 the same, 1.41 nothing in common)",
        protocol="".join(
            f"<dt>{html.escape(what)}</dt><dd>{html.escape(how)}</dd>"
            for what, how in result.protocol.items()
        ),
        rows="\n".join(rows),
    )


def _row(result: Result, q: int, thumbnails: Thumbnails) -> str:
    benchmark = result.benchmark
    crops = benchmark.queries[q * benchmark.crops : (q + 1) * benchmark.crops]
    parts = [
        _figure(crop, "query", "query" + (f", crop {n} of {len(crops)}" if n else ""), thumbnails)
        for n, crop in enumerate(crops, 1 if len(crops) > 1 else 0)
    ]
    for rank, row in enumerate(result.ranking[q][:CANDIDATES]):
        if row >= 0:
            mark = "✓ right" if result.right[q, rank] else "✗ wrong"
            facts = [f"{rank + 1} {mark}", *_metres(result, q, row)]
            facts.append(f"{result.distances[q, rank]:.3f}")
            kind = "right" if result.right[q, rank] else "wrong"
            parts.append(_figure(benchmark.database[row], kind, " · ".join(facts), thumbnails))
    missed = _missed(result, q)
    if missed is not None:
        facts = ["should be found", *_metres(result, q, missed)]
        parts.append(_figure(benchmark.database[missed], "missed", " · ".join(facts), thumbnails))
    kind = "found" if result.first_right[q] == 0 else "failed"
    return (
        f'<section class="{kind}"><h2>{html.escape(crops[0].path.name)}: '
        f'{_verdict(result, q)}</h2><div class="photos">{"".join(parts)}</div></section>'
    )


def _verdict(result: Result, q: int) -> str:
    rank = int(result.first_right[q])
    if rank >= 0:
        return "right at once" if rank == 0 else f"the first right photo has rank {rank + 1:,}"
    if len(_positives(result, q)):
        return "no right photo among those that were looked at"
    return "the database holds no right photo"


def _missed(result: Result, q: int) -> int | None:
    """The nearest right photo, where the first answer is wrong and none of those shown is right."""
    positives = _positives(result, q)
    if not len(positives) or 0 <= result.first_right[q] < CANDIDATES:
        return None
    metres = result.benchmark.metres
    rows = [int(row) for row in positives]
    return rows[0] if metres is None else min(rows, key=lambda row: metres(q, row))


def _positives(result: Result, q: int) -> Sequence[int]:
    truth = next(iter(result.benchmark.truths.values()))
    return [int(row) for row in truth.positives[q]]


def _metres(result: Result, q: int, row: int) -> list[str]:
    metres = result.benchmark.metres
    return [] if metres is None else [f"{metres(q, row):,.0f} m"]


def _figure(picture: Picture, kind: str, caption: str, thumbnails: Thumbnails) -> str:
    whole = picture.upright and not picture.turn and picture.crop is None
    found = (
        thumbnails.of(picture.path)
        if whole
        else thumbnails.of_pixels(f"{picture.path} {picture.recipe}", picture.pixels)
    )
    if isinstance(found, str):
        content = f'<div class="none">{html.escape(found)}</div>'
    else:
        content = f'<img src="{thumbnails.uris[found]}" alt="{kind}" loading="lazy">'
    text = f"{html.escape(caption)}<br>{html.escape(picture.path.name)}"
    return f'<figure class="{kind}">{content}<figcaption>{text}</figcaption></figure>'
