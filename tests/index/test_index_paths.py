"""How files are written down, and which of them lie below a folder."""

import os
import struct
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pyogrio.raw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.index import PhotoPaths, create_index, ids_below, open_index, paths_of
from hafloc.index.connection import uri
from hafloc.index.paths import storable


def on(system: type, root: str) -> PhotoPaths:
    return PhotoPaths(system(root))  # type: ignore[arg-type]


def test_names_are_relative_to_the_folder_of_the_index(tmp_path: Path) -> None:
    paths = paths_of(tmp_path / "city.gpkg")
    photo = tmp_path / "album" / "a b.jpg"

    assert paths.name_of(photo) == "album/a b.jpg"
    assert paths.name_of(tmp_path.parent / "x.jpg") == "../x.jpg"
    assert paths.name_of(tmp_path / "album" / ".." / "y.jpg") == "y.jpg"
    assert paths.file_of("album/a b.jpg") == photo
    assert paths.file_of(str(photo)) == photo


@pytest.mark.parametrize(
    ("root", "file", "name"),
    [
        (r"C:\city", r"C:\city\photos\a.jpg", "photos/a.jpg"),
        (r"C:\City", r"c:\CITY\photos\a.jpg", "photos/a.jpg"),
        (r"C:\city", r"C:\a.jpg", "../a.jpg"),
        (r"C:\city", r"D:\photos\a.jpg", "D:/photos/a.jpg"),
        (r"C:\city", r"\\nas\share\a.jpg", "//nas/share/a.jpg"),
        (r"\\nas\share\city", r"\\nas\share\photos\a.jpg", "../photos/a.jpg"),
        (r"C:\city", r"C:\city\x\..\a.jpg", "a.jpg"),
    ],
)
def test_windows_paths_become_portable_names(root: str, file: str, name: str) -> None:
    paths = on(PureWindowsPath, root)

    assert paths.name_of(PureWindowsPath(file)) == name
    straight = PureWindowsPath(file.replace(r"x\..", "."))
    assert paths.file_of(name) == straight


# What may stand between slashes on POSIX: any bytes but the slash and zero.
raw_names = st.binary(min_size=1, max_size=12).filter(
    lambda raw: not set(raw) & {0, 0x2F} and raw not in (b".", b"..")
)


@given(st.lists(raw_names, min_size=1, max_size=3))
def test_any_name_of_posix_can_be_stored_and_comes_back(parts: list[bytes]) -> None:
    paths = on(PurePosixPath, "/home/me")
    file = PurePosixPath("/home", *(part.decode("utf-8", "surrogateescape") for part in parts))

    name = paths.name_of(file)

    name.encode()  # UTF-8 holds it
    assert paths.file_of(name) == file


@given(st.text(st.characters(exclude_characters='/\\:*?"<>|\0'), min_size=1, max_size=12))
def test_any_name_of_windows_can_be_stored_and_comes_back(part: str) -> None:
    paths = on(PureWindowsPath, r"C:\city")
    file = PureWindowsPath(r"C:\city") / part / "a.jpg"
    if part.strip(". ") == "":
        return

    name = paths.name_of(file)

    name.encode()
    assert paths.file_of(name) == file


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_two_names_are_never_written_alike(text: str) -> None:
    other = text.replace("\\", "\\\\").replace("\udc80", "\\x80")
    assert (storable(text) == storable(other)) == (text == other)


def test_old_names_that_no_escape_fits_are_read_as_they_are() -> None:
    paths = on(PurePosixPath, "/home")
    assert paths.file_of(r"a\b\x7f.jpg") == PurePosixPath(r"/home/a\b\x7f.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any byte in a name")
def test_odd_names_are_stored_found_and_read_by_gdal(tmp_path: Path) -> None:
    records, vectors = sample(4)
    raw = [b"caf\xe9.jpg", b"a\\b.jpg", b"new\nline.jpg", "ü😀.jpg".encode()]
    files = [tmp_path / os.fsdecode(name) for name in raw]
    for file in files:
        file.touch()
    paths = paths_of(tmp_path / "city.gpkg")
    named = [replace(r, path=paths.name_of(f)) for r, f in zip(records, files, strict=True)]
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(named, vectors)
        assert [paths.file_of(record.path) for record in index.get(ids)] == files
        assert [r.id for r in index.find_paths([named[0].path])] == ids[:1]

    _, _, geometry, fields = pyogrio.raw.read(tmp_path / "city.gpkg")

    assert fields[0].tolist() == ["caf\\xe9.jpg", "a\\\\b.jpg", "new\nline.jpg", "ü😀.jpg"]
    assert len(struct.unpack("<5xdd", geometry[0])) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
