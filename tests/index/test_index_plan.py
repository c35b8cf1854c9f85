"""What a scan means for an index, and how outcomes are stored, without files or networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_index import MODEL, sample

from hafloc.description import ImageFeatures
from hafloc.errors import PhotoError
from hafloc.index import GeoIndex, Held, Skipped, create_index
from hafloc.index.plan import Plan, ScannedFile, make_plan
from hafloc.index.store import Entry, add_all


def held(id_: int, path: str, content: str, *, size: int | None = 10, time: int = 1) -> Held:
    return Held(id_, path, content, size, time, "said")


def file(path: str, *, size: int = 10, time: int = 1, said: str = "said") -> ScannedFile:
    return ScannedFile(path, path, Path(path), size, time, said)


def plan(
    known: Sequence[Held],
    files: Sequence[ScannedFile],
    contents: dict[str, str] | None = None,
    gone: Sequence[str] = (),
) -> tuple[Plan, list[str]]:
    """The plan, and the files whose content was read for it."""
    read: list[str] = []

    def content(path: Path) -> str:
        read.append(str(path))
        if contents is None or str(path) not in contents:
            raise PhotoError(f"cannot read {path}: it is locked")
        return contents[str(path)]

    made = make_plan(
        known,
        files,
        content=content,
        is_gone=lambda name: name in gone,
        below=lambda missing: {item.id for item in missing if item.path.startswith("p/")},
    )
    return made, read


def test_unchanged_and_new_files_are_not_read() -> None:
    made, read = plan([held(1, "p/a", "A")], [file("p/a"), file("p/b")])

    assert ([f.name for f in made.describe], made.unchanged, made.keep) == (["p/b"], 1, ())
    assert read == []


def test_a_touched_file_of_the_same_bytes_keeps_its_record() -> None:
    made, read = plan([held(1, "p/a", "A")], [file("p/a", time=2)], {"p/a": "A"})

    assert [(kept.id, kept.restated, kept.moved) for kept in made.keep] == [(1, False, False)]
    assert (made.describe, read) == ((), ["p/a"])


@pytest.mark.parametrize("size", [10, 11])
def test_a_file_of_other_bytes_is_described_in_place_of_the_old_one(size: int) -> None:
    made, _ = plan([held(1, "p/a", "A")], [file("p/a", size=size, time=2)], {"p/a": "B"})

    assert ([f.name for f in made.describe], made.replaced) == (
        ["p/a"],
        {"p/a": (held(1, "p/a", "A"),)},
    )


def test_a_record_from_before_sizes_were_kept_is_compared_by_content() -> None:
    made, _ = plan([held(1, "p/a", "A", size=None)], [file("p/a")], {"p/a": "A"})

    assert [kept.id for kept in made.keep] == [1]


def test_what_table_or_name_say_anew_is_taken_over() -> None:
    made, read = plan([held(1, "p/a", "A")], [file("p/a", said="other")])

    assert [(kept.id, kept.restated) for kept in made.keep] == [(1, True)]
    assert read == []


def test_a_moved_file_is_known_by_its_content() -> None:
    made, read = plan([held(1, "p/a", "A")], [file("p/b", time=7)], {"p/b": "A"}, ["p/a"])

    assert [(kept.id, kept.file.name, kept.moved) for kept in made.keep] == [(1, "p/b", True)]
    assert (made.describe, made.gone, read) == ((), (), ["p/b"])


@pytest.mark.parametrize("still_there", ["scanned", "on disk"])
def test_a_copy_is_a_photo_of_its_own(still_there: str) -> None:
    files = [file("p/b")] + ([file("p/a")] if still_there == "scanned" else [])

    made, _ = plan([held(1, "p/a", "A")], files, {"p/b": "A"})

    assert [f.name for f in made.describe] == ["p/b"]


def test_two_moved_files_of_equal_content_keep_one_id_each() -> None:
    known = [held(1, "p/a", "A"), held(2, "p/b", "A")]
    files = [file("p/x"), file("p/y"), file("p/z")]

    made, _ = plan(known, files, dict.fromkeys(["p/x", "p/y", "p/z"], "A"), ["p/a", "p/b"])

    assert [(kept.id, kept.file.name) for kept in made.keep] == [(1, "p/x"), (2, "p/y")]
    assert [f.name for f in made.describe] == ["p/z"]


def test_gone_are_only_files_below_the_folder_that_are_known_to_be_missing() -> None:
    known = [held(1, "p/a", "A"), held(2, "p/b", "B"), held(3, "other/c", "C")]

    made, _ = plan(known, [file("p/new", size=99)], {}, ["p/a", "other/c"])

    assert [item.path for item in made.gone] == ["p/a"]


def test_a_file_that_cannot_be_read_is_skipped_and_its_record_stays() -> None:
    made, _ = plan([held(1, "p/a", "A")], [file("p/a", time=2), file("p/b")])

    assert [item.path for item in made.skipped] == ["p/a"]
    assert ([f.name for f in made.describe], made.replaced) == (["p/b"], {})


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("AABBC"), min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("AABBC")),
)
def test_after_any_change_each_file_has_one_record_made_from_its_bytes(
    before: dict[str, str], after: dict[str, str]
) -> None:
    known = [held(n, f"p/{name}", content) for n, (name, content) in enumerate(before.items())]
    # A file whose bytes changed has a new time; what else there is was not touched.
    files = [
        file(f"p/{name}", time=1 if before.get(name) == content else 2)
        for name, content in after.items()
    ]
    contents = {f"p/{name}": content for name, content in after.items()}
    gone = [f"p/{name}" for name in before if name not in after]

    made, _ = plan(known, files, contents, gone)

    state = {item.id: (item.path, item.content) for item in known}
    for kept in made.keep:
        state[kept.id] = (kept.file.name, state[kept.id][1])
    for item in made.gone:
        del state[item.id]
    for group in made.replaced.values():
        for item in group:
            del state[item.id]
    stored = sorted(state.values()) + sorted((f.name, contents[f.name]) for f in made.describe)
    assert sorted(stored) == sorted(contents.items())


def views(first: int, path: str, content: str, count: int) -> list[Held]:
    return [held(first + k, f"{path}#view={45 * k}", content) for k in range(count)]


def test_a_file_that_is_held_whole_and_in_views_is_described_anew() -> None:
    known = [held(1, "p/a.jpg", "A"), *views(2, "p/a.jpg", "A", 3)]

    made, _ = plan(known, [file("p/a.jpg")])

    assert [f.name for f in made.describe] == ["p/a.jpg"]
    assert made.replaced == {"p/a.jpg": tuple(known)}


def test_views_of_two_contents_are_described_anew_together() -> None:
    # A build was stopped after a panorama had changed: some of its old views were left.
    known = [*views(1, "p/a.jpg", "A", 2), held(3, "p/a.jpg#view=180", "B")]

    made, _ = plan(known, [file("p/a.jpg", time=2)], {"p/a.jpg": "A"})

    assert made.replaced == {"p/a.jpg": tuple(known)}


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("AABC"), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("AABC")),
    st.integers(1, 4),
)
def test_after_any_change_views_share_their_files_fate(
    before: dict[str, str], after: dict[str, str], count: int
) -> None:
    known = []
    for number, (name, content) in enumerate(before.items()):
        known += views(10 * number, f"p/{name}.jpg", content, count)
    files = [
        file(f"p/{name}.jpg", time=1 if before.get(name) == content else 2)
        for name, content in after.items()
    ]
    contents = {f"p/{name}.jpg": content for name, content in after.items()}

    made, read = plan(known, files, contents, [f"p/{n}.jpg#view={45 * k}" for n in before
                                               if n not in after for k in range(4)])  # fmt: skip

    fates: dict[int, list[str]] = {}
    for item in made.keep:
        fates.setdefault(item.id // 10, []).append(f"kept {item.file.name}")
    for group in made.replaced.values():
        for one in group:
            fates.setdefault(one.id // 10, []).append("replaced")
    for one in made.gone:
        fates.setdefault(one.id // 10, []).append("gone")
    for fate in fates.values():
        assert len(fate) == count
        assert len(set(fate)) == 1
    assert made.unchanged + len(fates) == len(before)
    assert len(read) == len(set(read))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[GeoIndex]:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        yield index


def entries(n: int, start: int = 0) -> list[Entry]:
    return [
        Entry(record, ImageFeatures(vector))
        for record, vector in zip(*sample(n, start), strict=True)
    ]


def test_photos_are_added_in_batches_and_the_skipped_ones_listed(index: GeoIndex) -> None:
    bad = Skipped("photos/bad.jpg", "the file ends early")
    heard: list[int] = []

    added, skipped = add_all(
        index, [*entries(3), bad, *entries(4, 40)], batch=3, progress=heard.append
    )

    assert (added, skipped) == (7, [bad])
    assert heard == [1, 2, 3, 4, 5, 6, 7, 8]
    assert index.count() == 7


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_it_all_that_was_described_is_stored(
    index: GeoIndex, end: type[BaseException]
) -> None:
    def interrupted() -> Iterator[Entry]:
        yield from entries(5)
        raise end

    with pytest.raises(end):
        add_all(index, interrupted(), batch=2)

    assert index.count() == 5
    assert index.verify() == []
