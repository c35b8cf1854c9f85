"""Readers of ground truth on small files in every form, and on broken and foreign ones."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from hafloc.errors import EvaluationError
from hafloc.evaluate.data_sets.landmark_lists import (
    read_landmarks,
    read_query_buildings,
    read_rotations,
)
from hafloc.evaluate.data_sets.matlab import read_mat
from hafloc.evaluate.data_sets.place_lists import PlaceList, read_names, read_place_list
from hafloc.evaluate.data_sets.plain_arrays import read_npy, read_pickle

NAMES = ["000/a.jpg", "000/b.jpg", "001/c.jpg"]
UTM = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
QUERY_NAMES = ["q/x.jpg", "q/yy.jpg"]
QUERY_UTM = np.array([[1.5, 2.5], [100.0, 200.0]])


def cells(values: list[Any]) -> np.ndarray[Any, Any]:
    out = np.empty((len(values), 1), dtype=object)
    out[:, 0] = values
    return out


def fields(*, times: bool = False) -> dict[str, Any]:
    """A dbStruct in the order of the originals; TokyoTM's has time stamps in between."""
    out: dict[str, Any] = {"whichSet": "val", "dbImageFns": cells(NAMES), "utmDb": UTM.T}
    if times:
        out["dbTimeStamp"] = np.array([[201301], [200901], [201301]])
    out |= {"qImageFns": cells(QUERY_NAMES), "utmQ": QUERY_UTM.T}
    if times:
        out["qTimeStamp"] = np.array([[200901], [201301]])
    return out | {
        "numImages": 3.0,
        "numQueries": 2.0,
        "posDistThr": 25.0,
        "posDistSqThr": 625.0,
        "nonTrivPosDistSqThr": 100.0,
    }


