"""Walk through an XML file of a stranger, element by element, without entities or recursion."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from xml.parsers import expat

_DEEPEST = 200
_LONGEST_TEXT = 1_000  # characters; what is longer is no number or time


@dataclass(frozen=True, slots=True)
class Element:
    """An element at its end: local names without name space, `text` what directly stands in it."""

    name: str
    parent: str
    attributes: Mapping[str, str]
    text: str


class _RefusedError(Exception):
    """Why a file is not read on."""


def walk(data: bytes, see: Callable[[Element], None]) -> str | None:
    """Call `see` at the end of each element; what is wrong with the file in words, or None.

    Whatever stands before the fault has been seen: a recorder that lost its power writes
    no end. A document type, with which entities come, is refused.
    """
    reader = _Reader(see)
    try:
        reader.parse(data)
    except _RefusedError as error:
        return str(error)
    except expat.ExpatError as error:
        return f"its XML breaks off or is damaged in line {error.lineno:,}"
    # Odd encodings bring errors of their own.
    except (ValueError, LookupError):
        return "its XML is in an unknown encoding"
    return None


def root_of(data: bytes) -> str:
    """The name of the outermost element, "" where this is no XML."""
    names: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = lambda name, _: names.append(name.rpartition(" ")[2])
    with suppress(expat.ExpatError, ValueError, LookupError):
        parser.Parse(data[:4096], False)
    return names[0] if names else ""


class _Reader:
    def __init__(self, see: Callable[[Element], None]) -> None:
        self._see = see
        self._names = [""]
        self._attributes: list[dict[str, str]] = []
        self._text: list[str] = []
        self._length = 0

    def parse(self, data: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(data, True)

    def _refuse(self, *_: object) -> None:
        raise _RefusedError("it declares a document type, which such files have no use for")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._names) > _DEEPEST:
            raise _RefusedError(f"its elements are nested more than {_DEEPEST} deep")
        self._names.append(name.rpartition(" ")[2])
        self._attributes.append(attributes)
        self._text, self._length = [], 0

    def _end(self, _: str) -> None:
        name = self._names.pop()
        text = "".join(self._text).strip()
        self._text, self._length = [], 0
        self._see(Element(name, self._names[-1], self._attributes.pop(), text))

    def _characters(self, characters: str) -> None:
        if self._length <= _LONGEST_TEXT:
            self._text.append(characters)
            self._length += len(characters)
