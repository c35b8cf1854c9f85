"""Every benchmark end to end on generated images in its exact layout, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import small_sets
from PIL import Image as Pillow

from hafloc.errors import EvaluationError, HaflocError
from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.data_sets.catalogue import CATALOGUE, load
from hafloc.evaluate.engine import Result, evaluate
from hafloc.evaluate.protocol import BoxCrop, Resize

Build = Callable[[Path], Path]


def run(name: str, root: Path, **options: str) -> Result:
    return evaluate(load(name, root, options), small_sets.ColourNetwork(), cache=root / "cache")


def test_pittsburgh_counts_the_stranger_in_its_denominator(tmp_path: Path) -> None:
    result = run("pitts30k", small_sets.pittsburgh(tmp_path))
    assert result.scores["recall@1"] == 0.75
    assert result.protocol["queries without positives"] == "1, counted"
    assert "6 database images, 4 queries" in result.protocol["list"]


def test_pittsburgh_reads_positions_and_names_from_two_files(tmp_path: Path) -> None:
    root = small_sets.pittsburgh(tmp_path)
    struct = scipy.io.loadmat(root / "datasets" / "pitts30k_test.mat")["dbStruct"][0, 0]
    names = {
        which: [str(cell.item()) for cell in struct[field].ravel()]
        for which, field in (("db", "dbImageFns"), ("q", "qImageFns"))
    }
    (root / "datasets" / "pitts30k_test.mat").unlink()
    np.savez(root / "pitts30k_test.npz", utmDb=struct["utmDb"].T, utmQ=struct["utmQ"].T)
    np.save(root / "pitts30k_test_dbImages.npy", names["db"])
    (root / "pitts30k_test_qImages.txt").write_text(
        "".join(f"./Pittsburgh250k/queries_real/{name}\n" for name in names["q"])
    )
    assert run("pitts30k", root).scores["recall@1"] == 0.75


def test_tokyo_247_lets_each_panorama_answer_once(tmp_path: Path) -> None:
    # All twelve views of the wrong panorama come first; as one answer they leave place 2 to the
    # right one.
    result = run("tokyo247", small_sets.tokyo247(tmp_path))
    assert result.curve[:2].tolist() == [0.0, 1.0]
    assert "shorter side 640 px" in result.protocol["images"]


def test_tokyo_247_is_read_as_its_archives_unpack(tmp_path: Path) -> None:
    root = small_sets.tokyo247(tmp_path)
    (root / "images" / "0").rename(root / "0")
    (root / "images").rename(root / "03814")
    (root / "query").rename(root / "247query_subset_v2")
    (root / "datasets").mkdir()
    (root / "tokyo247.mat").rename(root / "datasets" / "tokyo247.mat")
    benchmark = load("tokyo247", root)
    assert len(benchmark.database) == 24
    assert benchmark.queries[0].path.parent.name == "247query_subset_v2"


def test_tokyo_tm_drops_images_of_the_querys_own_time(tmp_path: Path) -> None:
    result = run("tokyotm", small_sets.tokyotm(tmp_path))
    assert result.scores["recall@1"] == 1.0
    assert result.ranking[0, :2].tolist() == [0, -1]


@pytest.mark.parametrize("query", ["whole", "crops"])
def test_san_francisco_counts_buildings_under_either_ground_truth(
    tmp_path: Path, query: str
) -> None:
    root = small_sets.san_francisco(tmp_path)
    newer = run("sf0", root, query=query)
    older = run("sf0", root, query=query, ground_truth="2011_04")
    assert newer.scores["recall@1"] == pytest.approx(2 / 3)
    assert older.scores["recall@1"] == pytest.approx(1 / 3)
    assert ("crops" in newer.protocol["images"]) == (query == "crops")


@pytest.mark.parametrize("query", ["full", "crop", "tight", "cirtorch"])
@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_oxford_and_paris_score_their_own_image_and_ignore_junk(
    tmp_path: Path, name: str, query: str
) -> None:
    result = run(name, small_sets.oxford(tmp_path, name), query=query)
    assert result.scores["mAP"] == 1.0


def test_oxford_reads_its_text_files_with_all_other_images_as_distractors(tmp_path: Path) -> None:
    root = small_sets.oxford(tmp_path)
    (root / "gnd_oxford5k.mat").unlink()
    for name, text in (
        ("query", "oxc1_hall_000000 0 0 299 239"),
        ("good", "hall_000000"),
        ("ok", "hall_000001"),
        ("junk", "hall_000002"),
    ):
        (root / "gt_files").mkdir(exist_ok=True)
        (root / "gt_files" / f"hall_1_{name}.txt").write_text(text + "\n")
    result = run("oxford5k", root)
    assert result.scores["mAP"] == 1.0
    assert len(result.benchmark.database) == 6


def test_revisited_oxford_scores_easy_medium_and_hard(tmp_path: Path) -> None:
    result = run("roxford5k", small_sets.revisited(tmp_path))
    assert {f"mAP {part}" for part in ("easy", "medium", "hard")} <= set(result.scores)
    assert result.scores["mAP medium"] == 1.0
    assert result.scores["mP@1 medium"] == 1.0


def test_holidays_needs_its_rotations_for_the_photo_on_its_side(tmp_path: Path) -> None:
    root = small_sets.holidays(tmp_path)
    original, turned = run("holidays", root), run("holidays", root, turn="rot")
    assert turned.scores["mAP"] == 1.0
    assert original.scores["mAP"] < 1.0
    assert "1 rotations" in turned.protocol["images"]


def test_a_folder_of_ones_own_is_measured_by_distance(tmp_path: Path) -> None:
    result = run("folder", small_sets.folder(tmp_path))
    assert result.scores["recall@1"] == 1.0
    assert result.protocol["positives"] == "within 25 m (geodesic, ≤)"
    wide = run("folder", tmp_path, tolerance="150")
    assert [len(rows) for rows in wide.benchmark.truths[""].positives] == [2, 3, 2]


def test_the_querys_own_file_in_the_database_is_no_answer(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    copy = root / "queries" / "queries0.png"
    copy.write_bytes((root / "database" / "database0.png").read_bytes())
    result = run("folder", root)
    assert 0 not in result.ranking[0]
    assert result.scores["recall@1"] == pytest.approx(2 / 3)


def test_one_folder_against_itself_leaves_each_photos_place_out(tmp_path: Path) -> None:
    rows = ["image,lat,lon,heading,time"]
    for place in range(3):
        for view in range(2):
            small_sets.draw(tmp_path / "images" / f"{place}{view}.png", 0, 10 * place + view)
            rows.append(f"{place}{view}.png,{52.2 + place / 10_000},0.1,{180 * view},")
    (tmp_path / "positions.csv").write_text("\n".join(rows) + "\n")
    result = run("folder", tmp_path, apart="1")
    assert not any({2 * q, 2 * q + 1} & set(result.ranking[2 * q].tolist()) for q in range(3))
    same_way = load("folder", tmp_path, {"heading": "10", "apart": "1"})
    assert [rows.tolist() for rows in same_way.truths[""].positives[:2]] == [[2, 4], [3, 5]]


def test_pairs_name_the_positives_where_positions_are_poor(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    (root / "pairs.csv").write_text("a,b,building\nqueries2.png,database2.png,7\n")
    benchmark = load("folder", root, {"pairs": str(root / "pairs.csv")})
    assert benchmark.query_count == 1
    assert benchmark.truths[""].positives[0].tolist() == [2]
    (root / "pairs.csv").write_text("x,y\n")
    with pytest.raises(EvaluationError, match=r"pairs\.csv names none of the photos"):
        load("folder", root, {"pairs": str(root / "pairs.csv")})


def test_photos_without_a_position_are_left_out_and_counted(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    small_sets.draw(root / "database" / "nowhere.png", 9)
    assert "(1 more without a known place)" in load("folder", root).protocol["list"]


# What is refused.


@pytest.mark.parametrize(
    ("name", "build", "victim"),
    [
        ("pitts30k", small_sets.pittsburgh, "000/000001_pitch1_yaw2.jpg"),
        ("pitts30k", small_sets.pittsburgh, "queries_real/000/000001_pitch1_yaw9.jpg"),
        ("tokyo247", small_sets.tokyo247, "images/0/1_05.png"),
        ("tokyotm", small_sets.tokyotm, "images/q.jpg"),
        ("sf0", small_sets.san_francisco, "images/3.jpg"),
        ("sf0", small_sets.san_francisco, "queries/0001.jpg"),
        ("oxford5k", small_sets.oxford, "jpg/hall_000004.jpg"),
        ("roxford5k", small_sets.revisited, "jpg/query_000000.jpg"),
    ],
)
def test_an_image_that_is_listed_but_not_there_is_named(
    tmp_path: Path, name: str, build: Build, victim: str
) -> None:
    root = build(tmp_path)
    (root / victim).unlink()
    with pytest.raises(EvaluationError, match=Path(victim).stem):
        load(name, root)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "index"])
def test_an_empty_folder_is_refused_with_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvaluationError, match=tmp_path.name):
        load(name, tmp_path)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "index"])
def test_a_missing_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HaflocError, match="nowhere"):
        load(name, tmp_path / "nowhere")


def test_a_set_without_a_single_positive_is_refused(tmp_path: Path) -> None:
    small_sets.folder(tmp_path)
    (tmp_path / "queries" / "positions.csv").write_text(
        "image,lat,lon\n" + "".join(f"queries{i}.png,10,10\n" for i in range(3))
    )
    with pytest.raises(EvaluationError, match="no query has a positive"):
        load("folder", tmp_path)


def test_lists_of_different_versions_are_refused_with_the_file(tmp_path: Path) -> None:
    root = small_sets.san_francisco(tmp_path)
    (root / "database.txt").write_text("images/0.jpg\n")
    with pytest.raises(EvaluationError, match=r"database\.txt names 1 images but sv_cartoid\.mat"):
        load("sf0", root)


def test_a_damaged_list_is_refused_with_the_file(tmp_path: Path) -> None:
    root = small_sets.pittsburgh(tmp_path)
    path = root / "datasets" / "pitts30k_test.mat"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(EvaluationError, match=r"pitts30k_test\.mat"):
        load("pitts30k", root)


def test_a_damaged_image_is_refused_with_the_file(tmp_path: Path) -> None:
    root = small_sets.pittsburgh(tmp_path)
    (root / "000" / "000001_pitch1_yaw1.jpg").write_bytes(b"\xff\xd8\xff and no more")
    with pytest.raises(EvaluationError, match="000001_pitch1_yaw1"):
        run("pitts30k", root)


def test_tokyo_tm_without_time_stamps_is_refused(tmp_path: Path) -> None:
    root = small_sets.tokyotm(tmp_path)
    small_sets.save_dbstruct(
        root / "tokyoTM_val.mat", ["a.jpg", "b.jpg"], [[0, 0], [0, 1]], ["q.jpg"], [[0, 2]]
    )
    with pytest.raises(EvaluationError, match="no time stamps"):
        load("tokyotm", root)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tokyo247", {"query_size": "17"}, "query_size=17 is not one of 640, 480, as-is"),
        ("holidays", {"size": "1"}, "holidays has no option size; it has: turn"),
        ("folder", {"tolerance": "far"}, "tolerance=far is not a number from 0"),
        ("folder", {"tolerance": "-1"}, "tolerance=-1 is not a number from 0"),
        ("atlantis", {}, "there is no benchmark atlantis; choose one of: pitts30k"),
        ("index", {}, "add --set queries=FOLDER"),
    ],
)
def test_unknown_names_and_options_are_refused_with_the_choices(
    tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        load(name, small_sets.folder(tmp_path), options)


def test_a_picture_is_turned_then_cropped_then_resized(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:20, :30] = (255, 0, 0)  # red in the top left corner
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    picture = Picture(tmp_path / "a.png", turn=90, crop=BoxCrop(20, 0, 40, 30))
    # Clockwise: the red corner moves to the top right.
    assert (picture.pixels() == (255, 0, 0)).all()
    assert picture.pixels().shape == (30, 20, 3)
    small = Picture(
        tmp_path / "a.png", crop=BoxCrop(0, 0, 30, 20), resize=Resize("longer", 15)
    ).pixels()
    assert small.shape == (10, 15, 3)
    by_whole = Picture(
        tmp_path / "a.png",
        crop=BoxCrop(0, 0, 30, 20),
        resize=Resize("longer", 30),
        resize_by_whole=True,
    ).pixels()
    assert by_whole.shape == (10, 15, 3)


def test_queries_that_cannot_be_answered_are_left_out_on_request(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    table = root / "queries" / "positions.csv"
    table.write_text(table.read_text().replace("52.201", "48.0"))
    counted = load("folder", root)
    assert counted.protocol["queries without positives"] == "1, counted as never found"
    assert counted.query_count == 3
    left = load("folder", root, {"unanswerable": "left-out"})
    assert left.protocol["queries without positives"] == "1, left out"
    assert [picture.path.name for picture in left.queries] == ["queries0.png", "queries2.png"]
    assert left.metres is not None
    assert left.metres(1, 2) == pytest.approx(0, abs=1e-6)


def test_the_very_position_of_a_query_is_its_own_place_at_0_metres(tmp_path: Path) -> None:
    rows = ["image,lat,lon"]
    for number, place in enumerate((0, 0, 1)):
        small_sets.draw(tmp_path / "images" / f"{number}.png", place, number)
        rows.append(f"{number}.png,{52.2 + place / 1e5},0.1")
    (tmp_path / "positions.csv").write_text("\n".join(rows))
    benchmark = load("folder", tmp_path, {"apart": "0"})
    assert [good.tolist() for good in benchmark.truths[""].positives] == [[2], [2], [0, 1]]
    assert benchmark.protocol["ranking"].endswith("and photos within 0 m (≤) of it")
    with pytest.raises(EvaluationError, match="apart=far is not a number from 0"):
        load("folder", tmp_path, {"apart": "far"})
