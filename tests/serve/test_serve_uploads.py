"""Forms read piece by piece: whole however they are cut, bounded, and never on the disk."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import BOUNDARY, build, form, jpeg, photo, served

from hafloc.serve import Options, Problem
from hafloc.serve.uploads import Form, _of_form

SMALL = Options(max_photo_bytes=1_000, max_photos=3)


def parse(body: bytes, cuts: list[int], options: Options = SMALL) -> Form:
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in pairwise(edges):
            yield body[start:end]

    return asyncio.run(_of_form(BOUNDARY.encode(), pieces(), options))


@given(
    st.lists(st.tuples(st.text("ab._ é", max_size=8), st.binary(max_size=300)), max_size=3),
    st.lists(st.integers(0, 10_000), max_size=12),
)
def test_a_form_is_the_same_however_it_is_cut(
    photos: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    photos = [("first", b"\r\n--"), *photos[:2]]
    body = form([photo(data, name) for name, data in photos], {"lat": "52"})
    found = parse(body, cuts)
    assert [upload.data for upload in found.photos] == [data for _, data in photos]
    names = [name or f"photo {number}" for number, (name, _) in enumerate(photos, 1)]
    assert [upload.name for upload in found.photos] == names
    assert found.fields == {"lat": "52"}


def status_of(body: bytes, cuts: list[int]) -> int:
    try:
        parse(body, cuts)
    except Problem as problem:
        return problem.kind.status
    return 200


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_no_bytes_break_it(body: bytes, cuts: list[int]) -> None:
    for text in (body, b"--" + BOUNDARY.encode() + b"\r\n" + body):
        assert status_of(text, cuts) in (200, 400, 413)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (form([photo(b"x" * 1_001)]), 413, "more than 1,000 bytes"),
        (form([photo(b"x")] * 4), 413, "3 photos"),
        (form([]), 400, "no photo"),
        (form([("image", ("x", b"x", "image/jpeg"))]), 400, "part 'image' is .* called photo"),
        (form([("foo", ("x", b"x" * 2_000, "image/jpeg"))]), 400, "part 'foo' is .* called photo"),
        (form([], {"lat": "5" * 2_000}), 413, "a field of the form"),
        (form([photo(b"x")])[:-20], 400, "ends early"),
        (form([photo(b"x")]).replace(b"form-data", b"attachment"), 400, "has no name"),
        (form([photo(b"x", "n" * 6_000)]), 400, "header size"),
        (form([photo(b"x")], {f"f{i}": "1" for i in range(21)}), 400, "fields"),
    ],
)
def test_what_a_form_may_not_hold_is_told(body: bytes, status: int, says: str) -> None:
    with pytest.raises(Problem, match=says) as told:
        parse(body, [])
    assert told.value.kind.status == status


def test_a_name_keeps_no_folder() -> None:
    found = parse(form([photo(b"x", "C:\\photos\\a.jpg"), photo(b"y", "/etc/b.jpg")]), [])
    assert [upload.name for upload in found.photos] == ["a.jpg", "b.jpg"]


def test_uploads_are_never_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    for name in ("SpooledTemporaryFile", "NamedTemporaryFile", "TemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    with served(build(tmp_path / "city.gpkg")) as city:
        big = jpeg(size=(3_000, 2_000)) + b"\x00" * 2_000_000
        assert city.client.post("/v1/locate", [photo(big)]).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("", 415),
        ("application/json", 415),
        ("image", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "b" * 71, 400),
        ("multipart/mixed; boundary=x", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_of_other_types_are_refused(tmp_path: Path, kind: str, status: int) -> None:
    with served(build(tmp_path / "city.gpkg")) as city:
        response = city.client.post("/v1/locate", content=jpeg(), content_type=kind)
        assert response.status_code == status
        packed = city.client.post(
            "/v1/locate", content=jpeg(), content_type="image/jpeg", content_encoding="gzip"
        )
        assert packed.status_code == 415


def test_all_uploads_together_have_a_bound(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg"), max_upload_bytes=5_000) as city:
        data = jpeg() + b"\x00" * 10_000
        response = city.client.post("/v1/locate", [photo(data)])
        assert (response.status_code, response.json()["type"]) == (503, "/problems/busy")
        assert city.service.room.left == 5_000
        assert city.client.post("/v1/locate", [photo(jpeg())]).status_code == 200
