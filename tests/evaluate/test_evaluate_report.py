"""What a person gets to see: JSON, tables, figures, galleries, reproductions and commands."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import small_sets
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from hafloc.cli import evaluate as command
from hafloc.describe import Describer
from hafloc.errors import EvaluationError
from hafloc.evaluate import (
    CATALOGUE,
    Result,
    Setup,
    draw,
    evaluate,
    load,
    reproduce,
    table,
    write_figure,
    write_gallery,
    write_json,
)
from hafloc.evaluate.reproduce import TABLE_1, TABLE_2, best_level_weights
from hafloc.index.folder import Silent
from hafloc.nn import Description, KeyPoints


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
    assert {"hafloc", "time", "torch", "vectors described"} <= set(content["provenance"])
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()


def test_several_networks_give_one_table_with_a_row_each(result: Result, tmp_path: Path) -> None:
    text = table([result, result])
    assert text.splitlines()[0].startswith("| pitts30k | D | recall@1 | recall@5 |")
    assert text.count("| haf-colours | 108 | 75.00 | 75.00 |") == 2
    write_json(tmp_path / "both.json", [result, result])
    assert len(json.loads((tmp_path / "both.json").read_text())) == 2


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
    page = write_gallery(tmp_path / "gallery", result).read_text()
    sections = re.findall(r"<section>(.*?)</section>", page, re.DOTALL)
    assert len(sections) == 4
    assert 'class="right"' not in sections[0]
    assert "000007_pitch1_yaw9.jpg" in sections[0]
    assert "1, right" in sections[1]
    assert "1 of 4 queries have a wrong first answer" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


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
    page = write_gallery(tmp_path / "gallery", found).read_text()
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


def test_table_2_sweeps_the_level_weights_of_what_is_there(tmp_path: Path) -> None:
    reproduce("table2", tmp_path / "out", setup(tmp_path))
    text = (tmp_path / "out" / "table2.md").read_text()
    assert "| Tokyo Time Machine | (0.3, 0.3, 0.4) | not available | not available |" in text
    assert re.search(
        r"\| Tokyo 24/7 \| \(0\.2, 0\.3, 0\.5\) \| \(\d\.\d, \d\.\d, \d\.\d\) \|", text
    )
    assert set(TABLE_2) <= set(CATALOGUE)


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
    monkeypatch.setattr(Describer, "open", lambda name, **_: LookingNetwork())
    made = typer.Typer()
    command.register(made)
    return made


def test_the_command_measures_a_folder_and_writes_json(app: typer.Typer, tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    arguments = ["evaluate", "--benchmark", "folder", "--root", str(root), "--tolerance", "25"]
    arguments += ["--json", str(tmp_path / "out.json"), "--model", "haf"]
    arguments += ["--compare", "haf", "--figure", str(tmp_path / "f.png")]
    arguments += ["--gallery", str(tmp_path / "gallery"), "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "| haf-colours | 108 | 100.00 |" in done.stdout
    assert "positives: within 25 m" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())[0]["recall@1"] == 1.0
    assert (tmp_path / "f.svg").is_file()
    assert (tmp_path / "gallery" / "haf-colours" / "index.html").is_file()


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
