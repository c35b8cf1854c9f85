"""The web page in a real browser: what a person sees, by mouse, by keyboard, on a phone."""

import csv
import io
import json
import re
import struct
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from browser import ARGUMENTS, MISSING, browser_path
from PIL import Image
from served import COLOURS, Served, build, jpeg, served
from shown_answers import Held, database
from shown_answers import answer as shown_answer

from hafloc.geo import Position
from hafloc.index import Record
from hafloc.locate import Answer
from hafloc.photos import Positions
from hafloc.serve import Tiles
from hafloc.serve.keys import parse_keys
from hafloc.show import write_map

if browser_path() is None:
    pytest.skip(MISSING, allow_module_level=True)

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

# A machine may be busy with other tests.
expect.set_options(timeout=15_000)
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
HERE = Position(52.2, 0.1)
Opener = Callable[..., Page]
Upload = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(build(tmp_path_factory.mktemp("city") / "city.gpkg")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, server: Served) -> Iterator[Opener]:
    """Opens the page in a context of its own; no error may have reached the console."""
    contexts, said = [], []

    def opens(
        query: str = "?map=plain", port: int | None = None, script: str = "", **options: Any
    ) -> Page:
        context = browser.new_context(**(DESKTOP | options))
        contexts.append(context)
        context.set_default_timeout(15_000)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: said.append((message.type, message.text)))
        page.on("pageerror", lambda error: said.append(("error", str(error))))
        page.goto(f"http://127.0.0.1:{port or server.port}/{query}")
        return page

    yield opens
    for context in contexts:
        context.close()
    # What a server refuses is told in the console too, by the browser itself.
    errors = [
        text for kind, text in said if kind == "error" and "Failed to load resource" not in text
    ]
    assert errors == []


def upload(name: str, colour: tuple[int, int, int] = COLOURS["red.jpg"]) -> Upload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": jpeg(colour)}


def give(page: Page, *files: Upload) -> None:
    page.set_input_files("#choose", files=list(files))


def answer_json(name: str, found: bool | None = True, at: Position = HERE) -> Any:
    """As the service answers, of two photos of the database."""
    records = [
        Record(f"{i}.jpg", f"{i:032x}", Position(at.lat + i / 10_000, at.lon), 8, 6, "csv", id=i)
        for i in (1, 2)
    ]
    told = Answer.from_hits(name, records, [0.9, 0.8]).to_dict()
    sure = {"radius": 25.0, "probability": 0.9} if found else {"radius": None, "probability": None}
    return told | {"found": found, "confidence": 0.97 if found else 0.02, "database": "city"} | sure


def answering(page: Page, *answers: Any) -> list[str]:
    """Lets the service answer so; the URLs that were asked."""
    asked: list[str] = []

    def fulfil(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"answers": [answers[min(len(asked), len(answers)) - 1]]})

    page.route("**/v1/locate?*", fulfil)
    return asked


def test_a_photo_is_located_and_shown_within_a_second_of_its_answer(
    opened: Opener, server: Served
) -> None:
    # Given the page with its map of vector tiles
    page = opened("healthz")
    with page.expect_response("**/v1/tiles/city/*/*/*.mvt") as tile:
        page.goto(f"http://127.0.0.1:{server.port}/")
    assert tile.value.ok
    expect(page.locator("#summary")).to_have_text("city · 4 photos")
    expect(page.locator(".ground canvas")).to_be_visible()
    # When a photo is chosen, its position is there at once; a busy machine has three tries
    took = []
    for _ in range(3):
        with page.expect_response("**/v1/locate?*") as asked:
            give(page, upload("mine.jpg"))
        asked.value.finished()
        start = time.monotonic()
        expect(page.locator("#answer .place")).to_have_text("52.200000, 0.100000")
        took.append(time.monotonic() - start)
        if took[-1] < 1:
            break
    assert min(took) < 1
    # And so are the nearest photos and a mark on the map
    expect(page.locator("#cards .card")).to_have_count(4)
    expect(page.locator("#map .pin")).to_have_count(1)
    first = page.locator("#cards .photo").first
    expect(first).to_have_js_property("naturalWidth", 80)
    expect(page.locator("#told")).to_contain_text("mine.jpg: 52.200000, 0.100000")


