"""Listing photos of Panoramax and Mapillary: pages, bounds, and answers that are none."""

from pathlib import Path
from typing import Any

import pytest
from street_server import SOUTH, STEP, WEST, Street, serving

from hafloc.errors import OptionError, SourceError
from hafloc.geo import Position
from hafloc.sources import Mapillary, Panoramax, StreetPhoto, Wanted, Web, area_of_box
from hafloc.sources.panoramax import photo_of

BOX = "16.36,48.19,16.40,48.21"
WANTED = Wanted(area_of_box(BOX))


def web() -> Web:
    return Web("0", wait=lambda seconds: None)


def listed(street: Street, wanted: Wanted = WANTED, page: int = 4) -> list[StreetPhoto]:
    with serving(street) as address:
        return sorted(Panoramax(web(), address, page=page).photos(wanted), key=lambda p: p.id)


def test_what_an_item_says_of_a_photo_is_read() -> None:
    photo, panorama = listed(Street(count=6))[4:]
    assert photo.position == Position(SOUTH, WEST + 4 * STEP)
    assert (photo.heading, photo.licence, photo.producer) == (40.0, "CC-BY-SA-4.0", "Ada 0")
    assert photo.time is not None
    assert photo.time.isoformat() == "2020-05-03T13:28:04+00:00"
    assert photo.source_url.endswith("/api/items/00000004-65eb-4a90-9764-86b3661aaa77")
    # The smaller file is enough, but not for a panorama, which is cut.
    assert (photo.is_panorama, photo.image_url.rpartition("/")[2]) == (False, "sd.jpg")
    assert (panorama.is_panorama, panorama.image_url.rpartition("/")[2]) == (True, "hd.jpg")


@pytest.mark.parametrize("pages", [True, False])
def test_every_photo_is_listed_once_whether_a_server_has_pages_or_leaves_out_the_rest(
    pages: bool,
) -> None:
    street = Street(count=23, pages=pages)
    assert len(listed(street)) == 23
    assert len(street.queries) > 4


def test_photos_of_one_spot_that_a_server_cannot_tell_apart_end_the_search() -> None:
    same = {i: {"geometry": {"coordinates": [WEST, SOUTH]}} for i in range(6)}
    street = Street(count=6, pages=False, change=same)
    street.place = lambda i: (WEST, SOUTH)  # type: ignore[method-assign]
    assert len(listed(street)) == 4
    assert len(street.queries) < 250


def test_years_and_kinds_are_chosen() -> None:
    area = area_of_box(BOX)
    late = listed(Street(count=12), Wanted(area, years=(2022, 2023)))
    assert {photo.time.year for photo in late if photo.time} == {2022, 2023}
    assert len(listed(Street(count=12), Wanted(area, kind="360"))) == 3
    assert len(listed(Street(count=12), Wanted(area, kind="flat"))) == 9


def test_the_nearest_photo_is_found_far_from_an_empty_area() -> None:
    with serving(Street(count=5)) as address:
        empty = Wanted(area_of_box("16.60,48.30,16.61,48.31"))
        source = Panoramax(web(), address)
        assert list(source.photos(empty)) == []
        nearest = source.nearest(empty)
        assert nearest is not None
        assert nearest.id.startswith("00000004")
    with serving(Street(count=0)) as address:
        assert Panoramax(web(), address).nearest(empty) is None