def write_v73(path: Path, content: dict[str, Any]) -> None:
    """As MATLAB writes v7.3: transposed, texts as codes, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("dbStruct")
        for name, value in content.items():
            if isinstance(value, str):
                _write_text(group, name, value)
            elif isinstance(value, np.ndarray) and value.dtype == object:
                references = np.empty((1, len(value)), dtype=h5py.ref_dtype)
                for i, text in enumerate(value[:, 0]):
                    key = f"#refs#/{name}{i}"
                    _write_text(file, key, text)
                    references[0, i] = file[key].ref
                group.create_dataset(name, data=references, dtype=h5py.ref_dtype)
            else:
                group.create_dataset(name, data=np.atleast_2d(value).T)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def _write_text(group: Any, name: str, text: str) -> None:
    dataset = group.create_dataset(name, data=np.array([[ord(c)] for c in text], dtype=np.uint16))
    dataset.attrs["MATLAB_class"] = np.bytes_(b"char")


def check(places: PlaceList) -> None:
    assert places.database == tuple(NAMES)
    assert places.queries == tuple(QUERY_NAMES)
    assert places.database_utm.tolist() == UTM.tolist()
    assert places.query_utm.tolist() == QUERY_UTM.tolist()
    assert places.radius == 25.0


@pytest.mark.parametrize("times", [False, True])
def test_a_dbstruct_reads_alike_as_v7_and_as_v73(tmp_path: Path, times: bool) -> None:
    scipy.io.savemat(tmp_path / "v7.mat", {"dbStruct": fields(times=times)})
    write_v73(tmp_path / "v73.mat", fields(times=times))
    for name in ("v7.mat", "v73.mat"):
        places = read_place_list(tmp_path / name)
        check(places)
        if times:
            assert places.database_times is not None
            assert places.query_times is not None
            assert places.database_times.tolist() == [201301, 200901, 201301]
            assert places.query_times.tolist() == [200901, 201301]
        else:
            assert places.database_times is None


def test_two_images_are_read_in_matlabs_orientation(tmp_path: Path) -> None:
    content = fields() | {"dbImageFns": cells(NAMES[:2]), "utmDb": UTM[:2].T, "numImages": 2.0}
    scipy.io.savemat(tmp_path / "v7.mat", {"dbStruct": content})
    write_v73(tmp_path / "v73.mat", content)
    for name in ("v7.mat", "v73.mat"):
        assert read_place_list(tmp_path / name).database_utm.tolist() == UTM[:2].tolist()


def test_an_npz_reads_with_or_without_its_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", utmDb=UTM, utmQ=QUERY_UTM, dbImage=NAMES, qImage=QUERY_NAMES)
    check(read_place_list(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", utmDb=UTM, utmQ=QUERY_UTM, posDistThr=25)
    np.save(tmp_path / "db.npy", NAMES)
    (tmp_path / "q.txt").write_text("\n".join(QUERY_NAMES) + "\n")
    places = read_place_list(tmp_path / "b.npz")
    check(
        places.with_names(
            read_names(tmp_path / "db.npy"), read_names(tmp_path / "q.txt"), tmp_path / "db.npy"
        )
    )


def test_lists_of_different_versions_are_refused_with_both_counts(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", utmDb=UTM, utmQ=QUERY_UTM)
    places = read_place_list(tmp_path / "b.npz")
    with pytest.raises(EvaluationError, match=r"db\.npy: 2 names but 3 positions of database"):
        places.with_names(NAMES[:2], QUERY_NAMES, tmp_path / "db.npy")


def test_a_list_that_contradicts_its_own_count_is_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"dbStruct": fields() | {"numImages": 4.0}})
    with pytest.raises(EvaluationError, match=r"x\.mat states numImages 4 but lists 3"):
        read_place_list(tmp_path / "x.mat")


@pytest.mark.parametrize("missing", ["utmDb", "qImageFns"])
def test_a_list_without_a_field_is_refused_with_its_name(tmp_path: Path, missing: str) -> None:
    content = fields()
    del content[missing]
    scipy.io.savemat(tmp_path / "x.mat", {"dbStruct": content})
    with pytest.raises(EvaluationError, match=rf"x\.mat holds no \w+ {missing}"):
        read_place_list(tmp_path / "x.mat")


def test_positions_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "nan.npz", utmDb=UTM * np.nan, utmQ=QUERY_UTM)
    with pytest.raises(EvaluationError, match=r"nan\.npz: the positions of its database"):
        read_place_list(tmp_path / "nan.npz")


@pytest.mark.parametrize("form", ["v7", "v73", "npz"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_file_that_ends_early_is_refused_by_name(tmp_path: Path, form: str, part: float) -> None:
    path = tmp_path / ("list.npz" if form == "npz" else "list.mat")
    if form == "v7":
        scipy.io.savemat(path, {"dbStruct": fields()}, do_compression=True)
    elif form == "v73":
        write_v73(path, fields())
    else:
        np.savez(path, utmDb=UTM, utmQ=QUERY_UTM)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(EvaluationError, match=r"list\.(mat|npz)"):
        read_place_list(path)


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file, and then nothing", b"\x89PNG"])
def test_a_foreign_file_called_mat_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"x\.mat"):
        read_mat(tmp_path / "x.mat")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('the pickle ran')",)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"imlist": Evil()}))
    with pytest.raises(EvaluationError, match=r"evil\.pkl is refused: it asks for builtins\.exec"):
        read_pickle(tmp_path / "evil.pkl")
    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(EvaluationError, match=r"evil\.npy is refused"):
        read_npy(tmp_path / "evil.npy")


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    content = {"a": [1, "x", (2.5, None)], "b": np.arange(3), "c": np.float32(2), "d": b"z"}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickle(tmp_path / "a.pkl")
    assert found["a"] == content["a"]
    assert found["b"].tolist() == [0, 1, 2]
    assert (found["c"], found["d"]) == (2, b"z")


def test_a_list_of_names_saved_as_objects_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "names.npy", np.array(NAMES, dtype=object), allow_pickle=True)
    assert read_names(tmp_path / "names.npy") == NAMES
    np.save(tmp_path / "numbers.npy", np.arange(3))
    with pytest.raises(EvaluationError, match=r"numbers\.npy holds no names"):
        read_names(tmp_path / "numbers.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00garbage"])
def test_a_broken_npy_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"cannot read .*x\.npy"):
        read_npy(tmp_path / "x.npy")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("a.mat", "a.npz"):
        with pytest.raises(EvaluationError, match=name):
            read_place_list(tmp_path / name)


def revisited() -> dict[str, Any]:
    entry = {"bbx": [1.0, 2.0, 30.0, 40.0], "easy": [0], "hard": [1, 2], "junk": []}
    return {"imlist": NAMES, "qimlist": ["q"], "gnd": [entry]}


def test_a_revisited_pickle_counts_from_zero(tmp_path: Path) -> None:
    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(revisited()))
    found = read_landmarks(tmp_path / "gnd.pkl")
    assert found.images == tuple(NAMES)
    assert found.queries == ("q",)
    assert found.boxes == ((1.0, 2.0, 30.0, 40.0),)
    assert {k: [r.tolist() for r in v] for k, v in found.groups.items()} == {
        "easy": [[0]],
        "hard": [[1, 2]],
        "junk": [[]],
    }


def test_a_ground_truth_that_points_outside_its_images_is_refused(tmp_path: Path) -> None:
    content = revisited()
    content["gnd"][0]["hard"] = [3]
    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(EvaluationError, match=r"gnd\.pkl points at image 3 of 3"):
        read_landmarks(tmp_path / "gnd.pkl")


def test_oxfords_own_text_files_are_read(tmp_path: Path) -> None:
    for name, text in {
        "all_souls_1_query": "oxc1_b 1.5 2 30 40\n",
        "all_souls_1_good": "a\nb\n",
        "all_souls_1_ok": "c\n",
        "all_souls_1_junk": "d\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    found = read_landmarks(tmp_path)
    assert found.queries == ("b",)
    assert found.boxes == ((1.5, 2.0, 30.0, 40.0),)
    assert [found.images[row] for row in found.groups["ok"][0]] == ["a", "b", "c"]
    assert [found.images[row] for row in found.groups["junk"][0]] == ["d"]
    (tmp_path / "all_souls_1_ok.txt").unlink()
    with pytest.raises(EvaluationError, match=r"all_souls_1_ok\.txt"):
        read_landmarks(tmp_path)


def test_a_folder_without_ground_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"holds no \*_query\.txt"):
        read_landmarks(tmp_path)


def test_rotations_and_buildings_are_read_and_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text('{\n"1.jpg": 90,\n"2.jpg": 270\n}\n')
    assert read_rotations(path) == {"1.jpg": 90, "2.jpg": 270}
    path.write_text('"1.jpg": 45\n')
    with pytest.raises(EvaluationError, match=r"list\.txt, line 1"):
        read_rotations(path)
    path.write_text("0000 12 xxxxxxxxx 13\n0001\n")
    assert {q: ids.tolist() for q, ids in read_query_buildings(path).items()} == {
        "0000": [12, 13],
        "0001": [],
    }
    path.write_text("0000 12a\n")
    with pytest.raises(EvaluationError, match=r"list\.txt, line 1"):
        read_query_buildings(path)
