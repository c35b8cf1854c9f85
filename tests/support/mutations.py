"""Change bytes the way fuzzers do, by a seed: for where no coverage-guided one is installed."""

import random
import struct
from collections.abc import Sequence

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32_767, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**63)
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
