"""Small generated data sets in the exact layouts, and a network that sees colours."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray
from PIL import Image as Pillow


class ColourNetwork:
    """An image's 6×6 colours, centred, as a vector: tells made-up places apart."""

    name = "colours"
    hash = "c0105"
    options = "{}"
    dimension = 108
    longer_side = 640

    def __init__(self) -> None:
        self.calls = 0

    def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls += 1
        small = np.asarray(Pillow.fromarray(image).resize((6, 6), Pillow.Resampling.BOX))
        values = small.astype(np.float32).ravel() - 127.5
        return np.asarray(values / np.linalg.norm(values))


def draw(
    path: Path, place: int, view: int = 0, *, size: tuple[int, int] = (64, 48), turn: int = 0
) -> Path:
    """An image of a made-up place; views differ a little. `turn` counter-clockwise degrees."""
    colours = np.random.default_rng(place).integers(0, 256, (6, 6, 3))
    noise = np.random.default_rng([place, view + 1]).integers(-12, 13, (6, 6, 3))
    pixels = np.clip(colours + noise, 0, 255).astype(np.uint8)
    image = Pillow.fromarray(pixels).resize(size, Pillow.Resampling.NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.rotate(turn, expand=True).save(path, quality=95)
    return path


def cells(values: list[Any]) -> NDArray[np.object_]:
    out = np.empty((len(values), 1), dtype=object)
    out[:, 0] = values
    return out


def save_dbstruct(
    path: Path, database: list[str], db_utm: Any, queries: list[str], q_utm: Any, **more: Any
) -> None:
    struct = {
        "dbImageFns": cells(database),
        "utmDb": np.asarray(db_utm, dtype=float).T,
        "qImageFns": cells(queries),
        "utmQ": np.asarray(q_utm, dtype=float).T,
        "numImages": float(len(database)),
        "numQueries": float(len(queries)),
        "posDistThr": 25.0,
    } | more
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"dbStruct": struct})


