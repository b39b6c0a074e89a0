import pytest
import torch

from infarct.phantom.spectrum import SOFTNESS, at_kvp

TISSUES = torch.tensor([-1000.0, -90.0, 0.0, 7.0, 29.5, 37.0, 60.0, 500.0, 1100.0])


def test_120_kvp_changes_nothing() -> None:
    assert torch.equal(at_kvp(TISSUES, 120), TISSUES)


@pytest.mark.parametrize("kvp", sorted(SOFTNESS))
def test_air_and_water_keep_their_hu_and_the_order_stays(kvp: int) -> None:
    changed = at_kvp(TISSUES, kvp)
    assert float(changed[0]) == -1000.0
    assert float(changed[2]) == 0.0
    assert bool((changed.diff() > 0).all())


def test_low_voltage_raises_contrast_and_bone_and_darkens_fat() -> None:
    soft = at_kvp(TISSUES, 80)
    contrast = float((soft[5] - soft[4]) / (TISSUES[5] - TISSUES[4]))
    assert 1.15 < contrast < 1.4
    assert 1400 < float(soft[8]) < 1800
    assert float(soft[1]) < -95


def test_an_unknown_voltage_is_an_error() -> None:
    with pytest.raises(KeyError):
        at_kvp(TISSUES, 90)
