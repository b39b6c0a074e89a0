"""The cohorts that an evaluation is asked for: folders, and phantoms by preset and split."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from infarct.cohorts import Case, Cohort
from infarct.cohorts.detect import open_cohort
from infarct.cohorts.phantom import phantom_cases
from infarct.errors import BadRequest
from infarct.evaluation.run import Task
from infarct.measure.severity import Severity, followup_class
from infarct.phantom import Preset, Split, draw
from infarct.phantom.presets import FROZEN_SPLITS, TEST_SIZES

PHANTOM: Final = "phantom:"


@dataclass(frozen=True)
class Named:
    """A cohort with the name that it has in tables."""

    name: str
    cases: tuple[Case, ...]

    @property
    def identity(self) -> dict[str, str]:
        """What tells the cohort from others and names no patient: its name, and a digest of its first case."""
        first = self.cases[0]
        digest = hashlib.sha256(f"{first.id}|{first.target}".encode()).hexdigest()[:16]
        return {"name": self.name, "first_case": digest}


def open_named(
    texts: Sequence[str],
    *,
    first: int | None = None,
    split: str | None = None,
    slice_mm: float | None = None,
    per_class: int | None = None,
) -> tuple[Named, ...]:
    """Return the first ``first`` cases of each cohort, named as DIR, NAME=DIR or phantom:PRESET:SPLIT.

    Of those of phantoms at follow-up only the first ``per_class`` of each class of infarcts are taken. Of cohorts that
    are parted, ``split`` is the part wanted. ``slice_mm`` stands in the names where slices are averaged to it. Raises
    `BadRequest` where a cohort cannot be opened, is empty, or two have one name.
    """
    found = tuple(_opened(text, first, split, slice_mm, per_class) for text in texts)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise BadRequest("two cohorts have the same name; give them names: --cohort NAME=DIR")
    return found


def _opened(text: str, first: int | None, split: str | None, slice_mm: float | None, per_class: int | None) -> Named:
    name, given, place = text.rpartition("=")
    if place.startswith(PHANTOM):
        cohort, kind = _phantoms(place, first, per_class)
    else:
        cohort = open_cohort(Path(place))
        kind = cohort.kind
    if slice_mm is not None:
        kind = f"{kind} {slice_mm:g} mm"
    cases = _of_split(cohort.cases, split)[:first]
    if not cases:
        raise BadRequest("a cohort holds no case that can be evaluated; infarct cohort check says why")
    return Named(name if given else kind, cases)


def _of_split(cases: tuple[Case, ...], split: str | None) -> tuple[Case, ...]:
    if split is None:
        return cases
    chosen = tuple(case for case in cases if case.stratum.get("split") == split)
    if not chosen:
        known = sorted({case.stratum["split"] for case in cases if "split" in case.stratum})
        parts = f"its parts are {', '.join(known)}" if known else "it is not parted"
        raise BadRequest(f"a cohort has no case of the split that --split names; {parts}")
    return chosen


def _phantoms(text: str, first: int | None, per_class: int | None) -> tuple[Cohort, str]:
    """Return the phantoms that phantom:PRESET:SPLIT names; a frozen cohort has its own size."""
    parts = text.removeprefix(PHANTOM).split(":")
    preset = next((one for one in get_args(Preset) if one == parts[0]), None)
    split = next((one for one in get_args(Split) if len(parts) == 2 and one == parts[1]), None)
    if preset is None or split is None:
        presets, splits = (", ".join(get_args(names)) for names in (Preset, Split))
        raise BadRequest(f"give phantoms as phantom:PRESET:SPLIT; presets are {presets}; splits are {splits}")
    count = first
    if split in FROZEN_SPLITS:
        count = min(first or TEST_SIZES[preset], TEST_SIZES[preset])
    if count is None:
        raise BadRequest("say how many phantoms with --first: this split has no size of its own")
    indices = range(count) if per_class is None else _of_each_class(preset, split, count, per_class)
    return Cohort("phantom", phantom_cases(preset, split, indices)), f"{preset} {split}"


def _of_each_class(preset: Preset, split: Split, count: int, per_class: int) -> list[int]:
    """Return which of the first ``count`` phantoms are the first of the class of their infarct, or have none.

    The class is that of the density that the patient is drawn with; what is rendered differs a little.
    """
    taken: Counter[Severity] = Counter()
    kept = []
    for index in range(count):
        stroke = draw(preset, index, split).stroke
        if stroke is not None and stroke.mean_hu is not None:
            severity = followup_class(stroke.mean_hu)
            taken[severity] += 1
            if taken[severity] > per_class:
                continue
        kept.append(index)
    return kept


def tasks_of(cohorts: Sequence[Named]) -> tuple[Task, ...]:
    """Return a task for each scan."""
    return tuple(
        Task(cohort.name, case.key, number, index, case.fingerprint)
        for number, cohort in enumerate(cohorts)
        for index, case in enumerate(cohort.cases)
    )
