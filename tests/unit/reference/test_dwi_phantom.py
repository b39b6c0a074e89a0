"""Phantom pairs of CT and DWI in poses of their own, whose truth is known."""

import numpy as np
import pytest

from infarct.phantom import sample
from infarct.pipeline import prepare_head
from infarct.reference.dwi import Timing, read_dwi
from infarct.reference.dwi_images import diffusion_images
from infarct.volume import resample_mask, volume_ml


@pytest.mark.slow
def test_a_phantom_patient_at_19_hours() -> None:
    """Patient 6 has 15 ml on the right, chance foci that shine through, and a head that lies 8 mm and 7 degrees off."""
    made = sample("hyperacute", 6, split="validation", pairs=["diffusion"])
    maps, scan = made.diffusion, made.acute.scan("phantom")
    assert maps is not None
    dwi, adc = (values.cpu().numpy() for values in (maps.dwi, maps.adc_um2_s))
    lesion, shine = (values.cpu().numpy() for values in (maps.lesion, maps.shine_through))
    images = diffusion_images(dwi, adc, maps.geometry)
    head = prepare_head(scan)
    found = read_dwi(images, timing=Timing(maps.hours), head=head)
    mask = found.lesions.mask
    assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) > 0.85
    assert (mask & shine).sum() <= 0.1 * shine.sum()
    assert found.on_ct is not None
    image_to_ct = made.patient.acute.pose.matrix() @ maps.to_head
    truth = resample_mask(lesion, maps.geometry, head.geometry, transform=np.linalg.inv(image_to_ct))
    own = found.on_ct.mask
    assert 2 * (own & truth).sum() / (own.sum() + truth.sum()) > 0.8
    assert found.on_ct.infarct_ml == pytest.approx(volume_ml(truth, head.geometry), rel=0.2)
    assert not (own & head.midplane.left_mask(head.geometry)).any()
