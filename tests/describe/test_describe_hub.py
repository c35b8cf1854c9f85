"""Networks of torch.hub: found, allowed, run, held to one vector a photo, or refused."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc import consent
from hafloc.describe import Describer, hub_source, known_networks
from hafloc.errors import CheckpointError, HaflocError, MissingExtraError, OptionError
from hafloc.index import build_index, open_index
from hafloc.locate import Localizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# A network in a module of its own, as those in repositories are.
NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, dimension=8):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 7, 7), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(256, dimension),
        )

    def forward(self, x):
        return self.layers(x)
"""
HUBCONF = """
dependencies = ["torch"]
from the_network import Net

def small(dimension=8, pretrained=True):
    print("Returning a small network")
    return Net(dimension)
"""


@pytest.fixture(autouse=True)
def _no_earlier_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv(consent.ENVIRONMENT, raising=False)
    consent.ask_by(None)
    consent.allow_always(False)


def write_repo(folder: Path, hubconf: str = HUBCONF, network: str = NETWORK) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hubconf.py").write_text(hubconf)
    (folder / "the_network.py").write_text(network)
    return folder


def answering(expression: str) -> str:
    """A repository's hubconf whose network answers with that, of `x` `N×3×H×W`."""
    return f"""
import torch
class Odd(torch.nn.Module):
    def forward(self, x):
        return {expression}
def odd():
    return Odd()
"""


def photo(place: int, size: tuple[int, int] = (80, 60)) -> NDArray[np.uint8]:
    colours = np.random.default_rng(place).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.array(Pillow.fromarray(colours).resize(size, Pillow.Resampling.NEAREST))


def test_a_folder_describes_with_unit_vectors_that_are_the_modules_own(tmp_path: Path) -> None:
    repo = write_repo(tmp_path / "net")
    name = f"hub:{repo}:small?size=42x56&mean=0.5,0.25,0&std=0.5,0.25,1&arg.dimension=5"
    describer = Describer.open(name, trust=True)
    image = photo(1, (56, 42))
    values = (image / 255 - (0.5, 0.25, 0)) / (0.5, 0.25, 1)
    module = torch.hub.load(str(repo), "small", source="local", dimension=5).eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(values.transpose(2, 0, 1)[None]).float())[0].numpy()
    assert describer.dimension == 5
    assert describer.vector(image) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert describer.describe(image).vector == pytest.approx(describer.vector(image), abs=1e-6)


def test_nothing_of_the_code_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Describer.open(f"hub:{write_repo(tmp_path / 'net')}:small", trust=True)
    assert capsys.readouterr().out == ""


def test_code_does_not_run_unless_it_is_allowed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hubconf = f"open({str(mark)!r}, 'w').close()\n{HUBCONF}"
    name = f"hub:{write_repo(tmp_path / 'net', hubconf)}:small"
    with pytest.raises(OptionError, match=r"cannot ask whether hub:.* may run: .* allow it by"):
        Describer.open(name)
    consent.ask_by(lambda question: False)
    with pytest.raises(OptionError, match="was not run"):
        Describer.open(name)
    assert not mark.exists()


def test_a_yes_is_remembered_until_the_code_changes(tmp_path: Path) -> None:
    repo = write_repo(tmp_path / "net")
    asked: list[str] = []
    consent.ask_by(lambda question: asked.append(question) is None)
    Describer.open(f"hub:{repo}:small")
    Describer.open(f"hub:{repo}:small")
    assert len(asked) == 1
    assert "code by others" in asked[0]
    (repo / "the_network.py").write_text(NETWORK.replace("AdaptiveAvg", "AdaptiveMax"))
    Describer.open(f"hub:{repo}:small")
    assert len(asked) == 2


def test_the_environment_allows_all_or_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = write_repo(tmp_path / "net")
    monkeypatch.setenv(consent.ENVIRONMENT, "all")
    Describer.open(f"hub:{repo}:small")
    monkeypatch.setenv(consent.ENVIRONMENT, f"hub:{repo}")
    Describer.open(f"hub:{repo}:small")
    monkeypatch.setenv(consent.ENVIRONMENT, "hub:/another")
    with pytest.raises(OptionError):
        Describer.open(f"hub:{repo}:small")


def test_the_hash_is_of_code_weights_arguments_and_input(tmp_path: Path) -> None:
    def hash_of(repo: Path, more: str = "") -> str:
        return Describer.open(f"hub:{repo}:small{more}", trust=True).hash

    here = write_repo(tmp_path / "here")
    first = hash_of(here)
    assert hash_of(write_repo(tmp_path / "moved")) == first
    others = {
        hash_of(here, "?size=28x28"),
        hash_of(here, "?arg.dimension=9"),
        hash_of(write_repo(tmp_path / "b", network=NETWORK.replace("seed(0)", "seed(1)"))),
        hash_of(write_repo(tmp_path / "c", network=NETWORK.replace("nn.ReLU", "nn.GELU"))),
    }
    assert len(others | {first}) == 5