def test_the_policy_lets_nothing_in_line_and_nothing_of_others(server: Served) -> None:
    policy = server.client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"


def test_several_photos_become_a_list_that_is_sorted_and_saved(
    opened: Opener, tmp_path: Path
) -> None:
    page = opened()
    give(page, upload("b.jpg"), upload("a 10.jpg", COLOURS["blue.jpg"]), upload("a 9.jpg"))
    expect(page.locator("#progress")).to_have_text("3 of 3 photos answered")
    names = page.locator("#rows .name")
    expect(names).to_have_text(["b.jpg", "a 10.jpg", "a 9.jpg"])
    page.get_by_role("button", name="Photo", exact=True).click()
    expect(names).to_have_text(["a 9.jpg", "a 10.jpg", "b.jpg"])
    expect(page.locator("#list th[aria-sort=ascending]")).to_have_text("Photo")
    page.locator("#rows button.open", has_text="a 10.jpg").click()
    expect(page.locator("#answer .place")).to_have_text("52.300000, 0.100000")

    texts = {name: saved(page, name) for name in ("GeoJSON", "KML", "CSV", "GPX")}
    features = json.loads(texts["GeoJSON"])["features"]
    points = [f for f in features if f["properties"]["kind"] == "answer"]
    assert [f["properties"]["query"] for f in points] == ["b.jpg", "a 10.jpg", "a 9.jpg"]
    assert points[1]["geometry"]["coordinates"] == [0.1, 52.3]
    assert len(ElementTree.fromstring(texts["KML"]).findall(".//{*}Placemark")) == 3
    assert len(ElementTree.fromstring(texts["GPX"]).findall("{*}wpt")) == 3
    rows = list(csv.DictReader(io.StringIO(texts["CSV"])))
    assert [(row["image"], float(row["lat"])) for row in rows][1] == ("a 10.jpg", 52.3)
    # The table is one that hafloc reads.
    assert positions_in(texts["CSV"], tmp_path, ["a 9.jpg"]) == [Position(52.2, 0.1)]


def saved(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path()).read_text("utf-8")


def positions_in(text: str, folder: Path, names: Sequence[str]) -> list[Position | None]:
    (folder / "positions.csv").write_text(text, "utf-8")
    found = Positions.for_folder(folder, list(names))
    assert not found.problems
    assert not found.unmatched_photos
    return [found.rows[name].position for name in names]


def test_a_place_that_is_not_there_is_said_plainly_and_saved_as_no_point(opened: Opener) -> None:
    page = opened()
    answering(page, answer_json("far.jpg", found=False))
    give(page, upload("far.jpg"))
    expect(page.locator("#answer .absent")).to_have_text("Not in this database")
    expect(page.locator("#answer .place")).to_have_text("best guess 52.200100, 0.100000")
    expect(page.locator("#map .pin.guess")).to_have_count(1)
    expect(page.locator("#map .around")).to_have_count(0)
    # No guess is pressed on anybody.
    expect(page.locator("#answer .strong")).to_have_count(0)
    expect(page.get_by_role("button", name="Copy best guess")).to_be_visible()
    expect(page.locator("#legend-guess")).to_be_visible()
    expect(page.locator("#legend-radius")).to_be_hidden()
    assert "<wpt" not in saved(page, "GPX")


