"""One head under several protocols: the same anatomy, and noise in proportion to what the protocol says."""

from dataclasses import replace

import pytest
import torch

from infarct.phantom import draw, render_ct, render_scans
from infarct.phantom.scanner import scan
from unit.phantom.blank_scans import PLAIN, round_head


def test_noise_is_in_proportion_to_its_sd_and_comes_on_top() -> None:
    """Two scans that differ in their noise alone: twice the noise, up to the rounding to whole HU (three of .5)."""
    clean, once, twice = (scan(round_head(), replace(PLAIN, noise_hu=noise), "cpu").hu for noise in (0.0, 4.0, 8.0))
    brain = (clean > 0) & (clean < 100)
    assert float((once - clean)[brain].std()) == pytest.approx(4.0, rel=0.25)
    assert float(((twice - clean) - 2 * (once - clean))[brain].abs().max()) <= 2.0


def test_refuses_protocols_of_two_kvp_and_none() -> None:
    patient = draw("hyperacute", 0, "train")
    for protocols in ([], [patient.acute, replace(patient.acute, kvp=patient.acute.kvp + 20)]):
        with pytest.raises(ValueError, match="one kVp"):
            render_scans(patient, protocols)


@pytest.mark.slow
def test_the_patients_own_protocol_gives_the_scan_itself() -> None:
    patient = draw("hyperacute", 1, "validation")
    far = replace(patient.acute, gaps_mm=(30.0,))
    patient = replace(patient, acute=far)
    own, clean = render_scans(patient, [far, replace(far, noise_hu=0.0)])
    assert torch.equal(own.hu, render_ct(patient).hu)
    assert not torch.equal(own.hu, clean.hu)
    for name, mask in own.truth.items():
        assert torch.equal(mask, clean.truth[name])
