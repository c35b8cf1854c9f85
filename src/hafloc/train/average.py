"""The weighted mean of two checkpoints of the same network: often better than either."""

from pathlib import Path

from hafloc.errors import CheckpointError
from hafloc.nn import load_checkpoint, save_checkpoint


def average(first: Path | str, second: Path | str, weight: float, out: Path) -> str:
    """Write (1 - weight) · first + weight · second; returns the new checkpoint's hash.

    Raises CheckpointError where one cannot be read, the two differ in network or options, or the
    weight is not within 0 and 1; OutputError where `out` cannot be written.
    """
    if not 0 <= weight <= 1:
        raise CheckpointError(f"weight {weight:g} is not within 0 and 1; choose one that is")
    a, b = load_checkpoint(first), load_checkpoint(second)
    if a.network.name != b.network.name:
        raise CheckpointError(
            f"{first} holds a {a.network.name}, {second} a {b.network.name}; only checkpoints of "
            "the same network can be averaged"
        )
    different = [key for key in a.options if a.options[key] != b.options.get(key)]
    if different:
        key = different[0]
        raise CheckpointError(
            f"{first} has {key} = {a.options[key]!r}, {second} has {b.options.get(key)!r}; only "
            "checkpoints with the same options can be averaged"
        )
    others = b.network.state_dict()
    mixed = {key: value.lerp(others[key], weight) for key, value in a.network.state_dict().items()}
    a.network.load_state_dict(mixed)
    parts = [
        {"name": part.name, "hash": part.hash, "weight": share, "provenance": part.provenance}
        for part, share in ((a, 1 - weight), (b, weight))
    ]
    provenance = {"trained": True, "average of": parts}
    return save_checkpoint(out, a.network, name=a.name, provenance=provenance)
