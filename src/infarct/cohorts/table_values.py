"""Cells of clinical tables as checked values. An empty cell and the usual words for "unknown" are None."""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from infarct.anatomy import Side
from infarct.cohorts.case import Clinical, Sex

UNKNOWN: Final = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
_SEXES: Final[dict[str, Sex]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
_SIDES: Final[dict[str, Side]] = {"left": "left", "l": "left", "right": "right", "r": "right"}
MAX_ONSET_H: Final = 24.0 * 366
MAX_AGE: Final = 120.0
T = TypeVar("T")


class BadCell(ValueError):
    """A cell that is no such value; the message says what is allowed and never what was found."""


def number(text: str, high: float) -> float | None:
    """Return a number from 0 to ``high``, None where it is unknown. Raises `BadCell`."""
    if _is_unknown(text):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= high:
        raise BadCell(f"is no number from 0 to {high:g}")
    return value


def whole(text: str, high: int) -> int | None:
    """Return a whole number from 0 to ``high``, None where it is unknown. Raises `BadCell`."""
    value = number(text, high)
    if value is None:
        return None
    if value != int(value):
        raise BadCell(f"is no whole number from 0 to {high}")
    return int(value)


def sex(text: str) -> Sex | None:
    """Return the sex, None where it is unknown. Raises `BadCell`."""
    return _word(text, _SEXES, "is neither f nor m")


def side(text: str) -> Side | None:
    """Return the side, None where it is unknown. Raises `BadCell`."""
    return _word(text, _SIDES, "is neither left nor right")


READERS: Final[dict[str, Callable[[str], Any]]] = {
    "onset_h": lambda text: number(text, MAX_ONSET_H),
    "age": lambda text: number(text, MAX_AGE),
    "sex": sex,
    "side": side,
    "nihss": lambda text: whole(text, 42),
    "mrs90": lambda text: whole(text, 6),
    "aspects": lambda text: whole(text, 10),
}
"""How the cell of each field of `Clinical` is read."""


def clinical_of(cells: dict[str, str]) -> Clinical:
    """Return the clinical values of a row; names are those of `Clinical`. Raises `BadCell` that names the column."""
    values = {}
    for name, text in cells.items():
        try:
            values[name] = READERS[name](text)
        except BadCell as error:
            raise BadCell(f"{name} {error}") from None
    return Clinical(**values)


def lenient_clinical(cells: dict[str, str]) -> Clinical:
    """Return the clinical values of a row of a published data set: a cell that makes no sense counts as unknown."""
    values = {}
    for name, text in cells.items():
        try:
            values[name] = READERS[name](text)
        except BadCell:
            values[name] = None
    return Clinical(**values)


def _is_unknown(text: str) -> bool:
    return text.strip().lower() in UNKNOWN


def _word(text: str, words: dict[str, T], complaint: str) -> T | None:
    if _is_unknown(text):
        return None
    if text.strip().lower() not in words:
        raise BadCell(complaint)
    return words[text.strip().lower()]
