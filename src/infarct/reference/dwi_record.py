"""The reference standard of a patient's DWI as plain data for JSON, with its doubts as flags."""

from dataclasses import asdict
from typing import Any, Final

from infarct import __version__
from infarct.findings import INTENDED_USE
from infarct.reference.dwi import DwiReference, OnCt
from infarct.reference.dwi_lesions import DwiConfig
from infarct.types import Flag

SCHEMA_VERSION: Final = "1.0"
MIN_COVERED: Final = 0.9
"""Less of the CT's brain inside the images is told: infarcts beyond them are not seen."""


def dwi_record(
    found: DwiReference, *, source: tuple[str, ...], config: DwiConfig, flags: tuple[Flag, ...] = ()
) -> dict[str, Any]:
    """Return the result as JSON data; ``source`` names the images that were given, ``flags`` are the CT's."""
    lesions, on_ct = found.lesions, found.on_ct
    return {
        "schema_version": SCHEMA_VERSION,
        "software": {"name": "infarct", "version": __version__},
        "intended_use": INTENDED_USE,
        "source": list(source),
        "flags": [asdict(flag) for flag in (*dwi_flags(found, config), *flags)],
        "timing": asdict(found.timing),
        "adc_unit_of_source": found.images.adc_unit,
        "infarct_dwi_grid_ml": found.infarct_ml,
        "infarct_ct_grid_ml": on_ct.infarct_ml if on_ct else None,
        "threshold": asdict(lesions.threshold) | {"held": lesions.threshold.held},
        "adc_required": lesions.adc_required,
        "rejected": {"shine_through_ml": lesions.shine_through_ml, "artefact_ml": lesions.artefact_ml},
        "pieces": [asdict(piece) for piece in lesions.pieces],
        "route": on_ct.route if on_ct else None,
        "alignment": _alignment(on_ct),
        "covered_brain_share": on_ct.covered_brain_share if on_ct else None,
        "config": asdict(config),
    }


def _alignment(on_ct: OnCt | None) -> dict[str, Any] | None:
    if on_ct is None or on_ct.alignment is None:
        return None
    found = on_ct.alignment
    return {
        "method": found.method,
        "similarity": found.similarity,
        "turn_deg": found.turn_deg,
        "shift_mm": found.shift_mm,
    }


def dwi_flags(found: DwiReference, config: DwiConfig) -> tuple[Flag, ...]:
    """Return the doubts about timing, threshold, alignment and coverage."""
    return (*_time_flags(found, config), *_image_flags(found), *_ct_flags(found.on_ct))


def _time_flags(found: DwiReference, config: DwiConfig) -> list[Flag]:
    hours = found.timing.hours_from_onset
    if hours is None:
        words = "The time from onset to DWI is not known; low ADC was asked for, as in the first five days."
        return [Flag("diffusion_time_unknown", "info", words)]
    if hours > config.adc_window_h:
        words = f"The DWI was taken {hours:.0f} h after onset, when ADC may be normal again: confirm the mask by eye."
        return [Flag("adc_pseudonormal_window", "warning", words, hours)]
    return []


def _image_flags(found: DwiReference) -> list[Flag]:
    lesions, flags = found.lesions, []
    if lesions.threshold.held:
        ratio, used = lesions.threshold.shanbhag, lesions.threshold.used
        words = f"Shanbhag's threshold came out at {ratio:.2f} of usual tissue and was held at {used:.2f}."
        flags.append(Flag("dwi_threshold_held", "info", words, ratio))
    if lesions.artefact_ml > 0:
        words = f"{lesions.artefact_ml:.1f} ml of bright DWI at the skull base were taken for artefacts of air."
        flags.append(Flag("dwi_artefact_left_out", "info", words, lesions.artefact_ml))
    return flags


def _ct_flags(on_ct: OnCt | None) -> list[Flag]:
    if on_ct is None:
        return []
    flags = []
    if on_ct.alignment is not None and not on_ct.alignment.is_reliable:
        words = "The diffusion images could not be matched to the CT: the mask may lie elsewhere."
        flags.append(Flag("diffusion_alignment_poor", "critical", words, on_ct.alignment.similarity))
    if on_ct.route == "slices":
        words = "CT and DWI were matched slice by slice: a nod of the head between them is not corrected."
        flags.append(Flag("diffusion_matched_by_slices", "warning", words))
    if on_ct.covered_brain_share < MIN_COVERED:
        share = 100 * on_ct.covered_brain_share
        words = f"Only {share:.0f} % of the brain lies inside the diffusion images; infarcts beyond are not seen."
        flags.append(Flag("diffusion_coverage_incomplete", "warning", words, share))
    return flags
