"""A page of queries with their nearest photos, right and wrong, to look at."""

import html
from pathlib import Path
from string import Template

from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.engine import Result
from hafloc.evaluate.report import make_folder
from hafloc.files import write_whole
from hafloc.show.thumbnails import Thumbnails

CANDIDATES = 5
MOST_QUERIES = 200
_SIDE = 200  # pixels
_MOST_BYTES = 40_000_000

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1d2329; background: #fff; }
section { display: flex; gap: .6rem; margin: 0 0 1.4rem; overflow-x: auto; }
figure { margin: 0; width: 200px; flex: none; }
img, .none { width: 200px; height: 150px; object-fit: contain; background: #eef0f2;
  border: 4px solid transparent; box-sizing: border-box; }
.none { padding: .6rem; font-size: 12px; overflow: hidden; }
.right img { border-color: #14804a; } .wrong img { border-color: #b3261e; }
figcaption { font-size: 12px; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .3rem; }
"""
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>$title</title><style>$style</style></head>
<body><h1>$title</h1><p>$summary</p><details><summary>Protocol</summary><dl>$protocol</dl></details>
$rows
</body></html>
""")


def write_gallery(folder: Path, result: Result) -> Path:
    """Write `folder/index.html`, the wrong answers first, at most 200 queries; returns its path.

    Photos are thumbnails of the whole files within the page; one that cannot be shown has a
    placeholder. Makes the folder. Raises OutputError.
    """
    wrong = [q for q in range(result.benchmark.query_count) if not result.right[q, :1].any()]
    right = [q for q in range(result.benchmark.query_count) if q not in set(wrong)]
    shown = (wrong + right)[:MOST_QUERIES]
    thumbnails = Thumbnails(_SIDE, _MOST_BYTES)
    rows = [_row(result, q, thumbnails) for q in shown]
    scores = ", ".join(f"{name} {100 * value:.1f}" for name, value in result.scores.items())
    page = _PAGE.substitute(
        title=html.escape(f"{result.benchmark.name}: {result.name}"),
        style=_STYLE,
        summary=html.escape(
            f"{len(wrong):,} of {result.benchmark.query_count:,} queries have a wrong first "
            f"answer; {len(shown):,} are shown, wrong ones first. {scores} (%)."
        ),
        protocol="".join(
            f"<dt>{html.escape(what)}</dt><dd>{html.escape(how)}</dd>"
            for what, how in result.protocol.items()
        ),
        rows="\n".join(rows),
    )
    make_folder(folder)
    path = folder / "index.html"
    write_whole(path, page.encode())
    return path


def _row(result: Result, q: int, thumbnails: Thumbnails) -> str:
    benchmark = result.benchmark
    parts = [_figure(benchmark.queries[q * benchmark.crops], "query", "query", thumbnails)]
    for rank, row in enumerate(result.ranking[q][:CANDIDATES]):
        if row >= 0:
            verdict = "right" if result.right[q, rank] else "wrong"
            picture = benchmark.database[row]
            parts.append(_figure(picture, verdict, f"{rank + 1}, {verdict}", thumbnails))
    return f"<section>{''.join(parts)}</section>"


def _figure(picture: Picture, kind: str, caption: str, thumbnails: Thumbnails) -> str:
    found = thumbnails.of(picture.path)
    if isinstance(found, str):
        content = f'<div class="none">{html.escape(found)}</div>'
    else:
        content = f'<img src="{thumbnails.uris[found]}" alt="" loading="lazy">'
    text = f"{caption}<br>{html.escape(picture.path.name)}"
    return f'<figure class="{kind}">{content}<figcaption>{text}</figcaption></figure>'
