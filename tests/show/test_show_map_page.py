"""The map page: all in one file, nothing from outside, safe with any file name."""

import base64
import dataclasses
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shown_answers import Held, answer, database, noise
from small_index import MODEL, sample

from hafloc.errors import OutputError
from hafloc.geo import Position
from hafloc.index import Record, create_index, open_index, paths_of
from hafloc.index.thumbnails import make_thumbnail
from hafloc.locate import Answer
from hafloc.show import Thumbnails, candidate_sheet, map_page, write_map

HOSTILE = [
    "<script>alert(1)</script>.jpg",
    "</script><img src=x onerror=alert(1)>.jpg",
    "<!--<script>.jpg",
    "\"'&amp;`$style ${content}.jpg",
    "\u2028\u202e\u0000.jpg",
]


class Page(HTMLParser):
    """What a browser would see: start tags with attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "td": []}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data

    @property
    def content(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.inside["script"][0])
        return value

    @property
    def policy(self) -> str:
        (value,) = [a["content"] for _, a in self.tags if "http-equiv" in a]
        return value or ""


def written(tmp_path: Path, answers: list[Answer], records: list[Record]) -> Page:
    out = tmp_path / "out.html"
    write_map(out, answers, Held(records, tmp_path))
    return Page(out.read_text(encoding="utf-8"))


def test_the_page_holds_every_photo_position_and_every_candidate(tmp_path: Path) -> None:
    records = database(tmp_path)
    content = written(tmp_path, [answer(tmp_path, records)], records).content
    assert content["photos"] == [[37.79 + i / 1000, -122.41, f"{i}.jpg"] for i in range(4)]
    (query,) = content["queries"]
    assert (query["name"], query["lat"], query["lon"]) == ("query.jpg", 37.79, -122.41)
    candidates = [(c["rank"], c["name"], c["heading"]) for c in query["candidates"]]
    assert candidates == [(i + 1, f"{i}.jpg", 45.0 * i) for i in range(4)]
    assert [c["similarity"] for c in query["candidates"]] == [0.9, 0.8, 0.7, 0.6]


def test_thumbnails_are_jpegs_of_bounded_size_that_show_the_photo(tmp_path: Path) -> None:
    records = database(tmp_path, 1)
    Image.new("RGB", (3000, 1500), (200, 30, 40)).save(tmp_path / "0.jpg")
    content = written(tmp_path, [answer(tmp_path, records)], records).content
    uri = content["thumbnails"][content["queries"][0]["candidates"][0]["picture"]]
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (480, 240)
    assert picture.getpixel((240, 120)) == pytest.approx((200, 30, 40), abs=4)


def test_equal_photos_are_held_once(tmp_path: Path) -> None:
    records = database(tmp_path, 3)
    noise(tmp_path / "1.jpg", seed=0)
    answers = [answer(tmp_path, records, "a.jpg", 50), answer(tmp_path, records, "b.jpg", 51)]
    content = written(tmp_path, answers, records).content
    pictures = [c["picture"] for q in content["queries"] for c in q["candidates"]]
    assert pictures[0] == pictures[1] == pictures[3] != pictures[2]
    assert len(content["thumbnails"]) == 4


def test_the_page_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    records = database(tmp_path)
    page = written(tmp_path, [answer(tmp_path, records)], records)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img", "audio", "video"}
        assert not {"src", "srcset", "href", "background", "data", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    (style,) = page.inside["style"]
    assert "url(" not in style
    assert "@import" not in style
    script = page.inside["script"][1]
    addresses = set(re.findall(r"https?://[^/\"`]+", script))
    assert addresses == {"http://www.w3.org", "https://www.openstreetmap.org"}
    for forbidden in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "innerHTML", "eval("):
        assert forbidden not in script


def test_the_policy_allows_only_this_style_and_script(tmp_path: Path) -> None:
    records = database(tmp_path, 1)
    page = written(tmp_path, [answer(tmp_path, records)], records)

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": digest(page.inside["style"][0]),
        "script-src": digest(page.inside["script"][1]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_name_stays_text(tmp_path: Path, name: str) -> None:
    records = [dataclasses.replace(r, path=name) for r in database(tmp_path, 1)]
    hostile = dataclasses.replace(answer(tmp_path, records), query=name, duplicate_of=records[0])
    plain = written(tmp_path, [answer(tmp_path, records[:1])], database(tmp_path, 1))
    page = written(tmp_path, [hostile], records)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert page.content["queries"][0]["path"] == name
    assert page.content["queries"][0]["duplicate"] == name
    assert page.content["photos"][0][2] == name
    # A page cannot hold NUL: parsers replace it, which is harmless.
    assert page.inside["td"][0].replace("\u0000", "\ufffd") == name.replace("\u0000", "\ufffd")


def test_missing_and_damaged_photos_have_a_reason_instead_of_a_picture(tmp_path: Path) -> None:
    records = database(tmp_path, 3)
    (tmp_path / "1.jpg").unlink()
    (tmp_path / "2.jpg").write_bytes(b"no photo")
    from_memory = dataclasses.replace(answer(tmp_path, records), file=None)
    (query,) = written(tmp_path, [from_memory], records).content["queries"]
    assert query["picture"] == "the query came without a file"
    assert [c["picture"] for c in query["candidates"]] == [
        0,
        "the photo's file is gone",
        "the photo cannot be read",
    ]


def test_a_page_without_answers_shows_the_database(tmp_path: Path) -> None:
    content = written(tmp_path, [], database(tmp_path, 2)).content
    assert len(content["photos"]) == 2
    assert content["queries"] == content["thumbnails"] == []


def test_photos_beyond_the_bound_are_left_out(tmp_path: Path) -> None:
    first, second = noise(tmp_path / "a.jpg", 1), noise(tmp_path / "b.jpg", 2)
    size = len(base64.b64decode(_only(first).split(",")[1]))
    thumbnails = Thumbnails(200, size)
    assert thumbnails.of(first) == 0
    assert thumbnails.of(second) == "left out to keep the page small"
    assert thumbnails.of(first) == 0


def _only(file: Path) -> str:
    thumbnails = Thumbnails(200, 10**9)
    thumbnails.of(file)
    return thumbnails.uris[0]


def test_the_bound_cuts_off_the_last_ranks_of_all_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = database(tmp_path, 4)
    answers = [
        answer(tmp_path, records[:2], "a.jpg", 50),
        answer(tmp_path, records[2:], "b.jpg", 51),
    ]
    whole = written(tmp_path, answers, records).content
    sizes = [len(base64.b64decode(uri.split(",")[1])) for uri in whole["thumbnails"]]
    monkeypatch.setattr(map_page, "MAX_PHOTO_BYTES", sum(sizes[:4]))
    content = written(tmp_path, answers, records).content
    kept = [[isinstance(c["picture"], int) for c in q["candidates"]] for q in content["queries"]]
    assert kept == [[True, False], [True, False]]
    assert all(isinstance(query["picture"], int) for query in content["queries"])


def test_many_photos_get_smaller_thumbnails(tmp_path: Path) -> None:
    Image.new("RGB", (800, 800)).save(tmp_path / "big.jpg")
    records = [dataclasses.replace(database(tmp_path, 1)[0], path="big.jpg")]
    one = dataclasses.replace(answer(tmp_path, records), file=tmp_path / "big.jpg")

    def side(n: int) -> int:
        uri = written(tmp_path, [one] * n, records).content["thumbnails"][0]
        return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).width

    assert [side(n) for n in (1, 150, 450)] == [480, 320, 220]


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out.html"
    out.write_text("the old page")
    monkeypatch.setattr("os.fsync", full)
    message = r"out\.html: No space left on device; free space or choose another place"
    with pytest.raises(OutputError, match=message):
        write_map(out, [], Held([], tmp_path))
    assert out.read_text() == "the old page"
    assert [file.name for file in tmp_path.iterdir()] == ["out.html"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first"):
        write_map(tmp_path / "nowhere" / "map.html", [], Held([], tmp_path))


def test_a_page_of_a_large_database_shows_a_part_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given 200 photos in a row, one a kilometre, and an answer at the far end of it
    places = [Position(10 + i / 111, 20) for i in range(200)]
    records = [Record(f"{i}.jpg", f"{i}", p, 9, 9, "csv", id=i + 1) for i, p in enumerate(places)]
    index = Held(records, tmp_path)
    monkeypatch.setattr(map_page, "MOST_DOTS", 40)
    said = Answer.from_hits("query.jpg", [records[-1]], [0.9])
    # When its page is written
    write_map(tmp_path / "out.html", [said], index)
    content = Page((tmp_path / "out.html").read_text(encoding="utf-8")).content
    # Then it has the nearest 20, others from everywhere, and the number of all
    shown = [int(path.split(".")[0]) for _, _, path in content["photos"]]
    assert len(shown) <= 40
    assert set(range(180, 200)) <= set(shown)
    assert min(shown) < 50
    assert content["total"] == 200
    assert not index.streamed


def test_a_heading_from_magnetic_north_is_told(tmp_path: Path) -> None:
    (record,) = database(tmp_path, 1)
    records = [dataclasses.replace(record, heading=90.0, magnetic=True)]
    page = written(tmp_path, [answer(tmp_path, records)], records)
    assert page.content["queries"][0]["candidates"][0]["magnetic"] is True
    assert "from magnetic north" in page.inside["script"][1]


def test_a_photo_of_others_has_its_credit_in_the_page_with_and_without_scripts(
    tmp_path: Path,
) -> None:
    own, theirs = database(tmp_path, 2)
    hostile = "</script><b>Ada"
    theirs = dataclasses.replace(
        theirs, producer=hostile, licence="CC-BY-SA-4.0", source_url="https://example.org/1"
    )
    records = [theirs, own]
    write_map(tmp_path / "map.html", [answer(tmp_path, records)], Held(records, tmp_path))

    page = Page((tmp_path / "map.html").read_text(encoding="utf-8"))
    credit = f"{hostile}, CC-BY-SA-4.0, https://example.org/1"
    candidates = page.content["queries"][0]["candidates"]
    assert [candidate["credit"] for candidate in candidates] == [credit, ""]
    assert f"1.jpg ({credit})" in page.inside["td"]


def test_who_has_an_index_without_the_photos_sees_its_small_pictures(tmp_path: Path) -> None:
    records, vectors = sample(2)
    records = [replace(record, path=f"{i}.jpg") for i, record in enumerate(records)]
    pictures = [make_thumbnail(np.full((240, 320, 3), 80 * i, np.uint8)) for i in (1, 2)]
    with create_index(tmp_path / "part.gpkg", MODEL) as made:
        made.add_pictured(records, vectors, None, None, [pictures[0], None])  # type: ignore[attr-defined]
    with open_index(tmp_path / "part.gpkg") as index:
        said = answer(tmp_path, list(index.iterate()))
        write_map(tmp_path / "map.html", [said], index)
        sheet = candidate_sheet(said, paths_of(index.location), index=index)

    page = Page((tmp_path / "map.html").read_text(encoding="utf-8"))
    shown = [one["picture"] for one in page.content["queries"][0]["candidates"]]
    assert shown[1] == "the photo's file is gone"
    uri = page.content["thumbnails"][shown[0]]
    seen = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert seen.size == (320, 240)
    assert np.ptp(np.asarray(seen)) == 0
    assert abs(int(np.asarray(seen)[0, 0, 0]) - 80) < 4
    # The query's panel, then that of the first candidate.
    panel = np.asarray(sheet)[:, 360:680].astype(int)
    assert (abs(panel - 80) < 4).all(axis=2).sum() > 50_000
