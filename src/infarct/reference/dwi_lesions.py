"""Infarcts in DWI and ADC: bright by Shanbhag's threshold, and dark in ADC as long as an infarct is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.preprocess.head import mirrored_mask
from infarct.preprocess.midplane import mirrored
from infarct.reference.dwi_images import DiffusionImages, near_edge
from infarct.reference.pieces import grown, local_mean, pieces
from infarct.reference.shanbhag import shanbhag_threshold
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import volume_ml
from infarct.volume.mask import centroid_mm

MAD_TO_SD: Final = 1.4826


@dataclass(frozen=True)
class DwiConfig:
    """Settings of the reference standard.

    ``adc_low_um2_s`` (620e-6 mm2/s; Purushotham, Int J Stroke 2015;10:348) or ``adc_low_ratio`` of the other side is
    the ADC of an infarct, asked for up to ``adc_window_h`` from onset; the rest is ours. Shanbhag's threshold is held
    within ``held_sd`` of the usual brightness. The other side's ADC is a mean of its tissue within ``reference_mm``
    (SD), ADC is smoothed in plane by ``calm_mm``. Around a seed of ``seed_ml`` or more, what is bright within
    ``rim_mm`` belongs to it where ADC is below usual: the rim of an infarct is half healthy. Smaller pieces than
    ``speck_ml`` are specks. In the lowest
    ``base_share`` of the brain's height, pieces mostly within ``edge_mm`` of its edge are artefacts of air where the
    other side is as bright, and, where a CT shows it, those mostly within ``air_mm`` of air in the skull.
    """

    adc_low_um2_s: float = 620.0
    adc_low_ratio: float = 0.75
    adc_window_h: float = 120.0
    held_sd: tuple[float, float] = (2.0, 3.0)
    reference_mm: float = 5.0
    calm_mm: float = 1.0
    seed_ml: float = 0.05
    rim_mm: float = 4.0
    speck_ml: float = 0.1
    base_share: float = 0.45
    edge_mm: float = 10.0
    air_mm: float = 8.0


@dataclass(frozen=True)
class BrightnessThreshold:
    """The threshold on brightness (1 is usual tissue): ``shanbhag`` as it came, ``used`` as it was held."""

    shanbhag: float
    used: float
    usual: float
    sd: float

    @property
    def held(self) -> bool:
        """Whether Shanbhag's threshold had to be moved."""
        return self.used != self.shanbhag


@dataclass(frozen=True)
class Piece:
    """One connected infarct: its volume, LPS centre in the DWI's world, median ADC and share of it with low ADC."""

    volume_ml: float
    centroid_lps_mm: tuple[float, float, float]
    median_adc_um2_s: float
    low_adc_share: float


@dataclass(frozen=True, eq=False)
class DwiLesions:
    """Infarcts on the grid of the images: ``mask`` and what was bright but rejected, bool (z, y, x).

    ``shine_through_ml`` is rejected for its ADC, ``artefact_ml`` as an artefact near air; ``adc_required`` says whether
    low ADC was asked for.
    """

    mask: BoolArray
    rejected: BoolArray
    threshold: BrightnessThreshold
    adc_required: bool
    shine_through_ml: float
    artefact_ml: float
    pieces: tuple[Piece, ...]


def find_infarcts(
    images: DiffusionImages, config: DwiConfig, *, hours: float | None, air: BoolArray | None = None
) -> DwiLesions:
    """Return the infarcts of DWI taken ``hours`` after onset; unknown hours count as early.

    ``air`` (bool, (z, y, x) on the images' grid) is air inside the skull, None where no CT shows it.
    """
    threshold = brightness_threshold(images, config)
    bright = images.brain & (images.brightness > threshold.used)
    calm = calm_adc_um2_s(images, config)
    low = low_adc(images, calm, config)
    required = hours is None or hours <= config.adc_window_h
    candidates = _with_rim(bright & low, bright, calm, images, config) if required else bright
    candidates = pieces(candidates, config.speck_ml, images.geometry)
    artefacts = _artefacts(candidates, images, config, threshold=threshold, air=air)
    mask = candidates & ~artefacts
    shine = pieces(bright & ~grown(candidates, 3.0, images.geometry), config.speck_ml, images.geometry)
    return DwiLesions(
        mask=mask,
        rejected=shine | artefacts,
        threshold=threshold,
        adc_required=required,
        shine_through_ml=volume_ml(shine, images.geometry),
        artefact_ml=volume_ml(artefacts, images.geometry),
        pieces=_described(mask, low, images),
    )


