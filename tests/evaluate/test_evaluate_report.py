"""What a person gets to see: JSON, tables, figures, galleries, reproductions and commands."""

import base64
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_sets
import typer
from numpy.typing import NDArray
from PIL import Image as Pillow
from typer.testing import CliRunner

from hafloc.cli import evaluate as command
from hafloc.cli.app import app as root
from hafloc.describe import Describer
from hafloc.description import Description, KeyPoints
from hafloc.errors import EvaluationError
from hafloc.evaluate import (
    CATALOGUE,
    Result,
    Setup,
    difference_lines,
    draw,
    evaluate,
    labels,
    load,
    reproduce,
    table,
    write_figure,
    write_galleries,
    write_json,
)
from hafloc.evaluate.per_weight import models_of_sweep
from hafloc.evaluate.protocol import BoxCrop
from hafloc.evaluate.reproduce import TABLE_1, TABLE_2, best_level_weights
from hafloc.progress import Silent


class LookingNetwork(small_sets.ColourNetwork):
    """Colours with heat in the middle, and three made-up levels."""

    name = "haf-colours"
    options = json.dumps({"level_whitening": "pca", "level_sizes": [36, 36, 36]})

    def fit(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return image

    def describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        heat = np.ones((-(-height // 2), -(-width // 2)), dtype=np.float32)
        heat[heat.shape[0] // 2] = 5
        none = np.zeros((0, 2), dtype=np.float32)
        points = KeyPoints(none, none[:, 0], none)
        return Description(self.vector(image), (width, height), {}, heat, points)


@pytest.fixture
def result(tmp_path: Path) -> Result:
    root = small_sets.pittsburgh(tmp_path / "pitts30k")
    return evaluate(load("pitts30k", root), LookingNetwork(), cache=tmp_path / "cache")


def test_the_json_holds_scores_protocol_model_and_provenance(
    result: Result, tmp_path: Path
) -> None:
    write_json(tmp_path / "out.json", [result])
    content = json.loads((tmp_path / "out.json").read_text())
    assert [content[f"recall@{n}"] for n in (1, 5, 10, 20)] == [0.75] * 4
    assert content["model"] == {
        "name": "haf-colours",
        "hash": "c0105",
        "options": LookingNetwork.options,
        "dimension": 108,
    }
    assert content["protocol"]["positives"] == "within 25 m (UTM, ≤)"
    assert content["recall curve"] == [0.75] * 100
    low, high = content["intervals"]["recall@1"]
    assert low < 0.75 < high
    assert {"hafloc", "time", "torch", "vectors described"} <= set(content["provenance"])
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()


def test_several_networks_give_one_table_with_a_row_each(result: Result, tmp_path: Path) -> None:
    text = table([result, result])
    head, rule, *rows = text.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")][:4] == [
        "pitts30k, %",
        "dimensions",
        "recall@1",
        "recall@5",
    ]
    assert set(rule) <= set("| -")
    low, high = result.intervals["recall@1"]
    assert len(rows) == 2
    assert all(f"| 75.00 [{100 * low:.1f}, {100 * high:.1f}] |" in row for row in rows)
    assert len({len(line) for line in text.splitlines()}) == 1
    write_json(tmp_path / "both.json", [result, result])
    assert len(json.loads((tmp_path / "both.json").read_text())) == 2


def test_networks_of_one_name_are_told_apart(result: Result) -> None:
    other = replace(result, model={**result.model, "hash": "f00df00d"})
    assert labels([result, result]) == ["haf-colours"] * 2
    assert labels([result, other]) == ["haf-colours c0105", "haf-colours f00df0"]


def test_differences_are_told_with_their_interval_over_the_same_queries(result: Result) -> None:
    worse = replace(result, each={"recall@1": np.array([1.0, 0.0, 0.0, 0.0])})
    assert difference_lines([result]) == []
    assert difference_lines([result, worse]) == [
        "haf-colours - haf-colours, recall@1, same queries: -50.00 [-100.0, +0.0] points"
    ]


def test_figures_come_as_png_and_svg(result: Result, tmp_path: Path) -> None:
    written = write_figure(draw([result]), tmp_path / "curves.png")
    assert [path.name for path in written] == ["curves.png", "curves.svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in written[1].read_text()
    holidays = load("holidays", small_sets.holidays(tmp_path / "holidays"))
    bars = evaluate(holidays, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    assert write_figure(draw([bars]), tmp_path / "bars.png")[0].is_file()


def test_a_gallery_shows_wrong_answers_first_and_loads_nothing(
    result: Result, tmp_path: Path
) -> None:
    (written,) = write_galleries(tmp_path / "gallery", [result])
    page = written.read_text()
    sections = re.findall(r'<section class="(\w+)">(.*?)</section>', page, re.DOTALL)
    assert [kind for kind, _ in sections] == ["failed", "found", "found", "found"]
    assert 'class="right"' not in sections[0][1]
    assert "000007_pitch1_yaw9.jpg: the database holds no right photo" in sections[0][1]
    assert re.search(r"1 ✓ right · 6 m · 0\.\d{3}", sections[1][1])
    assert re.search(r"3 ✗ wrong · \d+ m · \d\.\d{3}", sections[1][1])
    assert "1 of 4 queries have a wrong first answer" in page
    assert "#only:checked ~ main .found { display: none; }" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def test_a_gallery_shows_what_should_have_been_found(result: Result, tmp_path: Path) -> None:
    wrong = replace(
        result,
        ranking=np.full((4, 1), 5),
        right=np.zeros((4, 1), dtype=np.bool_),
        first_right=np.array([30, 2, 0, -1]),
    )
    (written,) = write_galleries(tmp_path / "gallery", [wrong])
    first, second = re.findall(r"<section.*?</section>", written.read_text(), re.DOTALL)[:2]
    assert "the first right photo has rank 31" in first
    assert "should be found · 6 m<br>000000_pitch1_yaw1.jpg" in first
    assert "the first right photo has rank 3" in second
    assert "should be found" not in second


def test_several_networks_have_a_gallery_each(result: Result, tmp_path: Path) -> None:
    other = replace(result, model={**result.model, "hash": "f00df00d"})
    assert [path.parent.name for path in write_galleries(tmp_path, [result, other])] == [
        "haf-colours c0105",
        "haf-colours f00df0",
    ]


def test_a_gallery_shows_the_crop_that_the_network_saw(tmp_path: Path) -> None:
    root = small_sets.oxford(tmp_path)
    pages = []
    for query in ("full", "tight"):
        benchmark = load("oxford5k", root, {"query": query})
        if query == "tight":
            crop = BoxCrop(0, 0, 50, 200)
            queries = tuple(replace(picture, crop=crop) for picture in benchmark.queries)
            benchmark = replace(benchmark, queries=queries)
        found = evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
        (written,) = write_galleries(tmp_path / query, [found])
        pages.append(written.read_text())
    sizes = []
    for page in pages:
        coded = re.search(r'class="query"><img src="data:image/jpeg;base64,([^"]+)"', page)
        assert coded
        with Pillow.open(io.BytesIO(base64.b64decode(coded[1]))) as image:
            sizes.append(image.size)
    assert sizes == [(200, 160), (50, 200)]


def test_each_crop_of_a_query_is_shown(tmp_path: Path) -> None:
    benchmark = load("sf0", small_sets.san_francisco(tmp_path), {"query": "crops"})
    found = evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    (written,) = write_galleries(tmp_path / "gallery", [found])
    assert written.read_text().count("query, crop 3 of 3") == 3


def test_names_in_a_gallery_are_text_whatever_they_hold(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path, tables=False)
    name = "<b>x&.png"
    (root / "queries" / "queries0.png").rename(root / "queries" / name)
    (root / "positions.csv").write_text(
        "image,lat,lon\n"
        + "".join(f"database/database{i}.png,{52 + i / 1000},0.1\n" for i in range(3))
        + f"queries/{name},52,0.1\n"
    )
    found = evaluate(load("folder", root), small_sets.ColourNetwork(), cache=tmp_path / "cache")
    page = write_galleries(tmp_path / "gallery", [found])[0].read_text()
    assert "<b>x" not in page
    assert "&lt;b&gt;x&amp;.png" in page


def setup(tmp_path: Path, networks: Sequence[LookingNetwork] | None = None) -> Setup:
    small_sets.holidays(tmp_path / "data" / "holidays")
    small_sets.tokyo247(tmp_path / "data" / "tokyo247")
    photo = small_sets.draw(tmp_path / "photo.png", 3, size=(80, 60))
    return Setup(
        tmp_path / "data",
        [LookingNetwork()] if networks is None else networks,
        [photo],
        tmp_path / "cache",
    )


def test_table_1_has_the_papers_numbers_beside_ours_and_invents_none(tmp_path: Path) -> None:
    written = reproduce("table1", tmp_path / "out", setup(tmp_path))
    assert [path.name for path in written] == ["table1.md", "table1.tex", "table1.csv"]
    with (tmp_path / "out" / "table1.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head[-2:] == ["HAF, paper", "HAF, ours"]
    assert [row[-2] for row in rows] == ["67.81", "69.52", "75.10", "78.29", "84.82", "88.41"]
    assert [row[-1] for row in rows[:4]] == ["not available"] * 4
    assert rows[5][-1] == "100.00 (108-D)"
    assert {row[2] for row in rows} == {"not available"}  # no NetVLAD was given
    assert "\\begin{tabular}" in (tmp_path / "out" / "table1.tex").read_text()
    assert len(TABLE_1) == 6


def test_table_1_compares_whitened_vectors_of_one_size(tmp_path: Path) -> None:
    for number in range(12):
        small_sets.draw(tmp_path / "town" / f"{number}.png", 50 + number)
    whitened = replace(setup(tmp_path), whiten_on=[tmp_path / "town"], dimension=9)
    reproduce("table1", tmp_path / "out", whitened)
    assert "(9-D) |" in (tmp_path / "out" / "table1.md").read_text()


def test_table_2_sweeps_the_level_weights_of_what_is_there(tmp_path: Path) -> None:
    reproduce("table2", tmp_path / "out", setup(tmp_path))
    text = (tmp_path / "out" / "table2.md").read_text()
    assert "| Tokyo Time Machine | (0.3, 0.3, 0.4) | not available | not available |" in text
    assert re.search(
        r"\| Tokyo 24/7 \| \(0\.2, 0\.3, 0\.5\) \| \(\d\.\d, \d\.\d, \d\.\d\) \|", text
    )
    assert set(TABLE_2) <= set(CATALOGUE)


def test_table_2_chooses_among_models_trained_for_one_weight_each(tmp_path: Path) -> None:
    class Blind(LookingNetwork):
        """Sees the same in every image."""

        name, hash = "haf-blind", "b11d"
        options = json.dumps({"level_weights": [1.0, 0.0, 0.0]})

        def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.ones(self.dimension, np.float32)

    class Seeing(LookingNetwork):
        name, hash = "haf-seeing", "5ee1"
        options = json.dumps({"level_weights": [0.0, 0.3, 0.7]})

    # Given Pittsburgh, where whoever sees colours finds three of four queries, and no other model
    root = small_sets.pittsburgh(tmp_path / "data" / "pitts250k")
    (root / "datasets" / "pitts30k_test.mat").rename(root / "datasets" / "pitts250k_test.mat")
    given = Setup(tmp_path / "data", [], cache=tmp_path / "cache", per_weight=[Blind, Seeing])
    # When the table is made, then it has the better model's weights, and says how few were trained
    reproduce("table2", tmp_path / "out", given)
    text = (tmp_path / "out" / "table2.md").read_text()
    assert "ours, one model for each λ (2 of 66)" in text
    gone = "not available"
    row = f"(0.1, 0.4, 0.5) | {gone} | {gone} | (0.0, 0.3, 0.7) | 75.00 | {gone} |"
    assert f"| Pittsburgh 250k | {row}" in text
    # And a model without levels is named
    flat = replace(given, per_weight=[LookingNetwork])
    with pytest.raises(EvaluationError, match="has no level weights"):
        reproduce("table2", tmp_path / "out", flat)


def test_only_finished_models_of_a_sweep_count(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no such folder"):
        models_of_sweep(tmp_path / "none")
    for name in ("0.0_0.0_1.0", "0.0_0.1_0.9"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    with pytest.raises(EvaluationError, match="holds no finished models"):
        models_of_sweep(tmp_path)
    (tmp_path / "0.0_0.1_0.9" / "recall.json").write_text("[1, 1, 1]")
    assert models_of_sweep(tmp_path) == (tmp_path / "0.0_0.1_0.9" / "model.safetensors",)


def test_the_best_level_weights_are_those_of_the_level_that_knows(tmp_path: Path) -> None:
    class OneLevel(LookingNetwork):
        """Low and mid see the same in every image; high sees colours."""

        dimension = 40
        options = json.dumps({"level_whitening": "pca", "level_sizes": [2, 2, 36]})

        def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            seen = super().vector(image)[:36]
            return np.concatenate([[9, 0, 9, 0], seen]).astype(np.float32)

    root = small_sets.pittsburgh(tmp_path / "pitts")
    weights, recall = best_level_weights(
        load("pitts30k", root), OneLevel(), tmp_path / "cache", Silent()
    )
    assert recall == 0.75
    assert weights[2] > 0


def test_compact_vectors_have_no_levels_to_weigh(tmp_path: Path) -> None:
    network = LookingNetwork()
    network.dimension = 64
    with pytest.raises(EvaluationError, match="compact vectors, whose levels are mixed"):
        best_level_weights(
            load("holidays", small_sets.holidays(tmp_path)), network, tmp_path, Silent()
        )


def test_figure_1_and_figure_3_are_drawn(tmp_path: Path) -> None:
    made = setup(tmp_path)
    assert [path.suffix for path in reproduce("fig1", tmp_path / "out", made)] == [".png", ".svg"]
    assert len(reproduce("fig3", tmp_path / "out", made)) == 5
    text = (tmp_path / "out" / "fig3.md").read_text()
    assert "| Tokyo 24/7 | haf-colours | 0.00 |" in text
    assert text.count("not available") == 12


def test_unknown_parts_and_missing_photos_are_refused(tmp_path: Path) -> None:
    made = setup(tmp_path)
    with pytest.raises(EvaluationError, match="there is no table9"):
        reproduce("table9", tmp_path, made)
    with pytest.raises(EvaluationError, match="name some with --photo"):
        reproduce("fig1", tmp_path, Setup(made.data, made.networks))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    def opened(name: str, **options: object) -> LookingNetwork:
        network = LookingNetwork()
        network.name, network.hash = name, name
        return network

    monkeypatch.setattr(Describer, "open", opened)
    return root


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        ("--compare a b --json x", "--compare a --compare b --json x"),
        ("--model m --compare=a b c", "--model m --compare=a --compare b --compare c"),
        ("--compare a --compare b c", "--compare a --compare b --compare c"),
        ("--root r stray", "--root r stray"),
        ("--compare", "--compare"),
    ],
)
def test_a_list_of_names_stands_for_a_repeated_option(given: str, spread: str) -> None:
    assert command.spread(given.split(), "--compare") == spread.split()


def test_the_command_measures_a_folder_and_writes_json(app: typer.Typer, tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(root), "--tolerance", "25"]
    arguments += ["--compare", "haf", "netvlad", "--figure", str(tmp_path / "f.png")]
    arguments += ["--json", str(tmp_path / "out.json")]
    arguments += ["--gallery", str(tmp_path / "gallery"), "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert re.search(r"\| haf +\| 108 +\| 100\.00 \[100\.0, 100\.0\] \|", done.stdout)
    assert "netvlad - haf, recall@1, same queries: +0.00 [+0.0, +0.0] points" in done.stdout
    assert "positives: within 25 m" in done.stdout
    content = json.loads((tmp_path / "out.json").read_text())
    assert [part["model"]["name"] for part in content] == ["haf", "netvlad"]
    assert content[0]["recall@1"] == 1.0
    assert (tmp_path / "f.svg").is_file()
    assert (tmp_path / "gallery" / "netvlad" / "index.html").is_file()
    assert f"wrote {tmp_path / 'out.json'}" in done.stderr


def test_without_names_the_shipped_network_is_measured_alone(
    app: typer.Typer, tmp_path: Path
) -> None:
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(small_sets.folder(tmp_path))]
    arguments += ["--json", str(tmp_path / "out.json"), "--cache", str(tmp_path / "cache")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text())["model"]["name"] == "haf"


def test_the_command_fits_keeps_and_applies_a_whitening(app: typer.Typer, tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path / "set")
    for number in range(12):
        small_sets.draw(tmp_path / "town" / f"{number}.png", 50 + number)
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(root)]
    arguments += ["--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "out.json")]
    fitted = [*arguments, "--whiten-on", str(tmp_path / "town"), "--dimension", "6"]
    done = CliRunner().invoke(app, [*fitted, "--save-whitening", str(tmp_path / "w.npz")])
    assert done.exit_code == 0, done.output
    first = json.loads((tmp_path / "out.json").read_text())
    assert first["model"]["dimension"] == 6
    again = CliRunner().invoke(app, [*arguments, "--whitening", str(tmp_path / "w.npz")])
    assert again.exit_code == 0, again.output
    second = json.loads((tmp_path / "out.json").read_text())
    assert second["recall curve"] == first["recall curve"]
    assert second["protocol"] == first["protocol"]
    both = CliRunner().invoke(app, [*fitted, "--compare", "haf", "crn"])
    assert both.exit_code == 0, both.output
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dimension", "6"], "--dimension 6 keeps the first, strongest, of whitened"),
        (["--whiten-on", "a", "--whitening", "b"], "name one"),
        (["--save-whitening", "w.npz"], "--save-whitening keeps what --whiten-on fits"),
        (["--whitening", "w.npz", "--compare", "a", "b"], "belongs to one network"),
    ],
)
def test_whitening_options_that_contradict_are_refused(
    app: typer.Typer, tmp_path: Path, more: list[str], message: str
) -> None:
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(tmp_path), *more]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, EvaluationError)
    assert message in str(done.exception)


def test_the_commands_list_check_and_reproduce(app: typer.Typer, tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["datasets", "list"])
    assert all(f"{name}: " in listed.stdout for name in CATALOGUE)
    assert "--set query=full|crop|tight|cirtorch" in listed.stdout
    missing = CliRunner().invoke(app, ["datasets", "check", "holidays", str(tmp_path)])
    assert missing.exit_code == 1
    assert "holds no images: none of jpg is there" in missing.stderr
    setup(tmp_path)
    arguments = ["reproduce", "table1", "--data", str(tmp_path / "data"), "-o", str(tmp_path)]
    made = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache")])
    assert made.exit_code == 0, made.output
    assert "table1.md" in made.stdout


def test_an_option_without_a_value_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(tmp_path), "--set", "x"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, EvaluationError)
    assert "--set x is not NAME=VALUE" in str(done.exception)