def test_an_answer_has_its_radius_and_matches(opened: Opener) -> None:
    page = opened()
    told = answer_json("mine.jpg")
    told["candidates"][0] |= {"inliers": 2, "matches": 3, "geometry": "homography"}
    points = [[1, 1, 2, 2], [4, 4, 5, 5]]
    pairs = {"query_size": [80, 60], "candidate_size": [80, 60], "points": points}
    answering(page, told | {"pairs": pairs})
    give(page, upload("mine.jpg"))
    expect(page.locator("#answer")).to_contain_text("within 25 m (90 %) · confidence 97 %")
    expect(page.locator("#answer")).not_to_contain_text("not fitted")
    expect(page.locator("#map .around")).to_have_count(1)
    expect(page.locator("#legend-radius")).to_have_text("holds the true place with 90 %")
    expect(page.locator("#why .matches line")).to_have_count(4)
    page.locator("#why").click()
    expect(page.locator("#compare")).to_contain_text("2 of 3 matches agree (homography)")


def test_a_radius_that_other_places_taught_says_so(opened: Opener) -> None:
    page = opened()
    answering(page, answer_json("mine.jpg") | {"calibration": "shipped"})
    give(page, upload("mine.jpg"))
    expect(page.locator("#answer")).to_contain_text("97 % · not fitted to this database")
    expect(page.locator("#told")).to_contain_text("not fitted to this database")


def test_photos_that_fail_are_counted(opened: Opener) -> None:
    page = opened()
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff nothing"}
    give(page, upload("a.jpg"), broken)
    expect(page.locator("#progress")).to_have_text("1 of 2 photos answered, 1 failed")


def test_what_went_wrong_is_told_in_the_servers_words(opened: Opener) -> None:
    page = opened()
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff nothing"}
    with page.expect_response("**/v1/locate?*") as asked:
        give(page, broken)
    words = asked.value.json()["detail"]
    assert "broken.jpg" in words
    expect(page.locator("#answer .problem")).to_have_text(words)
    # When the service is gone, the page says so, and asks again on demand.
    page.route("**/v1/locate?*", lambda route: route.abort())
    give(page, upload("mine.jpg"))
    expect(page.locator("#answer .problem")).to_contain_text("the service cannot be reached")
    page.unroute("**/v1/locate?*")
    page.locator("#answer").get_by_role("button", name="Again").click()
    expect(page.locator("#answer .place")).to_have_text("52.200000, 0.100000")


def test_a_busy_service_is_asked_again_when_it_says(opened: Opener) -> None:
    page, times = opened(), []

    def busy_once(route: Route) -> None:
        times.append(time.monotonic())
        if len(times) > 1:
            return route.continue_()
        details = {"title": "busy", "status": 503, "detail": "too many photos wait"}
        route.fulfill(status=503, headers={"Retry-After": "1"}, json=details)

    page.route("**/v1/locate?*", busy_once)
    give(page, upload("mine.jpg"))
    expect(page.locator("#answer")).to_contain_text("the service is busy; again in 1 s")
    expect(page.locator("#answer .place")).to_have_text("52.200000, 0.100000")
    assert 0.9 < times[1] - times[0] < 4


def test_a_photo_on_its_way_can_be_cancelled(opened: Opener) -> None:
    page = opened()
    page.route("**/v1/locate?*", lambda route: None)
    give(page, upload("one.jpg"), upload("two.jpg"), upload("three.jpg"))
    page.get_by_role("button", name="Cancel two.jpg").click()
    expect(page.locator("#rows tr", has_text="two.jpg")).to_contain_text("cancelled")
    page.locator("#cancel-all").click()
    expect(page.locator("#rows .state.cancelled")).to_have_count(3)


def test_a_hostile_name_stays_text(opened: Opener) -> None:
    page = opened()
    give(page, upload(HOSTILE), upload("b.jpg"))
    expect(page.locator("#progress")).to_have_text("2 of 2 photos answered")
    expect(page.locator("#answer h2")).to_have_text(HOSTILE)
    expect(page.locator("#rows .name").first).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0