def brightness_threshold(images: DiffusionImages, config: DwiConfig) -> BrightnessThreshold:
    """Return the threshold on brightness in the brain's tissue.

    Shanbhag's threshold balances the two sides of a histogram. In a brain without an infarct that is its middle, and a
    few very bright voxels draw it to their end: it is held within some SD (by the median deviation) of usual tissue.
    """
    values = images.brightness[images.tissue]
    usual = float(np.median(values))
    sd = MAD_TO_SD * float(np.median(np.abs(values - usual)))
    found = shanbhag_threshold(values)
    low, high = (usual + times * sd for times in config.held_sd)
    return BrightnessThreshold(found, min(max(found, low), high), usual, sd)


def calm_adc_um2_s(images: DiffusionImages, config: DwiConfig) -> Float32Array:
    """Return ADC smoothed in plane over what was measured, float32 (z, y, x); 0 where nothing was."""
    measured = (images.adc_um2_s > 0).astype(np.float32)
    sy, sx = images.geometry.pixel_spacing_mm_yx
    sigma = (0.0, config.calm_mm / sy, config.calm_mm / sx)
    near = ndimage.gaussian_filter(measured, sigma)
    calm = ndimage.gaussian_filter(images.adc_um2_s, sigma) / np.maximum(near, np.float32(1e-3))
    return np.asarray(calm * measured, dtype=np.float32)


def low_adc(images: DiffusionImages, calm_um2_s: Float32Array, config: DwiConfig) -> BoolArray:
    """Return where ADC is that of an infarct: low, or low against the tissue of the other side; bool (z, y, x)."""
    geometry, tissue = images.geometry, images.tissue
    usual = float(np.median(images.adc_um2_s[tissue]))
    around = local_mean(images.adc_um2_s, tissue.astype(np.float32), geometry, config.reference_mm, usual)
    other = mirrored(around, geometry, images.midplane, fill=usual)
    # The other side may be ill as well, or half fluid: it counts for no more than usual tissue.
    expected = np.minimum(other, np.float32(usual))
    low = (calm_um2_s <= config.adc_low_um2_s) | (calm_um2_s <= config.adc_low_ratio * expected)
    return np.asarray(low & (calm_um2_s > 0))


def _with_rim(
    seeds: BoolArray, bright: BoolArray, calm_um2_s: Float32Array, images: DiffusionImages, config: DwiConfig
) -> BoolArray:
    """Return ``seeds`` without small ones, and what is bright around them and has no raised ADC."""
    kept = pieces(seeds, config.seed_ml, images.geometry)
    usual = float(np.median(images.adc_um2_s[images.tissue]))
    return kept | (bright & (calm_um2_s > 0) & (calm_um2_s < usual) & grown(kept, config.rim_mm, images.geometry))


def _artefacts(
    candidates: BoolArray,
    images: DiffusionImages,
    config: DwiConfig,
    *,
    threshold: BrightnessThreshold,
    air: BoolArray | None,
) -> BoolArray:
    """Return the candidates that air at the skull base explains, bool (z, y, x)."""
    geometry = images.geometry
    heights = np.flatnonzero(images.brain.any(axis=(1, 2)))
    base = np.zeros_like(candidates)
    base[: int(heights[0] + config.base_share * (heights[-1] + 1 - heights[0]))] = True
    bright = grown(images.brightness > threshold.used, 3.0, geometry)
    alike = mirrored_mask(bright, geometry, images.midplane) & near_edge(images.brain, config.edge_mm, geometry)
    explained = base & alike
    if air is not None:
        explained |= base & grown(air, config.air_mm, geometry)
    components, count = ndimage.label(candidates)
    if count == 0:
        return candidates
    share = ndimage.mean(explained, components, np.arange(count + 1))
    share[0] = 0
    return np.asarray((share > 0.5)[components])


def _described(mask: BoolArray, low: BoolArray, images: DiffusionImages) -> tuple[Piece, ...]:
    """Return the pieces of ``mask``, largest first."""
    components, count = ndimage.label(mask)
    found = []
    for number in range(1, count + 1):
        own = components == number
        centre: Float64Array = centroid_mm(own, images.geometry)
        x, y, z = (round(float(mm), 1) for mm in centre)
        adc: Float32Array = images.adc_um2_s[own]
        share = float(low[own].mean())
        found.append(Piece(volume_ml(own, images.geometry), (x, y, z), float(np.median(adc)), share))
    return tuple(sorted(found, key=lambda piece: -piece.volume_ml))
