"""Folders: photos are found, junk is not, and what cannot be looked at never stops the rest."""

import errno
import os
import socket
from pathlib import Path

import pytest

from hafloc.errors import PhotoError
from hafloc.photos import Scan, formats, is_folder, photo_paths, scan


def files_in(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(found: Scan) -> list[str]:
    return [path.relative_to(found.folder).as_posix() for path in found.paths]


@pytest.mark.parametrize(
    "folder",
    [
        "#recycle", "#Recycle", "#snapshot", "@eaDir", "@EADIR", "$RECYCLE.BIN", "$Recycle.Bin",
        "RECYCLER", "System Volume Information", ".Trash-1000", ".Trashes", ".thumbnails",
        "__MACOSX", "@Recycle", "@Recently-Snapshot", ".AppleDouble", ".@__thumb",
        "Lightroom Catalog Previews.lrdata", "iPod Photo Cache", "FOUND.000",
    ],
)  # fmt: skip
def test_bins_and_thumbnails_of_programs_are_left_out_like_hidden_folders(tmp_path, folder):
    files_in(tmp_path, "a.jpg", f"{folder}/b.jpg", f"trip/{folder}/deeper/c.jpg")
    found = scan(tmp_path)
    assert names(found) == ["a.jpg"]
    assert not found.left_out
    assert not found.unreadable


@pytest.mark.parametrize(
    "name", ["._a.jpg", "SYNOPHOTO_THUMB_XL.jpg", "SYNOFILE_THUMB_M.png", ".hidden.jpg", "~$a.jpg"]
)
def test_what_a_program_keeps_beside_a_photo_is_left_out(tmp_path, name):
    files_in(tmp_path, "a.jpg", name)
    assert names(scan(tmp_path)) == ["a.jpg"]


@pytest.mark.parametrize("folder", ["recycling plant", "eaDir", "lost+found", "trash", "Cache"])
def test_a_person_s_own_folder_is_not_taken_for_junk(tmp_path, folder):
    files_in(tmp_path, f"{folder}/a.jpg")
    assert names(scan(tmp_path)) == [f"{folder}/a.jpg"]


def test_a_folder_that_is_named_outright_is_scanned_whatever_its_name(tmp_path):
    files_in(tmp_path, "#recycle/a.jpg", ".hidden/b.jpg")
    assert names(scan(tmp_path / "#recycle")) == ["a.jpg"]
    assert names(scan(tmp_path / ".hidden")) == ["b.jpg"]


def test_pictures_that_are_not_tried_are_counted_by_kind_and_other_files_are_not(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(formats, "has_reader", lambda kind: False)
    files_in(tmp_path, "a.jpg", "a.CR2", "sub/b.cr2", "c.dng", "d.jxl", "e.MP4", "f.mov", "g.psd")
    files_in(tmp_path, "notes.txt", "a.xmp", "positions.csv", "@eaDir/x.cr2", "._h.cr2")
    found = scan(tmp_path)
    assert found.left_out == {".cr2": 2, ".dng": 1, ".jxl": 1, ".psd": 1, "video": 2}
    assert found.left_out_in_words() == (
        "left out: 2 .cr2 (pip install hafloc[raw]), 1 .dng (pip install hafloc[raw]), "
        "1 .jxl (pip install hafloc[jxl]), 1 .psd, 2 videos"
    )


def test_with_the_extras_raw_and_jpeg_xl_are_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "has_reader", lambda kind: True)
    files_in(tmp_path, "a.NEF", "b.jxl", "c.dng")
    found = scan(tmp_path)
    assert names(found) == ["a.NEF", "b.jxl", "c.dng"]
    assert found.left_out_in_words() == ""


def test_a_scan_keeps_size_and_time_of_each_file(tmp_path):
    files_in(tmp_path, "b.jpg", "a.jpg")
    (tmp_path / "b.jpg").write_bytes(bytes(12))
    os.utime(tmp_path / "b.jpg", ns=(5, 1_700_000_000_123_456_700))
    (_, second) = scan(tmp_path).photos
    assert (second.path, second.size) == (tmp_path / "b.jpg", 12)
    assert second.modified == (tmp_path / "b.jpg").stat().st_mtime_ns


def refusing(monkeypatch, forbidden: Path, number: int) -> None:
    """Make one folder unlistable, also for root, whom permissions do not bind."""
    genuine = os.scandir

    def scandir(path):
        if Path(path) == forbidden:
            raise OSError(number, os.strerror(number), str(path))
        return genuine(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG])
def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_found(
    tmp_path, monkeypatch, number
):
    files_in(tmp_path, "a.jpg", "lost+found/b.jpg", "z/c.jpg")
    refusing(monkeypatch, tmp_path / "lost+found", number)
    found = scan(tmp_path)
    assert names(found) == ["a.jpg", "z/c.jpg"]
    ((path, why),) = found.unreadable
    assert path == tmp_path / "lost+found"
    assert why.startswith(f"cannot read {path}: ")


