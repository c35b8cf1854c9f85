"""The server with a real network, and the network as its threads share it."""

import threading
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from served import MeanColour

from hafloc.describe import Describer
from hafloc.description import ImageFeatures
from hafloc.index import build_index
from hafloc.index.part import Part, cut_part
from hafloc.serve import Log, Options, open_service
from hafloc.serve.network import Network, remembering
from hafloc.serve.pictures import attention_picture, matches_picture
from hafloc.serve.problems import Problem
from hafloc.serve.work import Dropped, Queue, check


def facade(path: Path, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (200, 150), "grey")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = random.integers(0, (190, 140))
        colour = tuple(random.integers(0, 255, 3).tolist())
        draw.rectangle((x, y, x + 12, y + 14), fill=colour)
    image.save(path, quality=95)
    return path.read_bytes()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("town")
    rows = ["image,lat,lon"]
    for number in range(4):
        facade(folder / f"{number}.jpg", number)
        rows.append(f"{number}.jpg,52.{number},0.1")
    (folder / "positions.csv").write_text("\n".join(rows))
    build_index(folder / "town.gpkg", Describer.open(tiny_checkpoint), folder)
    return folder


def test_a_real_network_locates_and_shows_why(town: Path, tiny_checkpoint: Path) -> None:
    from hafloc.serve.answers import Located
    from hafloc.serve.locating import Asked, works
    from hafloc.serve.uploads import Upload

    service = open_service(
        [str(town / "town.gpkg")],
        Options(),
        model=str(tiny_checkpoint),
        runtime="torch",
        log=Log(StringIO()),
    )
    try:
        (database,) = service.databases
        data = (town / "2.jpg").read_bytes()
        asked = Asked((database,), 3, None, 50, 0.9, False, False)
        ((located,),) = [work() for work in works([Upload("q.jpg", data)], asked, service)]
        assert isinstance(located, Located)
        assert located.answer.candidates[0].path == "2.jpg"
        assert located.answer.candidates[0].inliers
        kept = service.evidence.keep("q.jpg", data, located.answer, database)
        assert kept is not None
        with database.lent() as localizer:
            assert matches_picture(kept, localizer, 1)[1:4] == b"PNG"
            (town / "2.jpg").write_bytes(b"another photo")
            with pytest.raises(Problem, match="has changed"):
                matches_picture(kept, localizer, 1)
            (town / "2.jpg").write_bytes(data)
            pictures = {
                attention_picture(kept, localizer, level, plain=True)
                for level in ("low", "mid", "high", "fused")
            }
        assert len(pictures) == 4
    finally:
        service.close()


def test_matches_are_shown_on_the_index_s_own_picture_where_the_photo_is_not_at_hand(
    town: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    shared = tmp_path / "shared.gpkg"
    cut_part(town / "town.gpkg", shared, Part(thumbnails=True))
    service = open_service(
        [str(shared)], Options(), model=str(tiny_checkpoint), runtime="torch", log=Log(StringIO())
    )
    try:
        (database,) = service.databases
        data = (town / "2.jpg").read_bytes()
        with database.lent() as localizer:
            answer = localizer.locate(town / "2.jpg", top=3)
            kept = service.evidence.keep("q.jpg", data, answer, database)
            assert kept is not None
            assert matches_picture(kept, localizer, 1)[1:4] == b"PNG"
    finally:
        service.close()


class Batching(MeanColour):
    """A network that is slow, but takes eight images as fast as one."""

    at_once = 8

    def __init__(self) -> None:
        super().__init__(0.05)
        self.passes: list[int] = []

    def features_of(
        self, images: Sequence[NDArray[np.uint8]], *, local: bool, regions: bool
    ) -> list[ImageFeatures]:
        self.passes.append(len(images))
        time.sleep(self.slow)
        self.slow, slow = 0.0, self.slow
        try:
            return [self.features(image) for image in images]
        finally:
            self.slow = slow


def test_images_that_wait_go_through_together_with_those_of_their_size() -> None:
    describer = Batching()
    network = Network(describer)
    sizes = [(40, 60), (40, 60), (40, 60), (60, 40), (40, 60), (40, 60)]
    found: dict[int, ImageFeatures] = {}

    def ask(number: int, size: tuple[int, int]) -> None:
        image = np.full((*size, 3), 40 * number, np.uint8)
        image[..., 0] = 7
        found[number] = network.features(image)

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(sizes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(describer.passes) == 6
    assert len(describer.passes) <= 4
    assert max(describer.passes) > 1
    for number, size in enumerate(sizes):
        image = np.full((*size, 3), 40 * number, np.uint8)
        image[..., 0] = 7
        assert np.array_equal(found[number].vector, describer.features(image).vector)


def test_a_pass_that_fails_fails_for_all_in_it_and_for_none_after() -> None:
    describer = Batching()
    network = Network(describer)
    describer.features_of = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        network.features(np.zeros((4, 4, 3), np.uint8))
    del describer.features_of
    assert network.features(np.zeros((4, 4, 3), np.uint8)).vector.shape == (3,)


def test_an_image_asked_for_again_within_one_piece_of_work_is_described_once() -> None:
    describer = MeanColour()
    network, image = Network(describer), np.zeros((8, 8, 3), np.uint8)
    with remembering():
        assert network.features(image) is network.features(image.copy())
        network.features(image, regions=False)
    assert describer.seen == 2
    network.features(image)
    assert describer.seen == 3


def test_clients_take_turns() -> None:
    queue, order = Queue(1, 100), list[str]()
    gate = threading.Event()
    first = queue.submit("a", [gate.wait], 10)
    many = queue.submit("a", [lambda: order.append("a") for _ in range(5)], 10)
    one = queue.submit("b", [lambda: order.append("b")], 10)
    gate.set()
    for ticket in (*first, *many, *one):
        ticket.future.result(10)
    assert order.index("b") <= 1
    queue.close()


def test_work_that_nobody_waits_for_ends_at_its_next_step() -> None:
    queue, begun, go_on = Queue(1, 10), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        check()

    (ticket,) = queue.submit("a", [work], 10)
    begun.wait(10)
    queue.drop([ticket])
    go_on.set()
    with pytest.raises(Dropped):
        ticket.future.result(10)
    queue.close()
