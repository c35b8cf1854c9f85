"""Archives whose publisher states no hash: trusted as they come first, and held to that later.

The SHA-256 of the first one lies beside the archive as NAME.sha256, as `sha256sum -c` reads it, and
stays where the archive itself is removed.
"""

import hashlib
import re
from pathlib import Path

from hafloc.errors import EvaluationError
from hafloc.files import write_whole

_LINE = re.compile(r"\s*([0-9a-fA-F]{64})\b")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pin_file(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sha256")


def pinned(archive: Path) -> str | None:
    """The hash that the archive had at first, None where it was never here.

    Raises EvaluationError where the file beside it holds none.
    """
    path = pin_file(archive)
    if not path.is_file():
        return None
    found = _LINE.match(path.read_text("utf-8", errors="replace"))
    if found is None:
        raise EvaluationError(
            f"{path} holds no SHA-256; write it anew, or remove it to trust {archive.name} as it is"
        )
    return found[1].lower()


def check_pin(archive: Path) -> str:
    """The archive's hash. Raises EvaluationError where it is not the one that came first."""
    found, known = sha256(archive), pinned(archive)
    if known is not None and found != known:
        raise EvaluationError(changed(archive, found, known))
    return found


def pin(archive: Path, found: str) -> list[str]:
    """Keep the hash of an archive that proved whole; the line that says so, none where it is kept.

    Raises OutputError.
    """
    if pin_file(archive).is_file():
        return []
    write_whole(pin_file(archive), f"{found}  {archive.name}\n".encode())
    return [f"{archive.name}: SHA-256 {found}, kept in {pin_file(archive).name}"]


def changed(archive: Path, found: str, known: str) -> str:
    """What to say of another archive under the same name."""
    return (
        f"{archive} has SHA-256 {found[:16]}…, not {known[:16]}… as when it first came; ask its "
        f"publisher which is right, and remove {pin_file(archive).name} to take the new one"
    )