def test_a_photo_dropped_or_pasted_is_located(opened: Opener) -> None:
    page = opened()
    for event, holder in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        data = page.evaluate_handle(
            """async () => {
              const canvas = Object.assign(document.createElement("canvas"), {width: 8, height: 8});
              const pen = canvas.getContext("2d"); pen.fillStyle = "rgb(10,10,250)";
              pen.fillRect(0, 0, 8, 8);
              const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
              const data = new DataTransfer();
              data.items.add(new File([blob], "blue.png", {type: "image/png"}));
              return data;
            }"""
        )
        page.dispatch_event("body", event, {holder: data, "bubbles": True})
        expect(page.locator("#answer .place")).to_have_text("52.300000, 0.100000")


def test_a_drag_that_is_given_up_leaves_the_page_as_it_was(opened: Opener) -> None:
    page = opened()
    expect(page.locator("#summary")).to_have_text("city · 4 photos")
    data = page.evaluate_handle(
        """(() => {
          const data = new DataTransfer();
          data.items.add(new File([], "a"));
          return data;
        })()"""
    )
    for ends in (lambda: page.mouse.move(300, 300), lambda: page.keyboard.press("Escape")):
        page.dispatch_event("body", "dragenter", {"dataTransfer": data, "bubbles": True})
        expect(page.locator("#over")).to_be_visible()
        ends()
        expect(page.locator("#over")).to_be_hidden()


def test_the_page_fits_a_phone(opened: Opener) -> None:
    page = opened(**PHONE)
    expect(page.locator("#take")).to_have_attribute("capture", "environment")
    expect(page.get_by_text("Take a photo")).to_be_visible()
    give(page, upload("a very long name of a photo " * 6 + ".jpg"), upload("b.jpg"))
    expect(page.locator("#progress")).to_have_text("2 of 2 photos answered")
    page.locator("summary").click()
    page.evaluate("document.querySelector('#browse').hidden = false")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    small = page.locator(".choices button:visible, .file:visible, .actions button:visible")
    assert min(box["height"] for one in small.all() if (box := one.bounding_box())) >= 38
    # The map pans by a finger, and the page beside it scrolls.
    assert page.locator("#map").bounding_box()["height"] < 844 * 0.7


def test_everything_is_done_by_keyboard_alone(opened: Opener) -> None:
    page, choosers = opened(), []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    expect(page.locator("#summary")).to_have_text("city · 4 photos")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files=[upload("mine.jpg")])
    expect(page.locator("#answer .place")).to_be_visible()
    # The answer takes no focus away.
    expect(page.locator("#choose")).to_be_focused()
    tab_to(page, "#map")
    bar = page.locator("#scale-text").inner_text()
    for _ in range(4):
        page.keyboard.press("+")
    expect(page.locator("#scale-text")).not_to_have_text(bar)
    page.keyboard.press("0")
    expect(page.locator("#scale-text")).to_have_text(bar)
    tab_to(page, ".card")
    page.keyboard.press("Enter")
    expect(page.locator("#pair")).to_contain_text("1: red.jpg")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#pair")).to_contain_text("2: ")
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator(".card").nth(1)).to_be_focused()


def tab_to(page: Page, selector: str, most: int = 40) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def test_a_correction_is_kept_and_saved_as_positions_that_hafloc_reads(
    opened: Opener, tmp_path: Path
) -> None:
    # Given an answer that a person knows better
    page = opened()
    name = 'IMG, "1".jpg'
    give(page, upload(name))
    page.get_by_role("button", name="Correct it").click()
    expect(page.locator("#correct-lat")).to_be_focused()
    # When the place is written, with a comma as some do, and then moved by the map
    page.fill("#correct-lat", "52,2050")
    page.fill("#correct-lon", "0.1020° E")
    page.get_by_role("button", name="It was here").click()
    expect(page.locator("#answer")).to_contain_text("You say it was at 52.205000, 0.102000")
    expect(page.locator("#map .cross")).to_have_count(2)
    page.reload()
    # Then it is still there, and the table is read by hafloc
    expect(page.locator("#corrected .name")).to_have_text(name)
    table = saved(page, "Save positions.csv")
    assert positions_in(table, tmp_path, [name]) == [Position(52.205, 0.102)]
    page.get_by_role("button", name=f"Forget where {name} was").click()
    expect(page.locator("#corrections")).to_be_hidden()


