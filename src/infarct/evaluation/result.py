"""What the result of one scan is to all that collects results, whichever system gave it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar


class About(Protocol):
    """What every result says of its scan; keys name nobody."""

    @property
    def id(self) -> str:
        """Key of the scan."""

    @property
    def patient(self) -> str:
        """Key of its patient."""

    @property
    def group(self) -> str:
        """The cohort that it counts in."""

    @property
    def fingerprint(self) -> str:
        """What the scan and its truth were read from."""


class Result(Protocol):
    """What a system answered about one scan, measured."""

    @property
    def about(self) -> About:
        """What is known of the scan besides its voxels."""


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Failure:
    """A scan without an answer, and why: it counts in no mean, so it is told beside every mean."""

    id: str
    group: str
    reason: str


Outcome: TypeAlias = R | Failure


@dataclass(frozen=True)
class Form(Generic[R]):
    """How results of one kind become JSON and come back.

    ``read`` is the inverse of ``written``, and raises KeyError, TypeError or ValueError for anything else.
    """

    written: Callable[[R], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], R]


def without_nan(value: Any) -> Any:
    """Return nested dictionaries, lists and tuples with None in place of nan."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
