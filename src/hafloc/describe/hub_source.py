"""Where a network of torch.hub lies: its name taken apart, its commit found, its files fetched.

    hub:OWNER/REPO[:ENTRY][@COMMIT][?KEY=VALUE&...]    a repository of GitHub
    hub:/path/to/repo[:ENTRY][?KEY=VALUE&...]          a folder with a hubconf.py

Keys are those of `model_input` (`size=322x322`, `mean=0.5,0.5,0.5`), and `arg.NAME` for what the
entry is called with.
"""

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

from hafloc.describe.model_input import KEYS
from hafloc.errors import CheckpointError

PREFIX = "hub:"
COMMITS = "https://api.github.com/repos/{repo}/commits/{reference}"
ARCHIVE = "https://codeload.github.com/{repo}/zip/{commit}"
_SECONDS = 30
_REPO = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?::(?P<entry>\w+))?(?:@(?P<commit>[\w./-]+))?"
)
_FOLDER = re.compile(r"(?P<folder>.+?)(?::(?P<entry>[A-Za-z_]\w*))?")
_LOCAL = re.compile(r"/|\\|~|\.{1,2}(?:/|\\|$)|[A-Za-z]:[/\\]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ARGUMENT = "arg."


@dataclass(frozen=True, slots=True)
class HubName:
    """A name taken apart: `repo` ("OWNER/REPO", "" for a folder), `folder` (None for a repo),
    `entry` and `commit` ("" where not named), `options` and `arguments` as plain values."""

    repo: str
    folder: Path | None
    entry: str
    commit: str
    options: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    def query(self) -> str:
        """The part of a name that says options and arguments; "" where it says none."""
        said = [f"{key}={_text(value)}" for key, value in self.options.items()]
        said += [f"{_ARGUMENT}{key}={_text(value)}" for key, value in self.arguments.items()]
        return "?" + "&".join(said) if said else ""


def parse(name: str) -> HubName:
    """A `hub:` name taken apart; raises CheckpointError where it is none."""
    text, _, query = name.removeprefix(PREFIX).partition("?")
    options, arguments = _query(query, name)
    local = _LOCAL.match(text) is not None
    found = (_FOLDER if local else _REPO).fullmatch(text)
    if found is None:
        raise CheckpointError(
            f"{name} is no network; write hub:OWNER/REPO:ENTRY@COMMIT, or hub:./FOLDER:ENTRY"
        )
    parts = found.groupdict()
    entry = parts["entry"] or ""
    if local:
        return HubName("", Path(parts["folder"]).expanduser(), entry, "", options, arguments)
    return HubName(parts["repo"], None, entry, parts["commit"] or "", options, arguments)


def find_commit(name: HubName) -> str:
    """The full commit of what a name says: a commit, tag or branch, or the newest of all.

    Raises CheckpointError where there is no such repository, or no network.
    """
    if _COMMIT.fullmatch(name.commit):
        return name.commit
    address = COMMITS.format(repo=name.repo, reference=quote(name.commit or "HEAD", safe=""))
    request = Request(address, headers={"Accept": "application/vnd.github.sha"})
    text = _read(request, name).decode("ascii", "replace").strip()
    if not _COMMIT.fullmatch(text):
        raise CheckpointError(f"{address} names no commit of {name.repo}; write @COMMIT in full")
    return text


def fetch(name: HubName, commit: str) -> Path:
    """The folder of a repository at a commit, fetched once and kept beside torch's own files.

    Raises CheckpointError where it cannot be had.
    """
    import torch

    home = Path(torch.hub.get_dir()) / "hafloc"
    folder = home / f"{name.repo.replace('/', '_')}_{commit}"
    if folder.is_dir():
        return folder
    content = _read(Request(ARCHIVE.format(repo=name.repo, commit=commit)), name)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            archive = Path(scratch) / "archive.zip"
            archive.write_bytes(content)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(Path(scratch) / "files")
            (root,) = (Path(scratch) / "files").iterdir()
            _put(root, folder)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"cannot keep {name.repo} at {folder}: {error}; free space there or set TORCH_HOME"
        ) from error
    return folder


def digest(folder: Path) -> str:
    """What identifies the code in a folder: its Python files by name and content."""
    found = hashlib.blake2b(digest_size=16)
    files = sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix())
    for path in files:
        way = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in way.parts):
            continue
        content = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        found.update(f"{way.as_posix()} {content}\n".encode())
    return found.hexdigest()


def _put(made: Path, folder: Path) -> None:
    """Move a folder to its place, unless another process was first."""
    try:
        made.replace(folder)
    except OSError:
        if not folder.is_dir():
            shutil.move(made, folder)


def _read(request: Request, name: HubName) -> bytes:
    asked = f"{name.repo}@{name.commit}" if name.commit else name.repo
    try:
        with urlopen(request, timeout=_SECONDS) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        if error.code in (403, 429):
            raise CheckpointError(
                f"cannot fetch {asked}: GitHub answers no more for now; try again in an hour, or "
                "name the full commit"
            ) from error
        raise CheckpointError(
            f"cannot fetch {asked}: GitHub has no such public repository or commit "
            f"({error.code}); check the name"
        ) from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(
            f"cannot fetch {asked}: {reason}; connect to the internet, or name a folder with the "
            "repository's files, as hub:./FOLDER"
        ) from error


def _query(text: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    options: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for part in text.split("&") if text else ():
        key, equals, value = part.partition("=")
        key, value = unquote(key), unquote(value)
        argument = key.removeprefix(_ARGUMENT)
        if equals and argument != key and argument.isidentifier():
            arguments[argument] = _value(value)
        elif equals and key in KEYS:
            options[key] = _option(key, value)
        else:
            raise CheckpointError(
                f"{name}: {part!r} says nothing; write one of {', '.join(KEYS)} or arg.NAME, as in "
                "?size=322x322&mean=0.5,0.5,0.5"
            )
    return options, arguments


def _option(key: str, value: str) -> Any:
    """`322x322` and `0.5,0.5,0.5` are lists, one number for a size is a square."""
    parts = [_value(part) for part in re.split("[x,]", value)]
    if key == "size":
        return parts * 2 if len(parts) == 1 else parts
    return parts if key in ("mean", "std") else parts[0] if key != "channels" else value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return quote(value if isinstance(value, str) else json.dumps(value), safe="")