def test_a_correction_by_the_map_is_where_it_was_clicked(opened: Opener) -> None:
    page = opened()
    give(page, upload("mine.jpg"))
    page.get_by_role("button", name="Correct it").click()
    before = page.input_value("#correct-lat"), page.input_value("#correct-lon")
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + 200, box["y"] + 150)
    clicked = page.input_value("#correct-lat"), page.input_value("#correct-lon")
    assert clicked != before
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 150, steps=3)
    page.mouse.up()
    # Dragged along a parallel, to the east.
    assert float(page.input_value("#correct-lat")) == pytest.approx(float(clicked[0]), abs=1e-6)
    assert float(page.input_value("#correct-lon")) > float(clicked[1])


def test_a_circle_bounds_the_search_and_is_browsed(opened: Opener) -> None:
    page = opened()
    page.locator("summary").click()
    # Given a circle around the northern photo, in figures
    for field, value in (("lat", "52.3"), ("lon", "0.1"), ("metres", "500")):
        page.fill(f"#area-{field}", value)
    page.keyboard.press("Tab")
    expect(page.locator("#map .area")).to_have_count(1)
    page.get_by_role("button", name="Browse its photos").click()
    expect(page.locator("#browsed .name")).to_have_text(["blue.jpg"])
    # When a photo that looks like another place is asked
    with page.expect_request("**/v1/locate?*") as asked:
        give(page, upload("red.jpg"))
    assert parse_qs(urlparse(asked.value.url).query)["near"] == ["52.3000000,0.1000000,500"]
    # Then the answer lies within
    expect(page.locator("#answer .place")).to_have_text("52.300000, 0.100000")
    page.fill("#area-metres", "-3")
    give(page, upload("red.jpg"))
    expect(page.locator("#area-problem")).to_contain_text("a radius of 1 metre or more")


def test_a_circle_is_drawn_from_its_middle(opened: Opener) -> None:
    page = opened()
    expect(page.locator("#summary")).to_have_text("city · 4 photos")
    page.locator("summary").click()
    page.get_by_role("button", name="Draw it on the map").click()
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 300, steps=3)
    page.mouse.up()
    assert float(page.input_value("#area-metres")) > 10
    expect(page.get_by_role("button", name="Draw it on the map")).to_be_focused()
    page.get_by_role("button", name="Search everywhere").click()
    assert page.input_value("#area-lat") == ""
    expect(page.locator("#map .area")).to_have_count(0)


def test_a_click_on_the_map_shows_the_databases_photos_there(opened: Opener) -> None:
    # Given the map of all photos, the northern one at its upper edge
    page = opened()
    expect(page.locator("#scale-text")).to_have_text(re.compile("km"))
    box = page.locator("#map").bounding_box()
    # When it is clicked
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 55)
    # Then it is shown; and by keyboard what lies around the map's centre
    expect(page.locator("#browsed .name")).to_have_text(["blue.jpg"])
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("#map")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("no photo of the database around 52.25")
    # From far away all photos are at the centre.
    for _ in range(12):
        page.keyboard.press("-")
    page.keyboard.press("Enter")
    expect(page.locator("#browse-title")).to_be_focused()


