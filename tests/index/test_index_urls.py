"""Photos behind URLs are indexed, kept up to date and shown as those of a folder are."""

import io
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import ExifTags
from PIL import Image as Pillow

pytest.importorskip("fsspec", reason="needs hafloc[urls]")
pytest.importorskip("aiohttp", reason="needs hafloc[urls]")

import fsspec
from photo_server import PhotoServer, photo_server

from hafloc.describe import Describer
from hafloc.errors import MissingExtraError, PhotoError
from hafloc.index import (
    BuildReport,
    build_index,
    copy_index,
    find_stale,
    ids_below,
    open_index,
    paths_of,
)
from hafloc.locate import Localizer
from hafloc.photos import PhotoUrl, RemoteError, find_photos, photo_file, read, remote
from hafloc.show import candidate_sheet
from hafloc.verify import open_matcher

_numbers = count()


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    with photo_server() as state:
        yield state


@pytest.fixture
def bucket() -> Iterator[str]:
    """A prefix of fsspec's memory, as a bucket."""
    name = f"bucket{next(_numbers)}"
    yield f"memory://{name}"
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test can wait for, and no server that an earlier test has broken."""
    monkeypatch.setattr(remote, "_WAITS", (0.01, 0.01))
    monkeypatch.setattr(remote, "_servers", remote._Servers())
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def describer(tiny_checkpoint: Path) -> Describer:
    return Describer.open(tiny_checkpoint)


def jpeg(seed: int, lat: float | None = None) -> bytes:
    """A photo of noise; with a latitude, 16 degrees east."""
    exif = Pillow.Exif()
    if lat is not None:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {1: "N", 2: (lat, 0.0, 0.0), 3: "E", 4: (16.0, 0.0, 0.0)}
        )
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    memory = io.BytesIO()
    Pillow.fromarray(pixels).resize((80, 64)).save(memory, "JPEG", exif=exif)
    return memory.getvalue()


def put(url: str, data: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(data)


def paths(index: Path) -> list[str]:
    with open_index(index) as opened:
        return sorted(record.path for record in opened.iterate())


def table(rows: list[str]) -> bytes:
    return "\n".join(["image,lat,lon", *rows]).encode()


def build(index: Path, url: str, describer: Describer, **options: object) -> BuildReport:
    return build_index(index, describer, photo_file(url), **options)  # type: ignore[arg-type]


def test_a_bucket_is_listed_and_its_urls_are_kept(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    put(f"{bucket}/a.jpg", jpeg(1, 48))
    put(f"{bucket}/day 2/b#1.JPG", jpeg(2, 49))
    put(f"{bucket}/.hidden/c.jpg", jpeg(3, 50))
    put(f"{bucket}/clip.mp4", b"x")
    report = build(tmp_path / "i.gpkg", bucket + "/", describer)
    assert (report.added, report.left_out) == (2, "left out: 1 video")
    assert paths(tmp_path / "i.gpkg") == [f"{bucket}/a.jpg", f"{bucket}/day 2/b#1.JPG"]


def test_a_second_build_describes_what_is_new_or_replaced_alone(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    for number in range(3):
        put(f"{bucket}/{number}.jpg", jpeg(number, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    put(f"{bucket}/1.jpg", jpeg(11, 48))
    put(f"{bucket}/3.jpg", jpeg(3, 48))
    fsspec.filesystem("memory").rm(f"{bucket}/2.jpg")
    report = build(tmp_path / "i.gpkg", bucket, describer)
    assert (report.added, report.replaced, report.unchanged) == (2, 1, 1)
    assert report.gone == (f"{bucket}/2.jpg",)
    assert build(tmp_path / "i.gpkg", bucket, describer, prune=True).pruned == 1


def test_keys_may_hold_what_addresses_cannot(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    names = ["a b.jpg", "a%20b.jpg", "a?b.jpg", "x/a[1].jpg", "ä.jpg"]
    for number, name in enumerate(names):
        put(f"{bucket}/{name}", jpeg(number, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    assert paths(tmp_path / "i.gpkg") == sorted(f"{bucket}/{name}" for name in names)
    assert build(tmp_path / "i.gpkg", bucket, describer).unchanged == len(names)
    with open_index(tmp_path / "i.gpkg") as index:
        stale = find_stale(index, paths_of(index.location))
    assert (stale.changed, stale.missing, stale.unreadable) == ((), (), ())


def test_a_web_address_quotes_what_a_table_names(
    tmp_path: Path, server: PhotoServer, describer: Describer
) -> None:
    names = ["rue d'été #3.jpg", "50%.jpg", "a?b.jpg", "a%20b.jpg"]
    server.files = {f"p/{name}": jpeg(n) for n, name in enumerate(names)}
    csv = tmp_path / "t.csv"
    csv.write_bytes(table([f"{name},48,16" for name in names]))
    assert build(tmp_path / "i.gpkg", f"{server.url}/p", describer, csv=csv).added == len(names)
    assert build(tmp_path / "i.gpkg", f"{server.url}/p", describer, csv=csv).unchanged == len(names)


def test_a_table_beside_the_photos_places_them(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    put(f"{bucket}/a.jpg", jpeg(1))
    put(f"{bucket}/positions.csv", table(["a.jpg,48.5,16.5"]))
    build(tmp_path / "i.gpkg", bucket, describer)
    with open_index(tmp_path / "i.gpkg") as index:
        (record,) = index.iterate()
    assert (record.position.lat, record.position.lon) == (48.5, 16.5)


@pytest.mark.parametrize("named", ["a b.jpg", "{url}/p/a b.jpg", "{url}/p/a%20b.jpg"])
def test_a_table_names_the_photos_of_a_web_server(
    tmp_path: Path, server: PhotoServer, describer: Describer, named: str
) -> None:
    server.files = {"p/a b.jpg": jpeg(1)}
    csv = tmp_path / "t.csv"
    csv.write_bytes(table([named.format(url=server.url) + ",48.5,16.5"]))
    report = build(tmp_path / "i.gpkg", f"{server.url}/p/", describer, csv=csv)
    assert (report.added, report.unmatched_rows) == (1, ())
    assert paths(tmp_path / "i.gpkg") == [f"{server.url}/p/a%20b.jpg"]


def test_a_web_server_without_a_table_is_refused_in_one_line(server: PhotoServer) -> None:
    with pytest.raises(PhotoError, match="web servers have no listing; name the photos in a table"):
        find_photos(PhotoUrl(f"{server.url}/p"))


def test_the_table_may_lie_on_the_web_server(
    tmp_path: Path, server: PhotoServer, describer: Describer
) -> None:
    server.files = {"p/a.jpg": jpeg(1), "p/positions.csv": table(["a.jpg,48.5,16.5"])}
    assert build(tmp_path / "i.gpkg", f"{server.url}/p", describer).added == 1


def test_what_cannot_be_reached_is_told_and_the_rest_goes_on(
    tmp_path: Path, server: PhotoServer, describer: Describer
) -> None:
    names = ["a.jpg", "missing.jpg", "forbidden.jpg", "ill.jpg", "b.jpg"]
    server.files = {f"p/{name}": jpeg(n) for n, name in enumerate(names) if name != "missing.jpg"}
    server.statuses = {"p/forbidden.jpg": [403] * 9, "p/ill.jpg": [503] * 9}
    server.files["p/positions.csv"] = table([f"{name},48,16" for name in names])
    report = build(tmp_path / "i.gpkg", f"{server.url}/p", describer)
    assert report.added == 2
    assert [item.reason for item in report.skipped] == [
        f"cannot read {server.url}/p/forbidden.jpg: the server does not allow it; check the "
        "address and the credentials",
        f"cannot read {server.url}/p/ill.jpg: the server answers 503; run it again later",
        f"cannot read {server.url}/p/missing.jpg: there is no such file; check the path",
    ]


def test_a_server_that_recovers_is_asked_again(server: PhotoServer) -> None:
    server.files, server.statuses = {"a.jpg": jpeg(1)}, {"a.jpg": [503, 429]}
    assert read(PhotoUrl(f"{server.url}/a.jpg")).width == 80
    assert server.asked["GET", "a.jpg"] == 3


def test_photos_of_a_server_come_by_few_connections(server: PhotoServer) -> None:
    server.files = {f"{number}.jpg": jpeg(number) for number in range(20)}
    for number in range(20):
        read(PhotoUrl(f"{server.url}/{number}.jpg"))
    assert server.connections <= 2


def test_a_server_that_hangs_is_given_up_in_time(
    server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ANSWER_S", 0.2)
    server.hang = {"a.jpg"}
    with pytest.raises(PhotoError, match=r"a\.jpg: the server does not answer in time; check"):
        read(PhotoUrl(f"{server.url}/a.jpg"))


def test_a_replaced_photo_that_cannot_be_had_just_now_keeps_its_record(
    tmp_path: Path, bucket: str, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put(f"{bucket}/{number}.jpg", jpeg(number, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    put(f"{bucket}/1.jpg", jpeg(11, 48) + b"longer")
    whole = PhotoUrl.read_bytes

    def cut_off(url: PhotoUrl) -> bytes:
        if url.name == "1.jpg":
            raise RemoteError(110, "the server does not answer in time; run it again")
        return whole(url)

    monkeypatch.setattr(PhotoUrl, "read_bytes", cut_off)
    report = build(tmp_path / "i.gpkg", bucket, describer)
    assert (report.removed, report.replaced, len(report.skipped)) == (0, 0, 1)
    assert len(paths(tmp_path / "i.gpkg")) == 2


def test_a_photo_that_was_waited_for_is_not_asked_for_again(
    server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ANSWER_S", 0.2)
    server.hang = {"a.jpg"}
    with pytest.raises(PhotoError):
        read(PhotoUrl(f"{server.url}/a.jpg"))
    assert server.asked["GET", "a.jpg"] == 1


def test_a_server_that_is_down_is_left_alone_after_a_few_photos(server: PhotoServer) -> None:
    server.statuses = {f"{number}.jpg": [500] * 3 for number in range(12)}
    reasons = []
    for number in range(12):
        with pytest.raises(PhotoError) as told:
            read(PhotoUrl(f"{server.url}/{number}.jpg"))
        reasons.append(str(told.value))
    assert len([key for key in server.asked if key[0] == "GET"]) == 8
    assert "has not answered 8 times in a row" in reasons[-1]


def test_an_unreachable_photo_of_an_index_is_not_taken_for_gone(
    tmp_path: Path, server: PhotoServer, describer: Describer
) -> None:
    server.files = {"p/a.jpg": jpeg(1), "p/b.jpg": jpeg(2)}
    server.files["p/positions.csv"] = table(["a.jpg,48,16", "b.jpg,48,16"])
    build(tmp_path / "i.gpkg", f"{server.url}/p", describer)
    server.statuses = {"p/b.jpg": [503] * 40}
    report = build(tmp_path / "i.gpkg", f"{server.url}/p", describer, prune=True)
    assert (report.unchanged, report.pruned, len(report.skipped)) == (1, 0, 1)
    assert len(paths(tmp_path / "i.gpkg")) == 2


def test_a_photo_replaced_on_a_server_without_head_is_noticed(
    tmp_path: Path, server: PhotoServer, describer: Describer
) -> None:
    server.heads = False
    server.files = {"p/a.jpg": jpeg(1), "p/positions.csv": table(["a.jpg,48,16"])}
    build(tmp_path / "i.gpkg", f"{server.url}/p", describer)
    assert build(tmp_path / "i.gpkg", f"{server.url}/p", describer).unchanged == 1
    server.files["p/a.jpg"] = jpeg(2) + b"\0"
    assert build(tmp_path / "i.gpkg", f"{server.url}/p", describer).replaced == 1


def test_files_behind_urls_are_compared_as_those_of_folders(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    for number in range(3):
        put(f"{bucket}/{number}.jpg", jpeg(number, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    put(f"{bucket}/1.jpg", jpeg(11, 48))
    fsspec.filesystem("memory").rm(f"{bucket}/2.jpg")
    with open_index(tmp_path / "i.gpkg") as index:
        stale = find_stale(index, paths_of(index.location))
    assert (stale.changed, stale.missing) == ((f"{bucket}/1.jpg",), (f"{bucket}/2.jpg",))


def test_photos_are_removed_by_the_url_of_their_folder(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    put(f"{bucket}/x/a.jpg", jpeg(1, 48))
    put(f"{bucket}/xy/b.jpg", jpeg(2, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    with open_index(tmp_path / "i.gpkg") as index:
        (id_,) = ids_below(index, paths_of(index.location), [photo_file(f"{bucket}/x/")])
        (record,) = index.get([id_])
        assert record.path == f"{bucket}/x/a.jpg"
        assert ids_below(index, paths_of(index.location), [tmp_path]) == []


def test_urls_stay_as_they_are_in_a_copy(tmp_path: Path, bucket: str, describer: Describer) -> None:
    put(f"{bucket}/a.jpg", jpeg(1, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    (tmp_path / "other").mkdir()
    copy_index(tmp_path / "i.gpkg", tmp_path / "other/i.gpkg")
    assert paths(tmp_path / "other/i.gpkg") == [f"{bucket}/a.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://me:secret@host/p", "an index would keep the password"),
        ("gopher://host/p", "photos are read from paths, https://"),
        ("https:///p", "it names no server"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(text: str, said: str) -> None:
    with pytest.raises(PhotoError, match=said) as told:
        photo_file(text)
    assert "secret" not in str(told.value)


def test_a_file_url_is_a_path() -> None:
    assert photo_file("file:///tmp/a%20b") == Path("/tmp/a b")


def test_a_missing_file_system_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(
        MissingExtraError, match=r"s3:// needs an extra; `pip install hafloc\[urls\] s3fs`"
    ):
        find_photos(photo_file("s3://bucket/photos"))


def test_nothing_below_a_prefix_is_told(bucket: str) -> None:
    put(f"{bucket}/a.jpg", b"")
    with pytest.raises(PhotoError, match="there is no such file"):
        find_photos(photo_file(f"{bucket}/nowhere"))


def test_candidates_are_seen_and_shown_behind_their_urls(
    tmp_path: Path, bucket: str, describer: Describer
) -> None:
    for number in range(3):
        put(f"{bucket}/{number}.jpg", jpeg(number, 48))
    build(tmp_path / "i.gpkg", bucket, describer)
    (tmp_path / "q.jpg").write_bytes(jpeg(1))
    with open_index(tmp_path / "i.gpkg") as index:
        localizer = Localizer(index, describer, matcher=open_matcher("orb"))
        answer = localizer.locate(tmp_path / "q.jpg")
        assert answer.candidates[0].path == f"{bucket}/1.jpg"
        assert localizer.candidates.pairing is not None
        assert localizer.candidates.pairing.troubles() == []
        sheet = candidate_sheet(answer, localizer.paths)
    fsspec.filesystem("memory").rm(f"{bucket}/1.jpg")
    assert sheet != candidate_sheet(answer, localizer.paths)


def test_a_url_is_given_to_the_commands_as_a_folder_is(
    tmp_path: Path, bucket: str, tiny_checkpoint: Path, run: Run
) -> None:
    index = tmp_path / "i.gpkg"
    put(f"{bucket}/0.jpg", jpeg(0, 48))
    put(f"{bucket}/1.jpg", jpeg(1, 48))
    build = ("index", "build", index, bucket, "--model", tiny_checkpoint, "--no-calibrate")
    assert run(*build)[0] == 0
    status, out, _ = run("index", "remove", index, f"{bucket}/1.jpg")
    assert status == 0
    assert paths(index) == [f"{bucket}/0.jpg"]
    assert "1 removed" in out
