"""How names are put together in sentences."""

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def sentence(text: str) -> str:
    """Return ``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]