def test_photos_are_browsed_nearest_first_of_as_small_a_box_as_is_given_whole(
    opened: Opener,
) -> None:
    # Given 40 photos on a meridian, the nearest one numbered last, and a service that gives 30
    page, boxes = opened(), []
    lats = [52.3 + (40 - i) / 10_000 for i in range(40)]

    def fulfil(route: Route) -> None:
        box = parse_qs(urlparse(route.request.url).query)["bbox"][0]
        boxes.append(box)
        _, south, _, north = (float(side) for side in box.split(","))
        held = [(i, lat) for i, lat in enumerate(lats) if south <= lat <= north]
        features = [
            {
                "id": i,
                "geometry": {"coordinates": [0.1, lat]},
                "properties": {"path": f"{i}.jpg", "heading": None, "time": None},
            }
            for i, lat in held[:30]
        ]
        links = [{"rel": "next", "href": "?after=30"}] if len(held) > 30 else []
        route.fulfill(json={"features": features, "links": links})

    page.route("**/v1/photos?*bbox=*", fulfil)
    page.locator("summary").click()
    for field, value in (("lat", "52.3"), ("lon", "0.1"), ("metres", "600")):
        page.fill(f"#area-{field}", value)
    # When they are browsed
    page.get_by_role("button", name="Browse its photos").click()
    # Then a box half as wide, given whole, has the nearest
    expect(page.locator("#browsed .name").first).to_have_text("39.jpg")
    expect(page.locator("#browsed .name")).to_have_count(24)
    expect(page.locator("#browse-note")).to_contain_text("24 of more than 26 photos around 52.3")
    assert len(boxes) == 2
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.locator("#browsed .name").last).to_have_text("14.jpg")


def test_photos_of_a_walk_are_asked_together_and_drawn_as_a_line(opened: Opener) -> None:
    page = opened()
    page.locator("summary").click()
    page.locator("#sequence").check()
    asked: list[str] = []

    def walk(route: Route) -> None:
        asked.append(route.request.url)
        places = Position(52.2, 0.1), Position(52.21, 0.1)
        answers = [answer_json(f"{i}.jpg", at=place) for i, place in enumerate(places)]
        route.fulfill(json={"answers": answers})

    page.route("**/v1/locate?*", walk)
    give(page, upload("0.jpg"), upload("1.jpg"))
    expect(page.locator("#map .walk")).to_have_count(1)
    assert len(asked) == 1
    assert "sequence=true" in asked[0]


def test_the_heat_map_of_each_level_lies_over_the_photo(opened: Opener) -> None:
    page = opened()
    give(page, upload("mine.jpg"))
    held: list[Route] = []
    page.route("**/attention?level=fused*", lambda route: held.append(route))
    page.get_by_role("button", name="Heat map").click()
    expect(page.locator("#heat-making")).to_be_visible()
    expect(page.locator("#strength")).to_be_disabled()
    held[0].continue_()
    expect(page.locator("#heat-making")).to_be_hidden()
    expect(page.locator("#strength")).to_be_enabled()
    expect(page.locator("#heat-stack .over")).to_have_attribute("alt", re.compile("level fused"))
    page.locator("#level").focus()
    with page.expect_response("**/attention?level=high*") as asked:
        page.keyboard.press("ArrowLeft")
    assert asked.value.status == 200
    expect(page.locator("#heat-stack .over")).to_have_attribute("alt", re.compile("level high"))
    expect(page.locator("#level")).to_have_attribute("aria-valuetext", "high")


def test_a_service_with_keys_asks_for_one(opened: Opener, tmp_path: Path) -> None:
    keys = parse_keys("read:open-sesame-1234-open-sesame-1234", "a test")
    with served(build(tmp_path / "city.gpkg"), keys=keys) as locked:
        page = opened(port=locked.port)
        expect(page.locator("#key")).to_be_focused()
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-note")).to_contain_text("key")
        page.fill("#key", "open-sesame-1234-open-sesame-1234")
        page.keyboard.press("Enter")
        expect(page.locator("#summary")).to_have_text("city · 4 photos")
        expect(page.locator("#key-form")).to_be_hidden()
        give(page, upload("mine.jpg"))
        # Pictures need the key as well.
        expect(page.locator("#cards .photo").first).to_have_js_property("naturalWidth", 80)


