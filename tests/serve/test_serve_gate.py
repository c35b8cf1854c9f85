"""Who is let in: hosts, origins, keys; and what every answer carries, and what the log tells."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served, build, jpeg, photo, served, until

from hafloc import errors
from hafloc.errors import HaflocError, OptionError
from hafloc.serve import KINDS, Options, parse_keys, problem_of
from hafloc.serve.gate import host_name, is_own
from hafloc.serve.logs import Log
from hafloc.serve.run import check_open, own_names

READ, WRITE = "r" * 20, "w" * 20
KEYS = parse_keys(f"read:{READ} # a comment\n\nwrite:{WRITE}", "a test")


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Served]:
    with served(build(tmp_path / "city.gpkg"), hosts=own_names("127.0.0.1", ["maps.home"])) as one:
        yield one


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost:8000", 200), ("127.0.0.1", 200), ("MAPS.home", 200), ("[::1]:80", 200)),
        *(("evil.example", 421), ("10.1.2.3", 421), ("localhost.evil.example", 421)),
        *(("localhost@evil", 421), ("", 421), ("localhost:x", 421), ("a/b", 421)),
    ],
)
def test_only_own_names_are_answered(city: Served, host: str, status: int) -> None:
    response = city.client.get("/v1/databases", host=host)
    assert response.status_code == status
    assert (status == 200) == response.headers["content-type"].startswith("application/json")


def test_a_server_for_all_addresses_takes_addresses_but_no_strange_names() -> None:
    names = own_names("0.0.0.0", [])
    assert is_own("192.168.1.7", names)
    assert is_own("fe80::1", names)
    assert not is_own("evil.example", names)


@given(st.text(max_size=40))
def test_any_host_header_is_a_name_or_none(host: str) -> None:
    name = host_name(host)
    assert name is None or (name and "/" not in name)


def test_a_page_of_another_origin_may_not_post(city: Served) -> None:
    evil = city.client.post("/v1/locate", files=[photo(jpeg())], origin="https://evil.example")
    assert evil.status_code == 403
    null = city.client.post("/v1/locate", files=[photo(jpeg())], origin="null")
    assert null.status_code == 403
    cross = city.client.post("/v1/locate", files=[photo(jpeg())], sec_fetch_site="cross-site")
    assert cross.status_code == 403
    own = f"http://127.0.0.1:{city.port}"
    assert city.client.post("/v1/locate", files=[photo(jpeg())], origin=own).status_code == 200
    assert city.describer.seen == 1


def test_other_origins_are_let_in_by_name_alone(city: Served, tmp_path: Path) -> None:
    headers = city.client.get("/v1/databases", origin="https://maps.example").headers
    assert "access-control-allow-origin" not in headers
    with served(tmp_path / "city.gpkg", cors=("https://maps.example",)) as one:
        for origin, allowed in (("https://maps.example", True), ("https://evil.example", False)):
            headers = one.client.get("/v1/databases", origin=origin).headers
            assert (headers.get("access-control-allow-origin") == origin) == allowed
            assert headers["vary"] == "Origin"
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = one.client.send("OPTIONS", "/v1/locate", headers=asked)
            assert preflight.status_code == 204
            assert ("access-control-allow-origin" in preflight.headers) == allowed


def test_every_answer_carries_security_headers(city: Served) -> None:
    for path in ("/", "/v1/databases", "/nothing", "/v1/photos/99"):
        headers = city.client.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_without_keys_nobody_may_write_unless_all_may(city: Served, tmp_path: Path) -> None:
    assert city.client.delete("/v1/photos/1").status_code == 403
    assert city.client.get("/v1/settings").json()["writable"] is False
    with served(tmp_path / "city.gpkg", writable=True) as one:
        assert one.client.get("/v1/settings").json()["writable"] is True
        assert one.client.delete("/v1/photos/1").status_code == 204


def test_keys_open_what_they_are_for(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg"), keys=KEYS) as city:
        assert city.client.get("/v1/settings").json()["needs_key"] is True
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert city.client.get(path).status_code == 200
        closed = (
            *("/v1/databases", "/v1/photos", "/v1/photos/1/thumbnail", "/metrics", "/v1/"),
            *("/v1/collections", "/v1/tiles/city/0/0/0.mvt", "/v1/evidence/x/photo"),
        )
        for path in closed:
            response = city.client.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert "a key is needed" in response.json()["detail"]
            other = city.client.get(path, authorization=f"Bearer {READ[:-1]}x")
            assert (other.status_code, other.headers["www-authenticate"]) == (401, "Bearer")
            assert "this key is not known here" in other.json()["detail"]
        for header in ({"authorization": f"Bearer {READ}"}, {"x_api_key": WRITE}):
            assert city.client.get("/v1/databases", **header).status_code == 200
        assert city.client.delete("/v1/photos/1").status_code == 401
        assert city.client.delete("/v1/photos/1", x_api_key=READ).status_code == 403
        assert city.client.delete("/v1/photos/1", x_api_key=WRITE).status_code == 204
        assert city.client.post("/v1/locate", files=[photo(jpeg())]).status_code == 401
        assert not any(key in city.log.getvalue() for key in (READ, WRITE))


@pytest.mark.parametrize("text", ["", "# none", "read:short", "secret", "admin:" + "x" * 20])
def test_keys_that_are_none_are_told_without_being_shown(text: str) -> None:
    with pytest.raises(OptionError) as told:
        parse_keys(text, "keys.txt")
    assert "keys.txt" in str(told.value)
    assert "short" not in str(told.value) or "too short" in str(told.value)
    assert "secret" not in str(told.value)


def test_listening_to_others_without_keys_has_to_be_said() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.7", "maps.example"):
        with pytest.raises(OptionError, match="--open"):
            check_open(host, Options(), open_=False)
        check_open(host, Options(), open_=True)
        check_open(host, Options(keys=KEYS), open_=False)
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        check_open(host, Options(), open_=False)


def test_the_log_tells_of_requests_but_of_no_photo_place_or_token(city: Served) -> None:
    response = city.client.post(
        "/v1/locate?evidence=1&near=52.2,0.1,99999&name=secret",
        files=[photo(jpeg(), "holiday.jpg")],
    )
    token = response.json()["answers"][0]["evidence"]["id"]
    city.client.get(f"/v1/evidence/{token}/photo")
    city.client.get("/v1/photos?bbox=0.1,52.1,0.2,52.3")
    until(lambda: len(city.lines()) >= 3)  # one is written when its answer has been sent
    lines = city.lines()
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/locate", 200),
        ("/v1/evidence/{token}/photo", 200),
        ("/v1/photos", 200),
    ]
    log = city.log.getvalue()
    for word in ("52.2", "52.1", "holiday", "secret", token, "red.jpg", "city"):
        assert word not in log


def test_what_libraries_warn_of_is_a_line_without_its_words() -> None:
    for debug, words in ((False, {}), (True, {"detail": "holiday.jpg is odd"})):
        stream = io.StringIO()
        with Log(stream, debug=debug).of_libraries():
            logging.getLogger("hafloc.index.companion").warning("%s is odd", "holiday.jpg")
        (line,) = map(json.loads, stream.getvalue().splitlines())
        assert (line["event"], line["by"]) == ("warning", "hafloc.index.companion")
        assert line["line"].startswith("test_serve_gate.py:")
        assert {"detail": line["detail"]} == words if debug else "detail" not in line


def test_a_fault_is_an_answer_without_a_trace_and_a_line_in_the_log(
    city: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise RuntimeError("holiday.jpg")

    monkeypatch.setattr("hafloc.serve.databases.Database.facts", broken)
    response = city.client.get("/v1/databases")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/fault")
    assert "holiday" not in response.text
    city.stop()  # the log is written after the answer
    fault = next(line for line in city.lines() if line["event"] == "fault")
    assert (fault["kind"], "holiday" in str(fault)) == ("RuntimeError", False)
    assert any("broken" in place for place in fault["trace"])


def all_errors(kind: type[HaflocError] = HaflocError) -> list[type[HaflocError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in all_errors(child))]


@pytest.mark.parametrize("kind", [one for one in all_errors() if one.__module__ == errors.__name__])
def test_every_error_has_its_place_in_the_table(kind: type[HaflocError]) -> None:
    problem = problem_of(kind("cannot read x: why; what to do"))
    assert kind in KINDS
    assert 400 <= problem.kind.status < 600
    assert problem.kind.status != 500
    assert problem.to_dict()["detail"] == "cannot read x: why; what to do"


def test_methods_and_paths_that_are_not_there_are_problems(city: Served) -> None:
    wrong = city.client.send("PUT", "/v1/photos")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert wrong.headers["allow"] == "GET, POST"
    for path in ("/nothing", "/v1/nothing", "/assets/../../pyproject.toml", "/%2e%2e/x", "//x"):
        missing = city.client.get(path)
        assert missing.headers["content-type"] == "application/problem+json"
        assert missing.status_code == 404


def test_head_tells_what_get_would(city: Served) -> None:
    for path in ("/", "/v1/settings", "/v1/photos/1/thumbnail"):
        head, get = city.client.send("HEAD", path), city.client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_metrics_count_requests_and_photos(city: Served) -> None:
    city.client.post("/v1/locate", files=[photo(jpeg())])
    text = city.client.get("/metrics").text
    assert 'hafloc_requests_total{method="POST",route="/v1/locate",status="200"} 1.0' in text
    assert 'hafloc_located_photos_total{outcome="unknown"} 1.0' in text
    assert "hafloc_photos_waiting 0.0" in text


def test_below_a_prefix_links_lead_through_the_proxy(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg"), root_path="/geo") as city:
        page = city.client.get("/v1/photos?limit=1").json()
        assert f":{city.port}/geo/v1/photos?" in page["links"][0]["href"]
        assert page["features"][0]["properties"]["thumbnail"].startswith("/geo/v1/photos/1/")
        # A proxy may leave the prefix in the path or take it away.
        assert city.client.get("/geo/v1/photos?limit=1").status_code == 200
        settings = city.client.get("/v1/settings", x_forwarded_proto="https").json()
        assert settings["pmtiles"] is None
        secure = city.client.get("/v1/photos?limit=1", x_forwarded_proto="https").json()
        assert secure["links"][0]["href"].startswith("https://")