def test_links_stay_as_they_are_named_and_what_follows_them_is_right(tmp_path: Path) -> None:
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    (tmp_path / "far" / "city.gpkg").touch()
    (tmp_path / "city.gpkg").symlink_to("far/city.gpkg")
    paths = paths_of(tmp_path / "x.gpkg")

    assert paths.name_of(tmp_path / "link" / "a.jpg") == "link/a.jpg"
    assert paths.name_of(tmp_path / "link" / ".." / "a.jpg") == "far/a.jpg"
    # The names in a linked index belong to the file, not to the link.
    assert paths_of(tmp_path / "city.gpkg").root == tmp_path / "far"


def below(root: Path, names: list[str], *targets: Path) -> list[str]:
    stored: Any = SimpleNamespace(names=lambda: enumerate(names))
    return [names[i] for i in ids_below(stored, PhotoPaths(root), targets)]


def test_what_lies_below_a_folder_is_told_by_the_way_there_not_by_letters(tmp_path: Path) -> None:
    root = tmp_path / "work" / "deep" / "idx"
    names = ["a.jpg", "aa/b.jpg", "a/c.jpg", "../d.jpg", "../../photos/e.jpg", "../../../f.jpg"]
    names.append((tmp_path / "work" / "g.jpg").as_posix())

    assert below(root, names, root) == ["a.jpg", "aa/b.jpg", "a/c.jpg"]
    assert below(root, names, root / "a") == ["a/c.jpg"]
    assert below(root, names, root / "a.jpg") == ["a.jpg"]
    assert below(root, names, root / "aa" / "..") == below(root, names, root)
    assert below(root, names, tmp_path / "work" / "deep") == [*names[:4]]
    assert below(root, names, tmp_path / "work") == [*names[:5], names[6]]
    assert below(root, names, tmp_path) == names
    assert below(root, names, tmp_path / "photos") == []
    assert below(root, names, root / "aa", root / "a") == ["aa/b.jpg", "a/c.jpg"]


def test_a_folder_is_found_by_every_way_that_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "real" / "photos").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")

    assert below(tmp_path / "link", ["photos/a.jpg"], tmp_path / "real" / "photos")
    assert below(tmp_path / "real", ["photos/a.jpg"], tmp_path / "link" / "photos")
    assert below(tmp_path / "real", ["../link/photos/a.jpg"], tmp_path / "link")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PurePosixPath("/a b/c?d#e%.gpkg"), "file:///a%20b/c%3Fd%23e%25.gpkg"),
        (PurePosixPath("/caf\udce9.gpkg"), "file:///caf%E9.gpkg"),
        (PureWindowsPath(r"C:\city\a b.gpkg"), "file:///C:/city/a%20b.gpkg"),
        (PureWindowsPath(r"\\nas\share\a.gpkg"), "file:////nas/share/a.gpkg"),
    ],
)
def test_sqlite_gets_paths_in_its_own_form(
    path: PurePosixPath | PureWindowsPath, expected: str
) -> None:
    assert uri(path) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any byte in a name")
@pytest.mark.parametrize("name", [b"caf\xe9.gpkg", b"?mode=memory.gpkg", b"a%20#b.gpkg", b"x\\y"])
def test_an_index_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with create_index(path, MODEL) as index:
        index.add(*sample(2))
    with open_index(path) as index:
        assert index.count() == 2
    assert os.listdir(os.fsencode(tmp_path)) == [name]  # noqa: PTH208


def test_a_location_of_an_unknown_kind_is_refused_with_those_known() -> None:
    for ask in (open_index, paths_of):
        with pytest.raises(
            IndexFileError, match=r"no backend for redis://; give the path of a \.gpkg file"
        ):
            ask("redis://host/city")  # type: ignore[operator]
    with pytest.raises(IndexFileError, match="there is no such file"):
        open_index("C://city.gpkg")  # a drive
