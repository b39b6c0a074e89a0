"""The truth of ASPECTS: which of the twenty regions are affected, by perfusion and by readers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from infarct.anatomy import REGIONS, SIDES, Side

Calls: TypeAlias = tuple[bool | None, ...]
"""What one judge says of each of the twenty regions, in the order of their labels (`SIDES` by `REGIONS`); None where
nobody looked."""
TWENTY: Final = len(SIDES) * len(REGIONS)


@dataclass(frozen=True)
class AspectsTruth:
    """Which regions are affected.

    ``by_core``: core fills more than 10 % of the region (aspects paper, reference standard). ``by_readers``: as each
    reader calls them. ``side`` is that of the stroke, None without one. ``core_ml`` is the volume of the core.

    Raises `ValueError` where a judge does not have twenty calls.
    """

    by_core: Calls
    by_readers: tuple[Calls, ...] = ()
    side: Side | None = None
    core_ml: float | None = None

    def __post_init__(self) -> None:
        if any(len(calls) != TWENTY for calls in (self.by_core, *self.by_readers)):
            raise ValueError(f"a judge has {TWENTY} calls, one a region")


def both_sides(calls: Iterable[bool], side: Side) -> Calls:
    """Return the calls of one side, ten in the order of `REGIONS`, among those of both; nobody looked at the other."""
    unknown: Calls = (None,) * len(REGIONS)
    return tuple(calls) + unknown if side == SIDES[0] else unknown + tuple(calls)
