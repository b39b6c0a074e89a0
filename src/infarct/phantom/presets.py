"""All numbers of a patient from preset, split and index; frozen cohorts and their hashes.

Each part of a patient has a random stream of its own, named by split, preset, part and index: a patient does not depend
on how many are made, and a draw added to one part leaves the other parts as they were. Quantities whose distribution a
paper prints follow an even sequence in the index instead (`draws.Stream.even`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Final, Literal

from infarct.phantom.clinical import draw_clinical
from infarct.phantom.draws import Stream
from infarct.phantom.individuals import (
    Diagnosis,
    Source,
    add_extra_axial_bleed,
    add_old_infarcts,
    add_parenchymal_bleed,
    add_staining,
    draw_confounders,
    draw_densities,
    draw_head,
    draw_person,
    draw_treatment,
    with_mark,
    with_severe_leukoaraiosis,
)
from infarct.phantom.patient import Confounders, Patient, Preset, Protocol, Split, Treatment
from infarct.phantom.populations import DEPARTMENT, StrokeSource
from infarct.phantom.protocols import draw_protocol
from infarct.phantom.strokes import Target, draw_stroke, draw_target

State = Literal["stroke", "healthy", "mimic"]

EMERGENCY: Final[dict[State, float]] = {"stroke": 0.35, "healthy": 0.4, "mimic": 0.25}
"""What an emergency department sends to CT under suspicion of a stroke."""
SCANNED_AS: Final[dict[StrokeSource, float]] = {"hyperacute": 0.25, "aspects": 0.25, "acute": 0.25, "followup": 0.25}
"""Whose age, brain and scanner a healthy patient or a mimic gets, as a control for that population."""
DIAGNOSES: Final[dict[Diagnosis, float]] = {
    "old_infarct": 0.2,
    "leukoaraiosis": 0.2,
    "parenchymal_bleed": 0.2,
    "extra_axial_bleed": 0.2,
    "post_treatment": 0.2,
}
TREATMENT_MARKS: Final = {"coil": 0.25, "clip": 0.2, "drain": 0.15, "skull_defect": 0.2, "staining": 0.2}
"""What a scan after treatment shows."""

TEST_SIZES: Final[dict[Preset, int]] = {
    "hyperacute": 580,
    "aspects": 280,
    "acute": 60,
    "followup": 430,
    "healthy": 310,
    "mimics": 400,
    "mixed": 280,
}
"""Patients in the frozen cohorts `test` and `shifted`: at least 60 of each class."""
FROZEN_SPLITS: Final[tuple[Split, ...]] = ("test", "shifted")


@dataclass(frozen=True)
class Case:
    """What a patient comes for: ``scanned_as`` gives age and scanner, ``source`` the stroke, if any."""

    state: State
    scanned_as: Source
    source: StrokeSource
    diagnosis: Diagnosis | None = None


def draw(preset: Preset, index: int, split: Split = "train") -> Patient:
    """Return the numbers of patient ``index`` (from 0) of a preset and a split."""
    stream = partial(_stream, preset, index, split)
    case = _case(preset, stream("case"))
    person = draw_person(stream("person"), case.scanned_as)
    target = draw_target(stream("target"), case.source)
    stroke = draw_stroke(stream("stroke"), target, split) if case.state == "stroke" else None
    confounders = draw_confounders(stream("confounders"), person)
    treatment = draw_treatment(stream("treatment"), case.scanned_as, stroke.side if stroke else None)
    confounders, treatment, detail = _with_diagnosis(stream("diagnosis"), case.diagnosis, confounders, treatment)
    acute, followup = (draw_protocol(stream(name), case.scanned_as, split) for name in ("acute", "followup"))
    return Patient(
        preset=preset,
        split=split,
        index=index,
        head=draw_head(stream("head"), person, split),
        densities=draw_densities(stream("densities"), target.at_least_hu),
        confounders=confounders,
        stroke=stroke,
        treatment=treatment,
        acute=acute,
        followup=followup if stroke else None,
        clinical=draw_clinical(stream("clinical"), person, stroke, case.source, case.diagnosis),
        stratum=_stratum(case, target, acute) | detail,
    )


def cohort_digest(preset: Preset, split: Split, count: int) -> str:
    """Return the SHA-256 of the digests of the first ``count`` patients, in hexadecimal."""
    return digest_of(draw(preset, index, split) for index in range(count))


def digest_of(patients: Iterable[Patient]) -> str:
    """Return the SHA-256 of the digests of patients, in order, in hexadecimal."""
    total = hashlib.sha256()
    for patient in patients:
        total.update(patient.digest().encode())
    return total.hexdigest()


def frozen_cohorts() -> dict[str, dict[str, dict[str, int | str]]]:
    """Return the committed table of frozen cohorts: preset, split, then ``count`` and ``sha256``."""
    text = resources.files("infarct.phantom").joinpath("frozen.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, dict[str, int | str]]] = json.loads(text)
    return table


def _stream(preset: Preset, index: int, split: Split, part: str) -> Stream:
    return Stream(index, split, preset, part)


def _case(preset: Preset, stream: Stream) -> Case:
    """Return what a patient of a preset comes for."""
    state, source = stream.choice(EMERGENCY), stream.choice(SCANNED_AS)
    diagnosis = stream.choice(DIAGNOSES)
    if preset == "healthy":
        return Case("healthy", source, source)
    if preset == "mimics":
        return Case("mimic", source, source, diagnosis)
    if preset == "mixed":
        source = stream.choice(DEPARTMENT)
        return Case(state, "mixed", source, diagnosis if state == "mimic" else None)
    return Case("stroke", preset, preset)


def _with_diagnosis(
    stream: Stream, diagnosis: Diagnosis | None, confounders: Confounders, treatment: Treatment
) -> tuple[Confounders, Treatment, dict[str, str]]:
    """Return confounders and treatment with what a mimic came for, and the stratum of what a treatment left."""
    added: dict[Diagnosis, Callable[[Stream, Confounders], Confounders]] = {
        "old_infarct": add_old_infarcts,
        "leukoaraiosis": with_severe_leukoaraiosis,
        "parenchymal_bleed": add_parenchymal_bleed,
        "extra_axial_bleed": add_extra_axial_bleed,
    }
    if diagnosis is None:
        return confounders, treatment, {}
    if diagnosis != "post_treatment":
        return added[diagnosis](stream, confounders), treatment, {}
    mark = stream.choice(TREATMENT_MARKS)
    if mark == "staining":
        return add_staining(stream, confounders), treatment, {"mark": mark}
    return confounders, with_mark(treatment, mark), {"mark": mark}


def _stratum(case: Case, target: Target, protocol: Protocol) -> dict[str, str]:
    """Return the names of the classes that a patient counts in."""
    found: dict[str, str] = {"state": case.state, "scanned_as": case.scanned_as}
    if case.diagnosis:
        found["diagnosis"] = case.diagnosis
    if case.scanned_as == "aspects":
        found["kvp"] = "100-120" if protocol.kvp in (100, 120) else str(protocol.kvp)
    if case.state == "stroke":
        found |= {"source": case.source, **target.kind.stratum}
        if case.source == "hyperacute":
            found["onset"] = "<=6 h" if target.onset_h <= 6.0 else "6-12 h"
    return found