def test_a_photo_that_is_too_big_is_made_smaller_and_told(opened: Opener, server: Served) -> None:
    big = {"name": "big.jpg", "mimeType": "image/jpeg", "buffer": jpeg(size=(1600, 1200))}
    settings = server.client.get("/v1/settings").json() | {"max_photo_bytes": 20_000}
    assert len(big["buffer"]) > 20_000
    page = opened("healthz")
    page.route("**/v1/settings", lambda route: route.fulfill(json=settings))
    page.goto(f"http://127.0.0.1:{server.port}/?map=plain")
    give(page, big)
    expect(page.locator("#answer")).to_contain_text("Sent smaller")
    give(page, {"name": "raw.heic", "mimeType": "image/heic", "buffer": bytes(30_000)})
    expect(page.locator("#answer .problem")).to_contain_text("the service takes 20 kB")


def test_a_photo_that_the_browser_cannot_show_is_shown_by_the_service(opened: Opener) -> None:
    memory = io.BytesIO()
    Image.new("RGB", (80, 60), COLOURS["blue.jpg"]).save(memory, "TIFF")
    page = opened()
    give(page, {"name": "scan.tif", "mimeType": "image/tiff", "buffer": memory.getvalue()})
    expect(page.locator("#answer .place")).to_have_text("52.300000, 0.100000")
    expect(page.locator("#answer .photo")).to_have_js_property("naturalWidth", 80)


def archive(tile: bytes) -> bytes:
    """A PMTiles 3 archive of one PNG, that of the whole world."""
    directory = b"\x01" + b"\x00" + b"\x01" + varint(len(tile)) + b"\x01"
    metadata = b"{}"
    lengths = [len(directory), len(metadata), 0, len(tile)]
    offsets = [127, 127 + lengths[0], 127 + sum(lengths[:2]), 127 + sum(lengths[:2])]
    header = b"PMTiles\x03" + b"".join(
        struct.pack("<QQ", *pair) for pair in zip(offsets, lengths, strict=True)
    )
    # Counts; clustered, nothing compressed, PNG, zoom 0 to 0; bounds and centre.
    header += struct.pack("<QQQ6B", 1, 1, 1, 1, 1, 1, 2, 0, 0)
    header += struct.pack(
        "<4iBii", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000, 0, 0, 0
    )
    assert len(header) == 127
    return header + directory + metadata + tile


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def png() -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (256, 256), (180, 200, 190)).save(memory, "PNG")
    return memory.getvalue()


def test_the_background_comes_from_an_archive_beside_the_database(
    opened: Opener, tmp_path: Path
) -> None:
    (tmp_path / "map.pmtiles").write_bytes(archive(png()))
    city = build(tmp_path / "city.gpkg")
    with served(city, pmtiles=tmp_path / "map.pmtiles") as found:
        page = opened("healthz", port=found.port)
        with page.expect_response(
            lambda response: "map.pmtiles" in response.url and response.status == 206
        ):
            page.goto(f"http://127.0.0.1:{found.port}/")
        page.get_by_role("button", name="Settings").click()
        expect(page.locator("#background-note")).to_have_text("The map comes from this service.")


def test_the_background_comes_from_a_server_of_tiles_that_is_named(
    opened: Opener, tmp_path: Path
) -> None:
    tiles = Tiles("https://tiles.example.org/{z}/{x}/{y}.png", "© the mappers <b>")
    with served(build(tmp_path / "city.gpkg"), tiles=tiles) as found:
        page = opened("healthz", port=found.port)
        page.route("https://tiles.example.org/**", lambda r: r.fulfill(body=png()))
        with page.expect_response("https://tiles.example.org/**"):
            page.goto(f"http://127.0.0.1:{found.port}/")
        expect(page.locator("#attribution")).to_have_text("© the mappers <b>")
        page.get_by_role("button", name="Settings").click()
        expect(page.locator("#background-note")).to_contain_text("from tiles.example.org, which")
        page.locator("#background").uncheck()
        expect(page.locator("#attribution")).to_be_hidden()
        page.keyboard.press("Escape")
        # Phones take WebGL away from pages that wait: answers are still shown.
        page.evaluate(
            "document.querySelector('.ground canvas').getContext('webgl2')"
            ".getExtension('WEBGL_lose_context').loseContext()"
        )
        give(page, upload("mine.jpg"))
        expect(page.locator("#map .pin")).to_have_count(1)


