"""An answer in a line of words, the same wherever a person reads it."""

from hafloc.locate.answer import Answer


def in_words(answer: Answer) -> str:
    """The position and how far it can be trusted, or that the place is not in the database."""
    if answer.found is False:
        return f"not in this database (confidence {answer.confidence:.2f})"
    known = []
    if answer.radius is not None:
        share = 100 * (answer.probability or 0)
        known.append(f"within {answer.radius:,.0f} m ({share:g} %)")
    if answer.confidence is not None:
        known.append(f"confidence {answer.confidence:.2f}")
    return f"{answer.position}  {', '.join(known)}".rstrip()
