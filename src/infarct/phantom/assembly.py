"""One phantom patient from numbers to scans: head, disease, scanner, paired maps, and the truth on every grid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from infarct.phantom import anatomy, bleeds, chronic, ischemia, scanner, treatment
from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic
from infarct.phantom.diffusion import DiffusionMaps, diffusion_maps, draw_diffusion
from infarct.phantom.ischemia import Lesions
from infarct.phantom.landmarks import add_landmarks
from infarct.phantom.midline import midline_shift_mm
from infarct.phantom.patient import Patient, Preset, Protocol, Split
from infarct.phantom.perfusion import PerfusionMaps, draw_perfusion, perfusion_maps
from infarct.phantom.presets import draw
from infarct.phantom.scanner import PADDING_HU
from infarct.phantom.skull import AIR_HU
from infarct.phantom.spectrum import at_kvp
from infarct.volume import Acquisition, Geometry, Scan, Source

Pair = Literal["perfusion", "diffusion", "followup"]
PAIRS: Final[tuple[Pair, ...]] = ("perfusion", "diffusion", "followup")
TISSUES: Final = ("outside", "grey", "white", "fluid", "ventricle", "bone")
"""Names of the values of the tissue label map."""
SLAB: Final = 16
"""Slices worked on at a time, so that they stay in the processor's cache."""
TRANSFORMATION_LABEL: Final = 5
"""Label of hemorrhagic transformation in the map of blood; the others are `bleeds.KINDS`."""


@dataclass(frozen=True, eq=False)
class Visit:
    """One CT of a patient with its truth.

    ``hu`` is float32 (z, y, x), whole HU on ``geometry`` (world LPS mm). ``truth`` holds tensors on the same grid:
    bool ``infarct`` (what this CT may show), ``core``, ``penumbra``, ``old_infarct``, ``intracranial``; uint8
    ``hemorrhage`` (1 parenchymal, 2 intraventricular, 3 subarachnoid, 4 subdural, 5 transformation of the infarct),
    ``aspects``, ``territories``, ``tissue`` (`TISSUES`); bool ``staining`` by contrast, which is no hemorrhage.
    ``signal_hu`` is what the acute infarct, without its clot, adds to the noise-free picture, None without one;
    ``midline_shift_mm`` says how far the middle of the head has moved, positive to the patient's left
    (`phantom.midline`), None: not known.
    """

    hu: Tensor
    geometry: Geometry
    protocol: Protocol
    truth: dict[str, Tensor]
    volumes_ml: dict[str, float]
    """Volumes of the same masks in the head itself, before any slicing."""
    signal_hu: Tensor | None = field(repr=False, default=None)
    midline_shift_mm: float | None = None

    def scan(self, name: str) -> Scan:
        """Return the CT as a `Scan`, as the readers give it; ``name`` goes into its source."""
        protocol = self.protocol
        acquisition = Acquisition(
            kvp=float(protocol.kvp), manufacturer="infarct phantom", slice_thickness_mm=protocol.thickness_mm
        )
        source = Source("phantom", series_choice=f"Phantom patient {name}.")
        hu = self.hu.cpu().numpy()
        return Scan(np.where(hu == PADDING_HU, AIR_HU, hu), self.geometry, acquisition, source)


@dataclass(frozen=True, eq=False)
class Sample:
    """A patient with all that was asked for; pairs that were not, or that the patient lacks, are None."""

    patient: Patient
    acute: Visit
    followup: Visit | None
    perfusion: PerfusionMaps | None
    diffusion: DiffusionMaps | None


@dataclass(frozen=True, eq=False)
class Head:
    """A head as it is at one visit, before the scanner, with its lesions."""

    canvas: Canvas
    chronic: Chronic
    lesions: Lesions | None
    blood: Tensor
    infarct_hu: Tensor | None
    """By how much the acute infarct changes the HU of each voxel at the scan's kVp."""


def sample(
    preset: Preset, seed: int, device: str = "cpu", *, split: Split = "train", pairs: Collection[Pair] = ()
) -> Sample:
    """Return patient number ``seed`` of a preset's split, rendered on ``device``."""
    return render(draw(preset, seed, split), device, pairs=pairs)


def render(patient: Patient, device: str = "cpu", *, pairs: Collection[Pair] = ()) -> Sample:
    """Return the scans of a patient; ``pairs`` says which of the paired images are wanted."""
    with torch.no_grad():
        head = _head(patient, patient.acute, device, followup=False)
        acute = _visit(head, patient.acute, device, followup=False)
        perfusion = diffusion = followup = None
        if "perfusion" in pairs:
            perfusion = perfusion_maps(
                head.canvas,
                head.chronic,
                lesions=head.lesions,
                stroke=patient.stroke,
                pose=patient.acute.pose,
                setup=draw_perfusion(patient.head.seed),
            )
        if "diffusion" in pairs:
            hours = patient.stroke.followup_h if patient.stroke else 24.0
            diffusion = diffusion_maps(
                head.canvas,
                head.chronic,
                lesions=head.lesions,
                stroke=patient.stroke,
                setup=draw_diffusion(patient.head.seed, hours),
            )
        del head
        if "followup" in pairs and patient.followup is not None:
            later = _head(patient, patient.followup, device, followup=True)
            followup = _visit(later, patient.followup, device, followup=True)
    return Sample(patient, acute, followup, perfusion, diffusion)


