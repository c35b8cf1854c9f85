"""Photos described by the nodes of a Ray cluster are those that one process describes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_ray import ActorError, FakeRay
from PIL import Image as Pillow

from hafloc import cluster as cluster_module
from hafloc.cluster import Cluster
from hafloc.demo import render_city
from hafloc.describe import Describer
from hafloc.describe.shards import OpenDescriber, look_on_cluster
from hafloc.errors import HaflocError, OptionError, PhotoError
from hafloc.index import build_index, open_index
from hafloc.photos import Photo, PhotoFile, scan


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    render_city(folder, database=6, queries=0, size=(160, 120))
    return folder / "database"


@pytest.fixture(scope="module")
def describer(tiny_checkpoint: Path) -> Describer:
    return Describer.open(tiny_checkpoint)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(cluster_module, "_import_ray", lambda: fake)
    return fake


def opened(describer: Describer, model: Path, **other: Any) -> OpenDescriber:
    made = {"hash": describer.hash, "local": True, "regions": False} | other
    return OpenDescriber(str(model), None, "torch", "float32", **made)


def test_a_cluster_gives_what_one_process_gives(
    photos: Path, describer: Describer, ray: FakeRay
) -> None:
    files = list(scan(photos).paths)[:3]
    here = dict(describer.describe_files(files, local=True))
    there = dict(describer.describe_files(files, local=True, ray="local", workers=2))
    assert here.keys() == there.keys()
    for file, one in here.items():
        other = there[file]
        assert not isinstance(one, HaflocError)
        assert not isinstance(other, HaflocError)
        np.testing.assert_allclose(one.features.vector, other.features.vector, atol=1e-6)
        assert one.photo.content == other.photo.content
        assert (one.photo.width, one.photo.metadata) == (other.photo.width, other.photo.metadata)
        assert other.photo.image.size == 0


def test_what_cannot_be_read_is_told_and_what_has_no_place_is_not_described(
    tmp_path: Path, describer: Describer, ray: FakeRay
) -> None:
    Pillow.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff broken")
    files = [tmp_path / name for name in ("a.png", "b.jpg", "c.jpg")]

    def check(path: PhotoFile, photo: Photo) -> None:
        raise PhotoError("no place")

    found = dict(describer.describe_files(files, check, ray="local", is_placed=lambda file: False))
    said = [str(error).partition(" /")[0] for error in found.values()]
    assert said == ["no place", "cannot read", "cannot read"]
    assert "there is no such file" in str(found[files[2]])


def test_another_checkpoint_on_a_node_is_refused(
    photos: Path, describer: Describer, tiny_checkpoint: Path
) -> None:
    made = Cluster("local", opened(describer, tiny_checkpoint, hash="0" * 32), ray=FakeRay())
    with pytest.raises(OptionError, match="a node has another checkpoint as"):
        list(look_on_cluster(made, scan(photos).paths))


def test_another_hafloc_on_a_node_is_refused(describer: Describer, tiny_checkpoint: Path) -> None:
    with pytest.raises(OptionError, match=r"a node has hafloc .*, and here is 0\.0\.1; install"):
        opened(describer, tiny_checkpoint, version="0.0.1")(1, "cpu")


def test_what_stays_in_its_process_cannot_go_to_a_cluster(describer: Describer) -> None:
    loaded = Describer.__new__(Describer)
    with pytest.raises(OptionError, match=r"only what Describer\.open gives"):
        list(Describer.describe_files(loaded, [Path("a.jpg")], ray="local"))


def test_a_build_that_loses_all_workers_keeps_what_is_stored_and_goes_on(
    photos: Path,
    describer: Describer,
    ray: FakeRay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hafloc.describe.shards._PHOTOS", 2)
    works = []

    def all_lost(actor: int, given: Any) -> None:
        if given:
            works.append(given)
            if len(works) > 2:
                raise ActorError("the nodes are gone")
        elif len(works) > 2:
            raise ActorError("the nodes are gone")

    ray.fault = all_lost
    index = tmp_path / "i.gpkg"
    with pytest.raises(OptionError, match="no worker of the Ray cluster local is left"):
        build_index(index, describer, photos, ray="local")
    ray.fault = lambda actor, given: None
    report = build_index(index, describer, photos, ray="local")
    assert (report.unchanged, report.added) == (4, 2)


@pytest.fixture
def two_nodes() -> Iterator[tuple[str, Any]]:
    """The address of a Ray cluster of two nodes on this machine, and what takes the second away."""
    pytest.importorskip("ray", reason="needs hafloc[ray]")
    script = Path(__file__).parents[1] / "support" / "two_ray_nodes.py"
    process = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip(), process.stdin
    finally:
        process.stdin.close()
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ray's local clusters need Unix")
def test_a_build_on_two_nodes_goes_on_when_one_is_removed(
    two_nodes: tuple[str, Any], tmp_path: Path, tiny_checkpoint: Path
) -> None:
    address, remove = two_nodes
    assert address, "the cluster began"
    render_city(tmp_path, database=44, queries=0, size=(160, 120))
    database, index = tmp_path / "database", tmp_path / "i.gpkg"
    words = [sys.executable, "-m", "hafloc", "index", "build", index, database]
    words += ["--model", tiny_checkpoint, "--no-calibrate", "--ray", address]
    # Shards of two, so that the node goes in the middle of many.
    code = "import sys, hafloc.describe.shards as s; s._PHOTOS = 2; sys.argv[0] = 'hafloc'; "
    words[1:3] = ["-c", code + "from hafloc.cli import main; main()"]
    build = subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and build.poll() is None and _count(index) < 1:
        time.sleep(0.1)
    remove.write("remove\n")
    remove.flush()
    out, err = build.communicate(timeout=300)
    assert build.returncode == 0, err
    assert "44 added" in out
    assert _count(index) == 44
    with open_index(index) as opened:
        ids = [record.id or 0 for record in opened.iterate()]
        names = [record.path for record in opened.iterate()]
        vectors = opened.vectors(ids)
    assert len(set(names)) == 44
    there = dict(zip(names, vectors, strict=True))
    one = Describer.open(tiny_checkpoint)
    build_index(tmp_path / "one.gpkg", one, database)
    with open_index(tmp_path / "one.gpkg") as opened:
        for record in opened.iterate():
            (vector,) = opened.vectors([record.id or 0])
            np.testing.assert_allclose(vector, there[record.path], atol=1e-6)


def _count(index: Path) -> int:
    try:
        with open_index(index) as opened:
            return opened.count()
    except HaflocError:
        return 0