def pittsburgh(root: Path) -> Path:
    """Three places 100 m apart, two views each; four queries, one of them a stranger."""
    database = [f"000/{place:06}_pitch1_yaw{view + 1}.jpg" for place in range(3) for view in (0, 1)]
    for i, name in enumerate(database):
        draw(root / name, i // 2, i % 2)
    queries = [f"000/{place:06}_pitch1_yaw9.jpg" for place in (0, 1, 2, 7)]
    for name, place in zip(queries, (0, 1, 2, 7), strict=True):
        draw(root / "queries_real" / name, place, 9)
    db_utm = [[100.0 * (i // 2), 0.0] for i in range(6)]
    q_utm = [[5.0, 3.0], [105.0, 0.0], [200.0, 25.0], [9000.0, 0.0]]
    save_dbstruct(root / "datasets" / "pitts30k_test.mat", database, db_utm, queries, q_utm)
    return root


def tokyo247(root: Path) -> Path:
    """Two panoramas of twelve views and one query of the second, whose place the first shows."""
    names = [f"0/{pano}_{view:02}.png" for pano in range(2) for view in range(12)]
    for i, name in enumerate(names):
        draw(root / "images" / name, 0 if i < 12 else i, i)
    # As published, the list says .jpg where the files are .png.
    listed = [name.replace(".png", ".jpg") for name in names]
    draw(root / "query" / "00001.jpg", 0, 40)
    utm = [[0.0, 0.0]] * 12 + [[500.0, 0.0]] * 12
    save_dbstruct(root / "tokyo247.mat", listed, utm, ["00001.jpg"], [[500.0, 10.0]])
    return root


def tokyotm(root: Path) -> Path:
    """Place 0 in two years, place 1 in one; the query's own year must not answer."""
    for name, place, view in (("a", 0, 0), ("b", 0, 1), ("c", 1, 0), ("q", 0, 2)):
        draw(root / "images" / f"{name}.jpg", place, view)
    save_dbstruct(
        root / "tokyoTM_val.mat",
        ["a.jpg", "b.jpg", "c.jpg"],
        [[0.0, 0.0], [0.0, 1.0], [900.0, 0.0]],
        ["q.jpg"],
        [[0.0, 2.0]],
        dbTimeStamp=np.array([[2009], [2013], [2013]]),
        qTimeStamp=np.array([[2013]]),
    )
    return root


def san_francisco(root: Path) -> Path:
    names = [f"images/{i}.jpg" for i in range(4)]
    for i, name in enumerate(names):
        draw(root / name, i // 2, i % 2)
    (root / "database.txt").write_text("\n".join(names))
    scipy.io.savemat(root / "sv_cartoid.mat", {"sv_cartoid": cells(["11", "11", "22", "22"])})
    (root / "cartoid_groundTruth_2014_04.txt").write_text("0000 11\n0001 22 99\n0002 77\n")
    (root / "cartoid_groundTruth_2011_04.txt").write_text("0000 11\n0001 xxxxxxxxx\n0002 77\n")
    for i, place in enumerate((0, 1, 5)):
        draw(root / "queries" / f"{i:04}.jpg", place, 9)
    return root


def oxford(root: Path, name: str = "oxford5k") -> Path:
    """Two landmarks of three views, the last of each junk; a query of each is in the database."""
    images = [f"hall_{i:06}" for i in range(6)]
    for i, image in enumerate(images):
        draw(root / "jpg" / f"{image}.jpg", i // 3, i % 3, size=(300, 240))
    boxes = [np.array([[0.0, 0.0, 299.0, 239.0]])] * 2
    gnd = [
        {"ok": np.array([[3 * q + 1, 3 * q + 2]]), "junk": np.array([[3 * q + 3]]), "bbx": boxes[q]}
        for q in range(2)
    ]
    content = {"imlist": cells(images), "qidx": np.array([[1, 4]]), "gnd": structures(gnd)}
    scipy.io.savemat(root / f"gnd_{name}.mat", content)
    return root


def structures(entries: list[dict[str, Any]]) -> NDArray[np.void]:
    out = np.empty((1, len(entries)), dtype=[(name, object) for name in entries[0]])
    for i, entry in enumerate(entries):
        out[0, i] = tuple(entry.values())
    return out


def revisited(root: Path) -> Path:
    oxford(root)
    draw(root / "jpg" / "query_000000.jpg", 0, 30, size=(300, 240))
    images = [f"hall_{i:06}" for i in range(6)]
    gnd = [
        {
            "easy": np.array([[1]]),
            "hard": np.array([[2]]),
            "junk": np.array([[3]]),
            "bbx": np.array([[10.0, 10.0, 290.0, 230.0]]),
        }
    ]
    content = {"imlist": cells(images), "qimlist": cells(["query_000000"]), "gnd": structures(gnd)}
    scipy.io.savemat(root / "gnd_roxford5k.mat", content)
    return root


def holidays(root: Path) -> Path:
    """Eight groups; the second photo of the first lies on its side."""
    for name, place, view, turn in (
        ("100000", 0, 0, 0),
        ("100001", 0, 1, 90),
        ("100100", 1, 0, 0),
        ("100101", 1, 1, 0),
        ("100102", 1, 2, 0),
    ):
        draw(root / "jpg" / f"{name}.jpg", place, view, turn=turn)
    for place in range(2, 8):
        for view in range(2):
            draw(root / "jpg" / f"{100_000 + 100 * place + view}.jpg", place, view)
    (root / "holidays-rotate.yaml").write_text('{\n"100001.jpg": 90\n}\n')
    return root


def folder(root: Path, *, tables: bool = True) -> Path:
    """Three places about 111 m apart in database/, the same three in queries/."""
    for part, view in (("database", 0), ("queries", 5)):
        rows = ["image,lat,lon,heading,time"]
        for place in range(3):
            draw(root / part / f"{part}{place}.png", place, view)
            rows.append(f"{part}{place}.png,{52.2 + place / 1000},0.1,{90 * place},")
        if tables:
            (root / part / "positions.csv").write_text("\n".join(rows) + "\n")
    return root
