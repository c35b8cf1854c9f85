"""API keys: who may read, who may write. Never logged, and compared in constant time."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hafloc.errors import OptionError

VARIABLE = "HAFLOC_KEYS"
# Guessed by nobody: 16 letters of a password generator have 80 bits or more.
LEAST_LENGTH = 16
_ENTRY = re.compile(r"(read|write):(\S+)")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a server, as their hashes only; without any, nothing needs one."""

    reading: tuple[bytes, ...] = field(default=(), repr=False)
    writing: tuple[bytes, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.reading or self.writing)

    def may_read(self, key: str | None) -> bool:
        """Whether who gives `key` may read: with any of the keys, or where there are none."""
        return not self or (key is not None and _is_among(key, (*self.reading, *self.writing)))

    def may_write(self, key: str | None) -> bool:
        return key is not None and _is_among(key, self.writing)


def parse_keys(text: str, where: str) -> Keys:
    """The keys in `text`: `read:KEY` and `write:KEY`, between white space; # begins a comment.

    Raises OptionError, which names `where` the text is from but no key.
    """
    found: dict[str, list[bytes]] = {"read": [], "write": []}
    lines = [line.partition("#")[0] for line in text.splitlines()]
    for number, word in enumerate((word for line in lines for word in line.split()), 1):
        entry = _ENTRY.fullmatch(word)
        if entry is None:
            raise OptionError(
                f"cannot use {where}: its entry {number:,} is neither read:KEY nor write:KEY"
            )
        if len(entry[2]) < LEAST_LENGTH:
            raise OptionError(
                f"cannot use {where}: the key of its entry {number:,} is too short; give at least "
                f"{LEAST_LENGTH} letters, such as `openssl rand -hex 20` prints"
            )
        found[entry[1]].append(_hashed(entry[2]))
    if not any(found.values()):
        raise OptionError(f"cannot use {where}: it holds no key; give read:KEY or write:KEY")
    return Keys(tuple(found["read"]), tuple(found["write"]))


def _is_among(key: str, known: Sequence[bytes]) -> bool:
    hashed = _hashed(key)
    # All are compared, so that time tells nothing.
    return any([hmac.compare_digest(hashed, one) for one in known])


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