def test_without_webgl_the_page_has_its_own_map(opened: Opener) -> None:
    page = opened(
        "",
        script="HTMLCanvasElement.prototype.getContext = ((get) => function (kind) {"
        "return kind === '2d' ? get.call(this, kind) : null;"
        "})(HTMLCanvasElement.prototype.getContext);",
    )
    expect(page.locator("#map canvas.dots")).to_be_visible()
    give(page, upload("mine.jpg"))
    expect(page.locator("#map .pin")).to_have_count(1)


def test_nobody_is_kept_out(opened: Opener) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The policy would not let axe in; all other tests hold it.
    page = opened(bypass_csp=True, reduced_motion="reduce")
    expect(page.locator("#summary")).to_have_text("city · 4 photos")
    page.locator("summary").click()
    answering(page, answer_json("a.jpg"), answer_json("b.jpg", found=False))
    give(page, upload("a.jpg"), upload("b.jpg"))
    expect(page.locator("#progress")).to_have_text("2 of 2 photos answered, 1 not in this database")
    page.get_by_role("button", name="Correct it").click()
    page.get_by_role("button", name="It was here").click()
    findings = serious(Axe().run(page))
    page.emulate_media(color_scheme="dark")
    findings |= serious(Axe().run(page))
    page.locator(".card").first.click()
    findings |= serious(Axe().run(page))
    assert findings == set()
    # That axe was looking is seen by what it finds in a page that is made worse.
    page.evaluate("document.querySelector('#close').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('#close').removeAttribute('title')")
    page.evaluate("document.querySelector('#close').textContent = ''")
    assert {name for name, _ in serious(Axe().run(page))} == {"button-name"}


def serious(result: Any) -> set[tuple[str, str]]:
    return {
        (found["id"], str(found["nodes"][0]["target"]))
        for found in result.response["violations"]
        if found["impact"] in {"serious", "critical"}
    }


def test_the_single_file_works_from_disk_with_ten_thousand_dots(
    browser: Browser, tmp_path: Path
) -> None:
    records = database(tmp_path, 4)
    far = [
        Record(f"far/{i}.jpg", f"{i:032x}", Position(37.7 + i / 1e5, -122.5), 8, 6, "csv", id=i + 9)
        for i in range(9_996)
    ]
    answers = [shown_answer(tmp_path, records, name) for name in ("a.jpg", HOSTILE)]
    write_map(tmp_path / "map.html", answers, Held([*records, *far], tmp_path))
    context = browser.new_context(**DESKTOP)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri() + "#2")
    expect(page.locator("#answer h2")).to_have_text(HOSTILE)
    expect(page.locator("#summary")).to_have_text("2 queries · 10,000 photos in the database")
    expect(page.locator("#query-list .photo").first).to_have_js_property("naturalWidth", 96)
    page.locator("#query-list button").first.click()
    page.locator("#map").focus()
    page.keyboard.press("w")
    expect(page.locator("#scale-text")).to_contain_text("km")
    page.locator(".card").nth(1).click()
    expect(page.locator("#pair")).to_contain_text("2: 1.jpg")
    page.keyboard.press("Escape")
    context.close()
    # Nothing but the file itself and the photos within it.
    assert [text for text in said if not text.startswith(("file:", "data:"))] == []
