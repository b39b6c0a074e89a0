"""One scan's tiles by one or several methods against its truth: everything that tables and figures are made of.

Tiles count twice: those that the localize paper would have taken, as many from the infarct as from the mirrored places
("balanced"), and all of the grid ("whole slices"). A tile of the grid that is neither mostly infarct nor free of it is
neither right nor wrong: it stays out of rates, and is counted. None is what nobody said.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from infarct.evaluation.result import Form
from infarct.preprocess.tile_clusters import clusters_of
from infarct.preprocess.tile_input import Places
from infarct.types import BoolArray, Float64Array

SCORE_DIGITS: Final = 5
"""Significant digits of a score that are kept."""


@dataclass(frozen=True)
class LocalizeAbout:
    """What is known of a scan and its patient; None where it is not.

    ``id`` and ``patient`` are keys, which name nobody; ``group`` is the cohort, ``fingerprint`` what scan and truth
    were read from. ``ill``: there is an infarct, of ``lesion_ml``, in a slice at most ``lesion_mm`` long. ``region``
    (supratentorial, infratentorial), ``area`` (cortical, subcortical, both) and ``size`` (0.5-1.5 cm, >1.5 cm) are what
    the cohort says of it, ``detectability`` is the ideal observer's d'.
    """

    id: str
    patient: str
    group: str
    ill: bool
    lesion_ml: float = 0.0
    lesion_mm: float | None = None
    onset_h: float | None = None
    detectability: float | None = None
    region: str | None = None
    area: str | None = None
    size: str | None = None
    kvp: float | None = None
    thickness_mm: float | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class Clusters:
    """Clusters of tiles marked on whole slices: how many ``touch`` the infarct, how many do not (``false``), and how
    many of these touch an old infarct, None where nobody outlined those."""

    touch: int
    false: int
    false_in_old: int | None = None


@dataclass(frozen=True)
class LocalizeResult:
    """A method's scores of the tiles of one scan: the higher, the surer it is of an infarct.

    ``infarct`` and ``normal`` are the balanced tiles, called from ``threshold`` on; ``all_infarct`` and ``all_free``
    those of the whole grid, marked from ``whole_threshold`` on. ``partly`` tiles of the grid are neither.
    """

    about: LocalizeAbout
    threshold: float
    whole_threshold: float
    infarct: tuple[float, ...]
    normal: tuple[float, ...]
    all_infarct: tuple[float, ...]
    all_free: tuple[float, ...]
    partly: int
    clusters: Clusters
    seconds: float | None = None

    @property
    def right(self) -> int:
        """How many of the balanced tiles are called rightly."""
        return sum(score >= self.threshold for score in self.infarct) + sum(
            score < self.threshold for score in self.normal
        )

    @property
    def tiles(self) -> int:
        """How many balanced tiles there are."""
        return len(self.infarct) + len(self.normal)

    @property
    def patch_accuracy(self) -> float | None:
        """The paper's patch-level accuracy: balanced tiles called rightly by all of them; None without any."""
        return self.right / self.tiles if self.tiles else None

    @property
    def recognised(self) -> bool | None:
        """The paper's patient-level rule: at least one infarct tile of the balanced ones is called; None without."""
        return any(score >= self.threshold for score in self.infarct) if self.infarct else None

    @property
    def found(self) -> bool:
        """Whether a cluster that is marked on whole slices touches the infarct."""
        return self.clusters.touch > 0


@dataclass(frozen=True)
class LocalizeResults:
    """What every method says of one scan, by the method's name; at least one."""

    by_method: dict[str, LocalizeResult]

    @property
    def about(self) -> LocalizeAbout:
        """What is known of the scan, which is the same for all methods."""
        return next(iter(self.by_method.values())).about


@dataclass(frozen=True, eq=False)
class TileTruth:
    """What is true of the tiles of a scan, all of ``tile_px`` pixels.

    ``places`` are the grid and ``infarct`` (bool, (n,)) its infarct tiles; ``touching`` those that hold any of the
    infarct, ``old`` any of an old one, None where nobody outlined those. ``balanced`` are the balanced tiles, infarct
    first, of which ``balanced_infarct`` (bool, (m,)) are so.
    """

    places: Places
    infarct: BoolArray
    touching: BoolArray
    old: BoolArray | None
    balanced: Places
    balanced_infarct: BoolArray
    tile_px: int


@dataclass(frozen=True, eq=False)
class Judged:
    """A method's scores of the grid (n,) and of the balanced tiles (m,), and from where on it calls and marks."""

    grid: Float64Array
    balanced: Float64Array
    threshold: float
    whole_threshold: float
    seconds: float | None = None

    @property
    def marked(self) -> BoolArray:
        """The tiles of the grid that are marked on whole slices (bool, (n,))."""
        return self.grid >= self.whole_threshold


def evaluate_tiles(judged: Judged, truth: TileTruth, about: LocalizeAbout) -> LocalizeResult:
    """Return the result of one method. Raises `ValueError` where scores and tiles differ in number."""
    if judged.grid.shape != truth.infarct.shape or judged.balanced.shape != truth.balanced_infarct.shape:
        raise ValueError("scores and tiles differ in number")
    free = ~truth.infarct & ~truth.touching
    return LocalizeResult(
        about=about,
        threshold=judged.threshold,
        whole_threshold=judged.whole_threshold,
        infarct=_kept(judged.balanced[truth.balanced_infarct]),
        normal=_kept(judged.balanced[~truth.balanced_infarct]),
        all_infarct=_kept(judged.grid[truth.infarct]),
        all_free=_kept(judged.grid[free]),
        partly=int(np.count_nonzero(~truth.infarct & truth.touching)),
        clusters=_clusters(judged.marked, truth),
        seconds=judged.seconds,
    )


def _clusters(marked: BoolArray, truth: TileTruth) -> Clusters:
    labels = clusters_of(truth.places, marked, tile_px=truth.tile_px)
    every = set(labels[marked].tolist())
    touch = set(labels[marked & truth.touching].tolist())
    false = every - touch
    in_old = None if truth.old is None else len(false & set(labels[marked & truth.old].tolist()))
    return Clusters(len(touch), len(false), in_old)


def _kept(scores: Float64Array) -> tuple[float, ...]:
    return tuple(float(f"{score:.{SCORE_DIGITS}g}") for score in scores.tolist())


def _read(stored: Mapping[str, Any]) -> LocalizeResults:
    by_method = {str(name): _read_result(one) for name, one in stored["by_method"].items()}
    if not by_method:
        raise ValueError("a scan has results of no method")
    return LocalizeResults(by_method)


def _read_result(stored: Mapping[str, Any]) -> LocalizeResult:
    found = dict(stored)
    scores = (tuple(found.pop(name)) for name in ("infarct", "normal", "all_infarct", "all_free"))
    infarct, normal, all_infarct, all_free = scores
    return LocalizeResult(
        about=LocalizeAbout(**found.pop("about")),
        clusters=Clusters(**found.pop("clusters")),
        infarct=infarct,
        normal=normal,
        all_infarct=all_infarct,
        all_free=all_free,
        **found,
    )


LOCALIZE_FORM: Final = Form(asdict, _read)
