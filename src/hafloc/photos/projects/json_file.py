"""Load JSON that a stranger wrote: bounded, and whatever is wrong with it in one line."""

import json
from typing import Any

from hafloc.errors import PositionError


def looks_like_json(data: bytes) -> bool:
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def load_json(data: bytes) -> Any:
    """The value in a JSON file. Raises PositionError in words that follow "cannot read X: "."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise PositionError("its JSON is nested too deep; check the file") from error
    except UnicodeDecodeError as error:
        raise PositionError("its JSON is not in UTF-8; save it so") from error
    except json.JSONDecodeError as error:
        raise PositionError(
            f"its JSON is damaged in line {error.lineno:,} ({error.msg}); copy it again"
        ) from error
    # Numbers of thousands of digits.
    except ValueError as error:
        raise PositionError("its JSON holds a number that is too long; check the file") from error
