"""Change files the way fuzzers do, by a seed: bytes, the values in JSON, the rows of a database."""

import json
import random
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32_767, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**63)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 2**31, 2**63, 10**400, 1e308, -1e-320, "", "0", "1e999"),
    *("nan", "é", "\ud83d", "a" * 5_000, [], {}, [[]], [None], {"": 0}, [1] * 300, float("nan")),
    *(float("inf"), "2024-13-45T99:99:99Z", "../../etc/passwd", "\0", -200, 1_000_000_007),
)
_MOST_CHANGES = 6
_LONGEST = 65_536


def mutated(seed: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """`seed` with one to some changes: bits, bytes, numbers, pieces gone, doubled or of others."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        _change(data, chance, others)
    return bytes(data[:_LONGEST])


def _change(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(8)
    length = min(chance.choice((1, 2, 4, 8, 64, 1_000)), len(data) - at)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = chance.randrange(256)
    elif kind == 2:
        number = chance.choice(_NUMBERS) % 2**64
        size = chance.choice("BHIQ")
        packed = struct.pack(chance.choice("<>") + size, number % 2 ** (8 * struct.calcsize(size)))
        data[at : at + len(packed)] = packed
    elif kind == 3:
        del data[at : at + length]
    elif kind == 4:
        data[at:at] = data[at : at + length] * chance.choice((1, 1, 20))
    elif kind == 5:
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        data[at : at + length] = other[start : start + length]
    elif kind == 6:
        data[at:at] = str(chance.choice((*_NUMBERS, "nan", "1e999", "-0", "\ud83d"))).encode(
            errors="surrogatepass"
        )
    else:
        del data[at:]


def mutated_json(seed: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """JSON with some values in it replaced, gone, doubled or moved; bytes changed now and then."""
    try:
        tree = json.loads(seed)
    except (ValueError, RecursionError):
        return mutated(chance.choice(others), chance, others)
    if chance.random() < 0.15:
        return mutated(seed, chance, others)
    box = [tree]
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        _change_value(box, chance)
    with suppress(ValueError, RecursionError):
        return json.dumps(box[0]).encode("utf-8", "surrogatepass")[:_LONGEST]
    return seed


def _change_value(box: list[Any], chance: random.Random) -> None:
    places = _places(box)
    holder, key = chance.choice(places)
    kind = chance.randrange(5)
    if kind <= 1:
        holder[key] = chance.choice(_VALUES)
    elif kind == 2 and holder is not box:
        del holder[key]
    elif kind == 3:
        other, place = chance.choice(places)
        with suppress(ValueError, RecursionError):  # one that now holds itself
            holder[key] = json.loads(json.dumps(other[place]))
    elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        with suppress(OverflowError):
            holder[key] = holder[key] * chance.choice((-1, 10, 1e6, 1e18))
    else:
        holder[key] = [holder[key]] * chance.choice((1, 2, 40))


def _places(box: list[Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [box]
    while waiting and len(found) < 2_000:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def mutated_database(seed: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """A database with values in its rows changed as SQL does it, or with bytes changed."""
    if chance.random() < 0.5:
        return mutated(seed, chance, others)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        try:
            database.deserialize(seed)
            for (name,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                if "checksum" not in name or chance.random() < 0.2:
                    database.execute(f'DROP TRIGGER "{name}"')
            for _ in range(chance.randint(1, _MOST_CHANGES)):
                _change_row(database, chance)
            return bytes(database.serialize())
        except (sqlite3.Error, UnicodeDecodeError):
            return mutated(seed, chance, others)


def _change_row(database: sqlite3.Connection, chance: random.Random) -> None:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    table = chance.choice([name for (name,) in database.execute(tables)])
    columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
    rows = [id_ for (id_,) in database.execute(f'SELECT rowid FROM "{table}" LIMIT 50')]
    if not rows or not columns:
        return
    row, column = chance.choice(rows), chance.choice(columns)
    value = chance.choice((None, 0, -1, 1e308, "", "x", "many", b"", b"GP", 2**62, "a" * 9_000))
    if chance.random() < 0.3:
        (old,) = database.execute(
            f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (row,)
        ).fetchone() or (None,)
        value = mutated(old if isinstance(old, bytes) else str(old).encode(), chance, [b"1"])
        value = value if isinstance(old, bytes) else value.decode("utf-8", "replace")
    with suppress(sqlite3.Error):
        if chance.random() < 0.15:
            database.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))
        else:
            database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, row))
