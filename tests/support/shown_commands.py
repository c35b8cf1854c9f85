"""The commands that README and docs/ show, read from their fences: page, line, words, language."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Every fence says what it holds, so that no command hides in one without a language.
LANGUAGES = {"sh", "console", "python", "json", "toml", "text"}
_FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(hafloc [^`]+)`(?!`)")
# What only a shell can do; all else runs in the process of the tests.
SHELL = re.compile(r"[|<>&;$*]")


@dataclass(frozen=True, slots=True)
class Fence:
    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A command, or a whole Python program, where it stands."""

    page: str
    line: int
    text: str
    language: str = "sh"

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def pages() -> list[str]:
    """README and every page of docs/ that a person wrote."""
    written = [x for x in sorted((ROOT / "docs").rglob("*.md")) if "reference" not in x.parts]
    return ["README.md", *(path.relative_to(ROOT).as_posix() for path in written)]


def fences(page: str, text: str | None = None) -> Iterator[Fence]:
    text = (ROOT / page).read_text("utf-8") if text is None else text
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Fence(page, line, found["language"], found["text"])


def commands(page: str, text: str | None = None) -> list[Shown]:
    """The commands and programs of a page in the order in which a reader runs them."""
    found = []
    for fence in fences(page, text):
        if fence.language == "python":
            found.append(Shown(page, fence.line, fence.text, "python"))
        elif fence.language in ("sh", "console"):
            found += _lines(fence)
    return found


def _lines(fence: Fence) -> Iterator[Shown]:
    """Of `console` the lines behind a `$ `; a line that ends in a backslash goes on."""
    whole, first = "", 0
    for number, line in enumerate(fence.text.splitlines(), fence.line):
        if not whole:
            if fence.language == "console":
                if not line.startswith("$ "):
                    continue
                line = line[2:]
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            first = number
        whole += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            yield Shown(fence.page, first, whole.strip())
            whole = ""
    assert not whole, f"{fence.page}:{first} ends in a backslash"


def inline(page: str, text: str | None = None) -> list[Shown]:
    """Commands in running text, which may leave out what matters not (…, INDEX, a/b/c)."""
    text = (ROOT / page).read_text("utf-8") if text is None else text
    hidden = _FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), text)
    return [
        Shown(page, hidden.count("\n", 0, found.start()) + 1, " ".join(found[1].split()))
        for found in _INLINE.finditer(hidden)
    ]