def test_an_index_belongs_to_the_network_and_finds_its_folder_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_repo(home / "net")
    photos = home / "photos"
    photos.mkdir()
    rows = ["image,lat,lon"]
    for place in range(3):
        Pillow.fromarray(photo(place)).save(photos / f"{place}.png")
        rows.append(f"{place}.png,52.{place},0.1")
    (photos / "positions.csv").write_text("\n".join(rows))
    describer = Describer.open(f"hub:{home / 'net'}?size=28", trust=True)
    build_index(home / "city.gpkg", describer, photos)
    with open_index(home / "city.gpkg") as index:
        assert index.model.name == "hub:./net:small?size=28,28"
        assert index.model.hash == describer.hash
    home.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    with pytest.raises(HaflocError, match="cannot ask whether"):
        Localizer.open(moved / "city.gpkg")
    with Localizer.open(moved / "city.gpkg", trust=True) as localizer:
        assert localizer.locate(photo(1)).candidates[0].path.endswith("1.png")
    (moved / "net" / "the_network.py").write_text(NETWORK.replace("ReLU", "GELU"))
    with pytest.raises(HaflocError, match="made with"):
        Localizer.open(moved / "city.gpkg", trust=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("x", r"answers with maps of 2×3×224×224"),
        ("x.mean((1, 2, 3))", r"answers with 2 numbers for 2 photos"),
        ("x.mean((2, 3))[:1]", r"answers with 1×3 numbers for 2 photos"),
        ("x.mean((2, 3)).squeeze()[:, :1]", r"1 number a photo, which is no vector"),
        ("(x.mean((2, 3)), x)", r"answers with a tuple of 2 parts"),
        ("{'global': x.mean((2, 3))}", r"answers with a dict of 1 parts"),
        ("x.mean((2, 3)) * float('nan')", r"zero or no numbers"),
        ("x.mean((2, 3)) * 0", r"zero or no numbers"),
        ("x.mean((2, 3)).long()", r"torch.int64 numbers"),
        ("x.mean((2, 3)).squeeze(0)", r"answers with 3 numbers for 1 photos"),
        ("1 / 0", r"cannot describe an image of 224×224 pixels: division by zero"),
    ],
)
def test_an_answer_that_is_not_one_vector_a_photo_is_refused(
    tmp_path: Path, answer: str, said: str
) -> None:
    repo = write_repo(tmp_path / "odd", answering(answer))
    with pytest.raises(CheckpointError, match=said) as caught:
        Describer.open(f"hub:{repo}", trust=True)
    assert "\n" not in str(caught.value)


def test_a_photo_whose_vector_is_no_number_is_left_out_alone(tmp_path: Path) -> None:
    # The logarithm of a black photo's mean is no number.
    repo = write_repo(tmp_path / "odd", answering("x.mean((2, 3)).log()"))
    describer = Describer.open(f"hub:{repo}?mean=0,0,0&std=1,1,1", trust=True)
    for name, value in (("black", 0), ("grey", 128)):
        Pillow.new("RGB", (64, 48), (value, value, value)).save(tmp_path / f"{name}.png")
    paths = [tmp_path / "black.png", tmp_path / "grey.png"]
    (_, black), (_, grey) = describer.describe_files(paths)
    assert "black.png: hub:" in str(black)
    assert not isinstance(grey, HaflocError)


