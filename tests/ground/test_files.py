"""Files are written whole or not at all."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hafloc
from hafloc.errors import OutputError
from hafloc.files import whole_file, write_whole

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


@pytest.fixture
def strict_mask() -> Iterator[None]:
    """New files of this process are for their owner alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_content_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_whole(target, b"one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_content_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.txt"
    write_whole(target, b"one")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a\.txt: No space left"):
        write_whole(target, b"two")
    assert target.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_whole(tmp_path / "nowhere" / "a.txt", b"")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/a\.txt"):
        write_whole(tmp_path / "file" / "a.txt", b"")


@posix
@pytest.mark.usefixtures("strict_mask")
def test_no_thread_ever_sees_another_mask_while_files_are_written(tmp_path: Path) -> None:
    written, watched = tmp_path / "written", tmp_path / "watched"
    written.mkdir()
    watched.mkdir()

    def write(number: int) -> None:
        write_whole(written / f"{number % 4}", bytes(100))

    def watch(number: int) -> int:
        (watched / str(number)).touch()
        return mode(watched / str(number))

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, number) for number in range(300)]
        watching = [pool.submit(watch, number) for number in range(300)]
    assert [future.result() for future in writing] == [None] * 300
    assert {future.result() for future in watching} == {0o600}
    assert {mode(path) for path in written.iterdir()} == {0o600}


def test_the_mask_of_the_process_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(mask: int) -> int:
        raise AssertionError("the mask belongs to all threads")

    monkeypatch.setattr(os, "umask", refuse)
    write_whole(tmp_path / "a.txt", b"one")
    write_whole(tmp_path / "a.txt", b"two")


@posix
def test_a_replaced_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real" / "a.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    target.write_bytes(b"one")
    target.chmod(0o640)
    link.symlink_to(target)
    write_whole(link, b"two")
    assert link.is_symlink()
    assert target.read_bytes() == b"two"
    assert mode(target) == 0o640


def test_what_is_written_piece_by_piece_appears_at_the_end_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as file:
        file.write(b"one\n")
        assert not target.exists()
        file.write(b"two\n")
    assert target.read_bytes() == b"one\ntwo\n"


def test_a_block_that_fails_leaves_nothing_and_keeps_its_own_error(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"

    def copy() -> None:
        with whole_file(target) as file:
            file.write(b"half")
            file.write((tmp_path / "elsewhere").read_bytes())

    with pytest.raises(FileNotFoundError, match="elsewhere"):
        copy()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_program_holds_open_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> None:
        # What Windows answers.
        raise PermissionError(errno.EACCES, "Access is denied", str(self), 5, str(target))

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OutputError, match="Access is denied; close what has it open"):
        write_whole(tmp_path / "a.txt", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Is a directory"):
        write_whole(tmp_path, b"")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OutputError, match="Not a regular file"):
            write_whole(tmp_path / "pipe", b"")


def test_every_public_name_is_there() -> None:
    for name in hafloc.__all__:
        assert getattr(hafloc, name)
