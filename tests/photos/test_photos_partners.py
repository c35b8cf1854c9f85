"""Which row of a table belongs to which photo."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.geo import Position
from hafloc.photos import Metadata
from hafloc.photos.partners import find_partners

NFC, NFD = (unicodedata.normalize(form, "Zürich.jpg") for form in ("NFC", "NFD"))


def partners(rows, names, folder="/data/trip/day2", home="/data/trip"):
    table = {row: Metadata(Position(1, at % 90), source="csv") for at, row in enumerate(rows)}
    return find_partners(table, names, Path(folder), Path(home))


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("a.jpg", "a.jpg"),  # within the folder
        ("sub/a.jpg", "sub/a.jpg"),
        ("day2/sub/a.jpg", "sub/a.jpg"),  # within the table's folder
        ("a.jpg", "sub/a.jpg"),  # a base name
        ("sub/a.jpg", "x/sub/a.jpg"),  # the end of a path
        ("trip/day2/a.jpg", "a.jpg"),
        ("/data/trip/day2/a.jpg", "a.jpg"),  # absolute, here
        ("/home/x/photos/day2/sub/a.jpg", "sub/a.jpg"),  # absolute, on another computer
        ("C:/photos/day2/a.jpg", "a.jpg"),
        ("/day2/a.jpg", "a.jpg"),
        ("../trip/day2/a.jpg", "a.jpg"),
        (NFC, NFD),
        (NFD, NFC),
        ("IMG_2.JPG", "img_2.jpg"),
        ("Day2/Sub/A.jpg", "sub/a.jpg"),
        ("STRASSE.jpg", "straße.jpg"),
    ],
)
def test_a_row_names_its_photo_in_many_ways(row, name):
    found = partners([row], [name, "other.jpg"])
    assert found.row_of == {name: row}
    assert found.unmatched_rows == ()


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("day1/a.jpg", "a.jpg"),  # day2 is indexed
        ("elsewhere/a.jpg", "sub/a.jpg"),
        ("other/day2/a.jpg", "a.jpg"),
        ("/home/x/day1/a.jpg", "a.jpg"),
        ("C:/photos/day1/DCIM/a.jpg", "DCIM/a.jpg"),
        ("/data/trip/day1/a.jpg", "a.jpg"),
        ("day1/A.JPG", "a.jpg"),
        ("../a.jpg", "sub/b.jpg"),
        ("a.png", "a.jpg"),
        ("xa.jpg", "a.jpg"),
    ],
)
def test_a_row_that_names_another_folder_or_file_is_for_nobody(row, name):
    found = partners([row], [name])
    assert found.row_of == {}
    assert found.unmatched_rows == (row,)


def test_a_path_within_the_folder_comes_before_one_within_the_table_s():
    found = partners(["day2/a.jpg"], ["a.jpg", "day2/a.jpg"])
    assert found.row_of == {"day2/a.jpg": "day2/a.jpg"}


def test_a_base_name_that_two_photos_share_is_neither_s():
    found = partners(["a.jpg"], ["x/a.jpg", "y/a.jpg"])
    assert (found.row_of, found.unmatched_rows) == ({}, ("a.jpg",))
    found = partners(["a.jpg"], ["a.jpg", "y/a.jpg"])
    assert found.row_of == {"a.jpg": "a.jpg"}


def test_names_that_differ_in_case_alone_stay_apart_where_both_are_there():
    found = partners(["a.JPG"], ["A.jpg", "a.jpg"])
    assert found.row_of == {}
    found = partners(["A.jpg", "a.jpg"], ["A.jpg", "a.jpg"])
    assert found.row_of == {"A.jpg": "A.jpg", "a.jpg": "a.jpg"}
    found = partners([NFC, NFD], [NFC, NFD])
    assert found.row_of == {NFC: NFC, NFD: NFD}


def test_two_rows_for_one_photo_count_only_where_they_agree():
    same = Metadata(Position(1, 1), source="csv")
    rows = {"A.jpg": same, "a.JPG": same}
    found = find_partners(rows, ["a.jpg"], Path("/p"), Path("/p"))
    assert (found.row_of, found.unmatched_rows) == ({"a.jpg": "A.jpg"}, ())
    rows = {"A.jpg": same, "a.JPG": Metadata(Position(2, 2), source="csv")}
    found = find_partners(rows, ["a.jpg"], Path("/p"), Path("/p"))
    assert (found.row_of, found.unmatched_rows) == ({}, ("A.jpg", "a.JPG"))


def test_a_folder_reached_by_a_link_keeps_both_its_names(tmp_path):
    (tmp_path / "cards" / "0001").mkdir(parents=True)
    (tmp_path / "day2").symlink_to(tmp_path / "cards" / "0001")
    for row in ("/home/x/day2/a.jpg", "/home/x/0001/a.jpg", "day2/a.jpg"):
        assert partners([row], ["a.jpg"], tmp_path / "day2", tmp_path).row_of == {"a.jpg": row}


def test_a_back_slash_in_a_file_s_name_is_no_folder_of_another_photo():
    found = partners(["sub/a.jpg"], ["sub\\a.jpg", "sub/a.jpg"])
    assert found.row_of == {"sub/a.jpg": "sub/a.jpg"}


paths = st.lists(st.sampled_from(["a", "b", "A", "day1", "day2", "trip"]), min_size=1, max_size=4)


@given(rows=st.lists(paths, max_size=5), names=st.lists(paths, max_size=5, unique_by=tuple))
def test_no_photo_gets_a_row_whose_path_contradicts_its_own(rows, names):
    row_paths = list(dict.fromkeys("/".join(row) for row in rows))
    found = partners(row_paths, ["/".join(name) for name in names])
    for name, row in found.row_of.items():
        whole = f"/data/trip/day2/{name}".casefold()
        assert whole.endswith(f"/{row}".casefold())
    assert len(set(found.row_of.values())) == len(found.row_of)
    assert set(found.unmatched_rows) == set(row_paths) - set(found.row_of.values())


def test_many_photos_with_one_base_name_are_matched_quickly():
    names = [f"seq{at:05d}/cam0.jpg" for at in range(5_000)]
    rows = [f"other{at:05d}/cam0.jpg" for at in range(5_000)]
    assert partners(rows, names).row_of == {}


def test_a_bare_name_that_several_photos_have_names_them() -> None:
    rows = {"x.jpg": Metadata(), "y.jpg": Metadata(), "gone.jpg": Metadata()}
    found = find_partners(rows, ["a/x.jpg", "b/x.jpg", "a/y.jpg"], Path("/p"), Path("/"))

    assert found.row_of == {"a/y.jpg": "y.jpg"}
    assert found.several == {"x.jpg": ("a/x.jpg", "b/x.jpg")}
    assert set(found.unmatched_rows) == {"x.jpg", "gone.jpg"}
