"""From a raw CT perfusion scan to maps that lie on the plain CT."""

from dataclasses import dataclass

import numpy as np

from infarct.preprocess.head import Head
from infarct.reference.alignment import Alignment, align
from infarct.reference.deconvolution import Deconvolved, DynamicScan, baseline, deconvolve, gather
from infarct.reference.perfusion import FlowMaps, flow_maps
from infarct.volume import resample_mask


@dataclass(frozen=True, eq=False)
class RawPerfusion:
    """Maps of a raw scan, how they lie in the CT, and the deconvolution that they come from."""

    maps: FlowMaps
    alignment: Alignment
    deconvolved: Deconvolved


def perfusion_of_scan(head: Head, scan: DynamicScan) -> RawPerfusion:
    """Return the perfusion of a raw scan of ``head``.

    The frames before the bolus, which look like a plain CT, are aligned to it; the brain is the CT's.

    Raises `StepFailed` where the two do not overlap or no bolus passes.
    """
    frames = gather(scan)
    before, _ = baseline(frames)
    plain, first = (np.clip(hu, 0.0, 80.0).astype(np.float32) for hu in (head.hu, before))
    alignment = align(plain, head.brain, head.geometry, image=first, geometry=frames.geometry)
    image_to_ct = np.linalg.inv(alignment.ct_to_image)
    brain = resample_mask(head.brain, head.geometry, frames.geometry, transform=image_to_ct)
    found = deconvolve(frames, brain)
    maps = flow_maps(found.geometry, cbf=found.cbf, cbv=found.cbv, tmax_s=found.tmax_s)
    return RawPerfusion(maps, alignment, found)