BROKEN: dict[str, dict[str, Any]] = {
    "no place": {"geometry": None},
    "no numbers": {"geometry": {"coordinates": ["a", "b"]}},
    "not on Earth": {"geometry": {"coordinates": [4e5, 48]}},
    "one number": {"geometry": {"coordinates": [16]}},
    "no files": {"assets": []},
    "no name": {"id": None},
    "no properties": {"properties": None},
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_item_without_what_a_photo_needs_is_left_out_and_the_rest_goes_on(what: str) -> None:
    item = Street().item(0) | BROKEN[what]
    assert photo_of(item, "auto") is None
    assert photo_of(item | {"links": "none", "providers": 7}, "auto") is None


def test_odd_values_of_an_item_are_left_open() -> None:
    item = Street().item(1)
    item["properties"] |= {
        "datetime": "yesterday",
        "view:azimuth": True,
        "license": None,
        "pers:interior_orientation": None,
        "quality:horizontal_accuracy": -3,
    }
    item |= {"links": [7, {"rel": "license", "href": "https://x.org/terms"}], "providers": None}
    photo = photo_of(item, "hd")
    assert photo is not None
    assert (photo.time, photo.heading, photo.field_of_view, photo.accuracy) == (None,) * 4
    assert (photo.licence, photo.producer) == ("https://x.org/terms", "Ada 1")


def test_a_licence_that_nobody_states_is_none() -> None:
    item = Street().item(1)
    item["properties"]["license"] = "proprietary"
    photo = photo_of(item, "hd")
    assert photo is not None
    assert photo.licence is None


def test_sizes_and_hashes_that_an_item_states_are_kept() -> None:
    item = Street().item(1)
    item["assets"]["sd"] |= {"file:size": 1234, "file:checksum": "1220" + "Ab" * 32}
    photo = photo_of(item, "sd")
    assert photo is not None
    assert (photo.bytes, photo.sha256) == (1234, "ab" * 32)


def test_a_server_that_answers_html_is_named_in_one_line() -> None:
    with pytest.raises(SourceError, match=r"/api/search: .* a page of HTML, not JSON; check"):
        listed(Street(moods={"/api/search": ["html"]}))


@pytest.mark.parametrize("answer", [[], {"features": 7}, {"message": "no"}, None])
def test_json_that_is_no_list_of_photos_is_refused(
    answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = web()
    monkeypatch.setattr(asked, "json", lambda *_: answer)
    with pytest.raises(SourceError, match="is no list of photos"):
        list(Panoramax(asked, "http://x.org/api").photos(WANTED))
    with pytest.raises(SourceError, match="is no list of photos"):
        list(Mapillary(asked, "token").photos(WANTED))


@pytest.mark.parametrize("onward", ["http://127.0.0.1:1/api/search?after=1", "/api/search?after=0"])
def test_pages_that_lead_to_another_server_or_in_a_circle_end(
    onward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = web()
    page = {"features": [Street().item(0)], "links": [{"rel": "next", "href": onward}]}
    monkeypatch.setattr(asked, "json", lambda *_: page)
    with pytest.raises(SourceError, match=r"its pages lead (in a circle|to another server)"):
        list(Panoramax(asked, "http://x.org/api").photos(WANTED))


def test_an_address_that_is_none_is_refused() -> None:
    for server in ("ftp://x.org", "x.org", "", "file:///etc"):
        with pytest.raises(OptionError, match="is no address of a server"):
            Panoramax(web(), server)


def test_mapillary_is_asked_in_small_boxes_with_the_token_for_it_alone(tmp_path: Path) -> None:
    street = Street(count=9)
    with serving(street) as address:
        source = Mapillary(web(), "MLY|1|secret", address, page=4)
        photos = sorted(
            source.photos(Wanted(area_of_box("16.2,48.1,16.5,48.3"))), key=lambda p: p.id
        )
        web().photo(photos[0].image_url)
    assert [photo.id for photo in photos] == [str(1000 + i) for i in range(9)]
    for query in street.queries:
        west, south, east, north = map(float, query["bbox"].split(","))
        assert (east - west) * (north - south) < 0.01
    assert street.tokens == {"/images OAuth MLY|1|secret"}
    photo = photos[6]
    assert (photo.licence, photo.producer, photo.heading) == ("CC-BY-SA-4.0", "ada0", 60.0)
    assert photo.source_url == "https://www.mapillary.com/app/?pKey=1006"
    assert photo.position == Position(SOUTH, WEST + 6 * STEP)
    assert photo.time is not None
    assert photo.time.isoformat() == "2022-04-15T05:20:06+00:00"
    assert [p.is_panorama for p in photos[:6]] == [True, False, False, False, False, True]


def test_what_mapillary_leaves_out_is_left_open_and_what_lies_outside_is_left_out() -> None:
    street = Street(count=4)
    bare = {"id": 7, "geometry": {"coordinates": [WEST, SOUTH]}, "thumb_2048_url": "http://x/7"}
    outside = bare | {"id": 8, "geometry": {"coordinates": [WEST + 1, SOUTH]}}
    asked = web()
    asked.json = lambda *_: {"data": [bare, outside, {"id": 9}, None, street.image(2)]}  # type: ignore[method-assign]
    photos = list(Mapillary(asked, "t").photos(Wanted(area_of_box("16.36,48.19,16.38,48.21"))))
    assert [photo.id for photo in photos] == ["7", "1002"]
    photo = photos[0]
    assert (photo.producer, photo.heading, photo.time, photo.is_panorama) == (None,) * 3 + (False,)


def test_mapillary_without_a_token_says_where_to_get_one() -> None:
    for token in ("", "  "):
        with pytest.raises(OptionError, match=r"MAPILLARY_TOKEN is not set; get a token at https"):
            Mapillary(web(), token)
    with pytest.raises(OptionError, match="is no token"):
        Mapillary(web(), "a\nb")


def test_a_refused_token_is_told_without_showing_it() -> None:
    with serving(Street(moods={"/images": ["401"]})) as address:
        source = Mapillary(web(), "MLY|1|secret", address)
        with pytest.raises(SourceError, match="401 Unauthorized; give a valid token") as caught:
            list(source.photos(Wanted(area_of_box("16.36,48.19,16.37,48.2"))))
    assert "secret" not in str(caught.value)