def render_ct(patient: Patient, device: str = "cpu") -> Visit:
    """Return the one CT that a patient's preset is about: the follow-up in `followup`, else the acute one."""
    later = patient.preset == "followup"
    protocol = patient.followup if later else patient.acute
    if protocol is None:
        raise ValueError(f"{patient.name} has no follow-up CT")
    with torch.no_grad():
        return _visit(_head(patient, protocol, device, followup=later), protocol, device, followup=later)


def render_scans(patient: Patient, protocols: Sequence[Protocol], device: str = "cpu") -> tuple[Visit, ...]:
    """Return the acute CT of a patient by each of several protocols: of another dose, kernel or thickness.

    The head is made once, which takes longer than a scan. Protocols that differ in their noise alone (``noise_hu``)
    give the same picture under the same noise, times a factor; with 0 the picture itself.

    Raises `ValueError` where their kVp differ: the head is made for one.
    """
    if len({protocol.kvp for protocol in protocols}) != 1:
        raise ValueError("the protocols must be of one kVp")
    with torch.no_grad():
        head = _head(patient, protocols[0], device, followup=False)
        return tuple(_visit(head, protocol, device, followup=False) for protocol in protocols)


def _head(patient: Patient, protocol: Protocol, device: str, *, followup: bool) -> Head:
    gain = chronic.retraction_source(patient.confounders, device)
    if patient.confounders.bleeds:
        gain = gain + bleeds.mass_source(patient.confounders.bleeds, device)
    if patient.stroke is not None and followup:
        gain = gain + ischemia.swelling_source(patient.stroke, device)
    canvas = anatomy.build(patient.head, patient.densities, gain=gain, device=device)
    old = chronic.paint_chronic(canvas, patient.confounders, patient.densities)
    add_landmarks(canvas, patient.head, patient.densities)
    anatomy.compose(canvas, patient.densities, patient.head.seed)
    canvas.hu += old.delta_hu
    lesions = None
    infarct_hu = None
    transformed = None
    if patient.stroke is not None:
        lesions = ischemia.lesion_masks(canvas, patient.stroke)
        before = canvas.hu.clone()
        if followup:
            transformed = ischemia.paint_followup(canvas, lesions, patient.stroke)
        else:
            ischemia.paint_acute(canvas, lesions, patient.stroke)
        changed = torch.nonzero(canvas.hu != before, as_tuple=True)
        infarct_hu = torch.zeros_like(before)
        infarct_hu[changed] = at_kvp(canvas.hu[changed], protocol.kvp) - at_kvp(before[changed], protocol.kvp)
        if not followup:
            ischemia.paint_clot(canvas, patient.stroke)
    blood = bleeds.paint_bleeds(canvas, patient.confounders.bleeds, patient.densities)
    if transformed is not None:
        blood[transformed & ((blood == 0) | (blood == bleeds.KINDS["staining"]))] = TRANSFORMATION_LABEL
    treatment.paint_treatment(canvas, patient.treatment)
    for first in range(0, len(canvas.hu), SLAB):
        canvas.hu[first : first + SLAB] = at_kvp(canvas.hu[first : first + SLAB], protocol.kvp)
    return Head(canvas, old, lesions, blood, infarct_hu)


def _visit(head: Head, protocol: Protocol, device: str, *, followup: bool) -> Visit:
    canvas = head.canvas
    scanned = scanner.scan(canvas, protocol, device)
    masks: dict[str, Tensor] = {
        "intracranial": canvas.intracranial,
        "old_infarct": head.chronic.old_infarct,
        "hemorrhage": torch.where(head.blood == bleeds.KINDS["staining"], 0, head.blood),
        "staining": head.blood == bleeds.KINDS["staining"],
        "aspects": canvas.aspects,
        "territories": canvas.territories,
        "tissue": _tissue(canvas),
    }
    if head.lesions is not None:
        masks["infarct"] = head.lesions.final if followup else head.lesions.infarct
        if not followup:
            masks |= {"core": head.lesions.core, "penumbra": head.lesions.penumbra}
    truth = {
        name: scanner.carry(mask, canvas.grid, scanned.geometry, protocol)
        if bool(mask.any())
        else torch.zeros(scanned.hu.shape, dtype=mask.dtype, device=mask.device)
        for name, mask in masks.items()
    }
    volumes = {
        name: int(mask.count_nonzero()) * canvas.grid.voxel_ml
        for name, mask in masks.items()
        if name not in ("aspects", "territories", "tissue")
    }
    signal = None
    if head.infarct_hu is not None and not followup:
        signal = scanner.render_difference(head.infarct_hu, canvas.grid, scanned.geometry, protocol)
    return Visit(scanned.hu, scanned.geometry, protocol, truth, volumes, signal, midline_shift_mm(canvas))


def _tissue(canvas: Canvas) -> Tensor:
    """Return which of `TISSUES` fills most of each voxel, uint8."""
    shares = (canvas.grey, canvas.white, canvas.csf - canvas.ventricle, canvas.ventricle, canvas.bone)
    largest = 1 - canvas.grey - canvas.white - canvas.csf - canvas.bone
    tissue = torch.zeros(largest.shape, dtype=torch.uint8, device=largest.device)
    for value, share in enumerate(shares, start=1):
        tissue[share > largest] = value
        largest = torch.maximum(largest, share)
    return tissue
