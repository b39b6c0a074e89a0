"""Options that take words with commas between them, and may be given several times."""

from collections.abc import Sequence


def joined(texts: Sequence[str] | None) -> str | None:
    """Return what all the texts of an option say together, with commas; None where it was not given."""
    return ",".join(texts) if texts else None
