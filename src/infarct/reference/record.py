"""The reference standard of a patient as plain data for JSON, with its doubts as flags."""

from dataclasses import asdict
from typing import Any, Final

from infarct import __version__
from infarct.findings import INTENDED_USE
from infarct.reference.deconvolution import (
    LARGE_VESSEL_HEMATOCRIT,
    SMALL_VESSEL_HEMATOCRIT,
    TISSUE_DENSITY_G_ML,
    TRUNCATION,
    Deconvolved,
)
from infarct.reference.perfusion import PerfusionConfig, PerfusionReference
from infarct.types import Flag

SCHEMA_VERSION: Final = "1.0"
MIN_IMAGED: Final = 0.9
"""Less of the brain inside the perfusion images is told: lesions beyond them are not seen."""


def record_of(
    found: PerfusionReference,
    *,
    source: tuple[str, ...],
    config: PerfusionConfig,
    flags: tuple[Flag, ...] = (),
    deconvolved: Deconvolved | None = None,
) -> dict[str, Any]:
    """Return the result as JSON data; ``source`` names the maps that were given, or ``ctp``."""
    own = (*reference_flags(found), *(deconvolved.flags if deconvolved else ()))
    alignment = found.alignment
    return {
        "schema_version": SCHEMA_VERSION,
        "software": {"name": "infarct", "version": __version__},
        "intended_use": INTENDED_USE,
        "source": list(source),
        "flags": [asdict(flag) for flag in (*own, *flags)],
        "alignment": {
            "method": alignment.method,
            "similarity": alignment.similarity,
            "turn_deg": alignment.turn_deg,
            "shift_mm": alignment.shift_mm,
        },
        "imaged_brain_share": found.imaged_brain_share,
        "core_ml": found.core_ml,
        "penumbra_ml": found.penumbra_ml,
        "mismatch_ml": found.mismatch_ml,
        "mismatch_ratio": found.mismatch_ratio,
        "aspects": {
            score.side: {"score": score.score, "score_min": score.least, "score_max": score.most}
            for score in found.scores
        },
        "regions": [asdict(region) for region in found.regions],
        "config": asdict(config),
        "deconvolution": _deconvolution(deconvolved) if deconvolved else None,
    }


def reference_flags(found: PerfusionReference) -> tuple[Flag, ...]:
    """Return the doubts about alignment and coverage."""
    flags = []
    if not found.alignment.is_reliable:
        words = "The perfusion images could not be matched to the CT: volumes and regions may be off."
        flags.append(Flag("perfusion_alignment_poor", "critical", words, found.alignment.similarity))
    if found.imaged_brain_share < MIN_IMAGED:
        share = 100 * found.imaged_brain_share
        words = f"Only {share:.0f} % of the brain lies inside the perfusion images; lesions beyond are not seen."
        flags.append(Flag("perfusion_coverage_incomplete", "warning", words, share))
    return tuple(flags)


def _deconvolution(found: Deconvolved) -> dict[str, Any]:
    return {
        "truncation": TRUNCATION,
        "hematocrit_large_vessels": LARGE_VESSEL_HEMATOCRIT,
        "hematocrit_small_vessels": SMALL_VESSEL_HEMATOCRIT,
        "tissue_density_g_ml": TISSUE_DENSITY_G_ML,
        "arterial_scale": found.arterial_scale,
        "artery_voxels_zyx": found.artery.voxels.tolist(),
        "artery_hu": [round(float(hu), 2) for hu in found.artery.curve_hu],
        "vein_voxels_zyx": found.vein.voxels.tolist() if found.vein else None,
        "vein_hu": [round(float(hu), 2) for hu in found.vein.curve_hu] if found.vein else None,
    }
