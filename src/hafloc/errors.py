"""Everything a user can cause, as one family.

HaflocError
├── PhotoError        a photo cannot be read
├── PositionError     a position is missing or cannot be one
├── CheckpointError   a checkpoint is missing, damaged, or of another network
├── IndexFileError    an index is missing, damaged, or of another checkpoint
│   └── IndexBusyError    another process is writing to it
├── TrainingError     a training set, recipe or run cannot be used
├── EvaluationError   a benchmark's files, lists or vectors are not what they should be
├── SourceError       a server of photos or indexes fails, or answers what cannot be used
├── OutputError       a result cannot be written
├── OptionError       options contradict each other, or would have no effect
└── MissingExtraError     an optional dependency is not installed

A message says what is wrong, where, and what to do. The command line prints it as its one
line and exits with the class's `exit_code`.

Interrupted stands apart: Ctrl-C is no error, but whoever was at work may say what is kept.
"""


def reason_of(error: BaseException) -> str:
    """What an error of others says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class HaflocError(Exception):
    """Base of all errors that a user can cause; its text is one line for that user."""

    exit_code = 2


class PhotoError(HaflocError):
    """A photo cannot be read: missing, damaged, not an image, or too large."""


class PositionError(HaflocError):
    """A position is missing, malformed or not on Earth."""


class CheckpointError(HaflocError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class IndexFileError(HaflocError):
    """An index is missing, damaged, or was made with another checkpoint."""


class IndexBusyError(IndexFileError):
    """Another process is writing to the index."""


class EvaluationError(HaflocError):
    """A benchmark's layout, lists, images or vectors are missing, damaged or do not fit."""


class TrainingError(HaflocError):
    """A training set, a recipe or a run cannot be used."""


class SourceError(HaflocError):
    """A server of photos or indexes does not answer, refuses, or answers what cannot be used."""


class OutputError(HaflocError):
    """A result cannot be written: read-only folder, full disk."""


class OptionError(HaflocError):
    """Options contradict each other, would have no effect, or name what this machine lacks."""


class MissingExtraError(HaflocError):
    """A feature needs an optional dependency that is not installed."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, with what is kept and how to go on: "40 photos are stored; run it again".

    Work that keeps something when it is stopped catches KeyboardInterrupt, cleans up, and raises
    this from it. It is a KeyboardInterrupt, so that nobody swallows it with `except Exception`.
    """