def test_a_folder_that_vanishes_meanwhile_is_nothing_to_tell(tmp_path, monkeypatch):
    files_in(tmp_path, "a.jpg", "gone/b.jpg")
    refusing(monkeypatch, tmp_path / "gone", errno.ENOENT)
    found = scan(tmp_path)
    assert names(found) == ["a.jpg"]
    assert not found.unreadable


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_itself_cannot_be_listed_is_refused_in_one_line(
    tmp_path, monkeypatch, number
):
    files_in(tmp_path, "a.jpg")
    refusing(monkeypatch, tmp_path, number)
    for look in (scan, photo_paths):
        with pytest.raises(PhotoError, match=f"cannot read {tmp_path}: "):
            look(tmp_path)


@pytest.mark.parametrize("name", ["missing", "a.jpg", "a.jpg/b", "a\0b", "x" * 300, "loop"])
def test_what_is_no_folder_is_refused_in_one_line(tmp_path, name):
    files_in(tmp_path, "a.jpg")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(PhotoError, match="cannot read "):
        scan(tmp_path / name)
    assert not is_folder(tmp_path / name)


def test_whether_something_is_a_folder_is_no_error_below_a_forbidden_one(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert not is_folder(tmp_path)


class Entry:
    """A directory entry of which one question cannot be answered."""

    def __init__(self, genuine: os.DirEntry, failing: str, number: int) -> None:
        self._genuine, self._failing, self._number = genuine, failing, number
        self.name, self.path = genuine.name, genuine.path

    def __getattr__(self, question):
        def answer(*rest, **more):
            if question == self._failing:
                raise OSError(self._number, os.strerror(self._number))
            return getattr(self._genuine, question)(*rest, **more)

        return answer


@pytest.mark.parametrize("failing", ["stat", "is_dir"])
@pytest.mark.parametrize(("number", "told"), [(errno.EACCES, 1), (errno.EIO, 1), (errno.ENOENT, 0)])
def test_a_photo_that_cannot_be_looked_at_is_named_and_one_that_vanished_is_not(
    tmp_path, monkeypatch, failing, number, told
):
    files_in(tmp_path, "a.jpg", "b.jpg", "c.txt", "d/e.jpg")
    genuine = os.scandir

    class Listing:
        def __init__(self, path):
            self.entries = genuine(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

        def __iter__(self):
            for entry in self.entries:
                yield Entry(entry, failing, number) if entry.name in "b.jpg c.txt" else entry

    monkeypatch.setattr(os, "scandir", Listing)
    found = scan(tmp_path)
    assert names(found) == ["a.jpg", "d/e.jpg"]
    assert [path.name for path, _ in found.unreadable] == ["b.jpg"] * told


def test_links_that_lead_nowhere_or_round_are_named_and_those_to_photos_followed(tmp_path):
    files_in(tmp_path, "a/b.jpg", "elsewhere/z.txt")
    (tmp_path / "a" / "dead.jpg").symlink_to("gone.jpg")
    (tmp_path / "a" / "round.jpg").symlink_to("round.jpg")
    (tmp_path / "a" / "same.jpg").symlink_to("b.jpg")
    (tmp_path / "a" / "dead.txt").symlink_to("gone.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "folder.jpg").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = scan(tmp_path)
    assert names(found) == ["a/b.jpg", "a/same.jpg"]
    assert {path.name: why.split(": ")[-1] for path, why in found.unreadable} == {
        "dead.jpg": "the link leads nowhere; remove it",
        "round.jpg": "the link leads back to itself; remove it",
    }
    assert found.left_out == {"linked folder": 2}


def test_only_regular_files_are_photos(tmp_path, monkeypatch):
    files_in(tmp_path, "a.jpg", "b.jpg/c.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        found = scan(tmp_path)
    assert names(found) == ["a.jpg", "b.jpg/c.jpg"]
    assert not found.unreadable


def test_names_that_are_no_unicode_or_hold_odd_letters_are_found(tmp_path):
    files_in(tmp_path, "new\nline.jpg", "[1] *?.jpg", "née.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).write_bytes(b"x")
    assert len(photo_paths(tmp_path)) == 4


def test_the_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    files_in(tmp_path, "b/1.jpg", "a/2.jpg", "c.jpg", "a.jpg", "a-b.jpg")
    expected = sorted(photo_paths(tmp_path))
    assert photo_paths(tmp_path) == expected


def test_a_folder_deeper_than_python_s_stack_is_scanned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1_200):
        Path("d").mkdir()
        os.chdir("d")
    Path("a.jpg").write_bytes(b"x")
    try:
        found = scan(tmp_path)
        assert len(found.paths) == 1
    finally:
        for _ in range(1_200):
            for inner in Path().iterdir():
                inner.rmdir() if inner.is_dir() else inner.unlink()
            os.chdir("..")


def test_a_folder_without_photos_is_scanned_but_has_no_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "has_reader", lambda kind: False)
    files_in(tmp_path, "a.cr2", "notes.txt", "secret/b.jpg")
    refusing(monkeypatch, tmp_path / "secret", errno.EACCES)
    assert scan(tmp_path).photos == ()
    expected = (
        r"holds no photos \(left out: 1 \.cr2 \(pip install hafloc\[raw\]\); "
        r"1 unreadable, the first: cannot read .*secret: Permission denied; .*\); give a folder"
    )
    with pytest.raises(PhotoError, match=expected):
        photo_paths(tmp_path)