@pytest.mark.parametrize(
    ("hubconf", "entry", "error", "said"),
    [
        (HUBCONF.replace('"torch"', '"torch", "no_such_pkg"'), "small", MissingExtraError,
         r"needs no_such_pkg; pip install no_such_pkg"),
        (f"import no_such_pkg\n{HUBCONF}", "small", MissingExtraError, "needs no_such_pkg"),
        (HUBCONF, "large", CheckpointError, r"its entries are small"),
        (HUBCONF + "def other(): return 1\n", "", CheckpointError, r"has 2 entries; name one"),
        (HUBCONF + "def other(): return 1\n", "other", CheckpointError, r"gives a int, not a net"),
        ("def small(:", "small", CheckpointError, r"cannot read hubconf.py"),
        ("def small(): return input('Download?')", "small", CheckpointError, "asks a question"),
        ("def small(): raise OSError('no weights\\nat all')", "small", CheckpointError,
         "by small: no weights at all"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_repository_is_one_line(
    tmp_path: Path, hubconf: str, entry: str, error: type[HaflocError], said: str
) -> None:
    repo = write_repo(tmp_path / "net", hubconf)
    with pytest.raises(error, match=said) as caught:
        Describer.open(f"hub:{repo}:{entry}" if entry else f"hub:{repo}", trust=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hub:", "is no network"),
        ("hub:owner", "is no network"),
        ("hub:owner/repo:a:b", "is no network"),
        ("hub:./nowhere", r"there is no folder .*nowhere with a hubconf.py"),
        ("hub:owner/repo?size", "says nothing"),
        ("hub:owner/repo?side=3", "says nothing"),
        ("mixvpr", "no hubconf.py: export it as ONNX"),
    ],
)
def test_names_that_are_none_are_told(name: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        Describer.open(name, trust=True)


def test_a_folder_without_hubconf_and_wrong_sizes_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no hubconf\.py"):
        Describer.open(f"hub:{tmp_path / 'empty'}", trust=True)
    repo = write_repo(tmp_path / "net")
    for query in ("size=0x3", "mean=1,2", "std=0,1,1", "longer_side=big", "channels=HSV"):
        with pytest.raises(CheckpointError, match=query.split("=")[0]):
            Describer.open(f"hub:{repo}?{query}", trust=True)


def test_two_repositories_with_modules_of_one_name_do_not_mix(tmp_path: Path) -> None:
    eight = write_repo(tmp_path / "a")
    other = NETWORK.replace("dimension=8", "dimension=6")
    six = write_repo(tmp_path / "b", HUBCONF.replace("Net(dimension)", "Net()"), other)
    dimensions = [
        Describer.open(f"hub:{repo}:small", trust=True).dimension for repo in (eight, six, eight)
    ]
    assert dimensions == [8, 6, 8]


class GitHub(BaseHTTPRequestHandler):
    """Answers as GitHub does for one repository `owner/net` at COMMIT."""

    archive = b""
    seen: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append(self.path)
        answers = {
            "/repos/owner/net/commits/HEAD": COMMIT.encode(),
            "/repos/owner/net/commits/main": COMMIT.encode(),
            f"/owner/net/zip/{COMMIT}": self.archive,
        }
        limited = "/repos/owner/busy" in self.path
        self.send_response(403 if limited else 200 if self.path in answers else 404)
        self.end_headers()
        self.wfile.write(answers.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GitHub]]:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr(f"net-{COMMIT}/hubconf.py", HUBCONF)
        archive.writestr(f"net-{COMMIT}/the_network.py", NETWORK)
    GitHub.archive, GitHub.seen = packed.getvalue(), []
    server = HTTPServer(("127.0.0.1", 0), GitHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    home = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(hub_source, "COMMITS", home + "/repos/{repo}/commits/{reference}")
    monkeypatch.setattr(hub_source, "ARCHIVE", home + "/{repo}/zip/{commit}")
    yield GitHub
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_repository_is_fetched_once_and_its_commit_recorded(
    tmp_path: Path, github: type[GitHub]
) -> None:
    with pytest.raises(OptionError, match=f"hub:owner/net@{COMMIT}"):
        Describer.open("hub:owner/net")
    assert not any("zip" in path for path in github.seen)
    newest = Describer.open("hub:owner/net", trust=True)
    assert newest.name == f"hub:owner/net:small@{COMMIT}"
    assert newest.name_from(tmp_path) == newest.name
    assert Describer.open("hub:owner/net:small@main", trust=True).hash == newest.hash
    github.seen.clear()
    assert Describer.open(newest.name, trust=True).hash == newest.hash
    assert github.seen == []
    # The same files in a folder are the same network.
    assert Describer.open(f"hub:{write_repo(tmp_path / 'n')}", trust=True).hash == newest.hash


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hub:owner/none", r"no such public repository or commit \(404\)"),
        ("hub:owner/busy", "GitHub answers no more for now"),
        (f"hub:owner/net@{COMMIT[::-1]}", r"no such public repository or commit \(404\)"),
    ],
)
def test_a_repository_that_cannot_be_had_is_told(
    github: type[GitHub], name: str, said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        Describer.open(name, trust=True)


def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on port 9.
    monkeypatch.setattr(hub_source, "COMMITS", "http://127.0.0.1:9/{repo}/{reference}")
    with pytest.raises(CheckpointError, match=r"cannot fetch owner/net: .*connect to the internet"):
        Describer.open("hub:owner/net", trust=True)


def test_the_table_of_networks_says_what_opening_needs() -> None:
    for name, row in known_networks().items():
        parts = hub_source.parse(row.model or f"hub:{row.repo}@{row.commit}")
        assert (parts.repo, parts.commit) == (row.repo, row.commit)
        assert len(row.commit) == 40, name
        assert row.entry or row.note
        assert row.dimension > 0
        assert set(row.input) <= {"size", "longer_side", "mean", "std", "channels", "multiple_of"}


def test_the_page_shows_the_table_that_the_commands_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    for name, row in known_networks().items():
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == f"{row.repo} @ `{row.commit[:8]}`"
        assert cells[4:6] == [f"{row.dimension:,}", row.licence]
        recalls = ", ".join(f"{key} {value}" for key, value in row.recall.items())
        assert cells[6:] == [recalls or "not read", row.source]
