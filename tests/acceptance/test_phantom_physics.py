"""A rendered patient as a whole: the truth is where the picture shows it, in the volume that was asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom import Patient, Pose, Sample, draw, render
from infarct.phantom.kinetics import drop_hu
from infarct.phantom.patient import Confounders, Treatment
from infarct.volume import volume_ml
from infarct.volume.mask import centroid_mm

PLAIN = Confounders(seed=1, leukoaraiosis=0.0, leukoaraiosis_hu=0.0, leukoaraiosis_asymmetry=0.0, perivascular=0.0)


def plain_patient(**stroke: object) -> Patient:
    """Return an `aspects` patient without confounders, artefacts and noise, cheap to render."""
    patient = draw("aspects", 4)
    assert patient.stroke is not None
    settings = {
        "site": "M1",
        "side": "left",
        "cortical": "both",
        "onset_h": 6.0,
        "infarct_ml": 60.0,
        "final_ml": 80.0,
        "core_ml": 50.0,
        "penumbra_ml": 60.0,
        "collaterals": 0.5,
        "reperfused": False,
        "petechiae_hu": 0.0,
        "staining_hu": 0.0,
        "hyperdense_hu": 0.0,
        "uptake": 1.0,
    }
    protocol = replace(
        patient.acute,
        kvp=120,
        thickness_mm=5.0,
        gaps_mm=(5.0,),
        tilt_deg=0.0,
        pixel_mm=0.9,
        size_px=256,
        noise_hu=0.0,
        offset_hu=0.0,
        cupping_hu=0.0,
        petrous_hu=0.0,
        streaks_hu=0.0,
        motion_mm=0.0,
        head_rest=False,
        padding=False,
        pose=Pose(pitch_deg=6.0, roll_deg=-3.0, yaw_deg=5.0, shift_mm=(4.0, -6.0, 8.0)),
    )
    return replace(
        patient,
        stroke=replace(patient.stroke, **(settings | stroke)),
        confounders=PLAIN,
        treatment=Treatment(seed=1),
        acute=protocol,
    )


@pytest.fixture(scope="module")
def left() -> Sample:
    return render(plain_patient(), pairs=("perfusion", "diffusion"))


def test_the_exported_masks_have_the_volumes_asked_for(left: Sample) -> None:
    stroke = left.patient.stroke
    assert stroke is not None
    for name, wanted_ml in (("infarct", stroke.infarct_ml), ("core", stroke.core_ml), ("penumbra", stroke.penumbra_ml)):
        mask = left.acute.truth[name].numpy()
        assert volume_ml(mask, left.acute.geometry) == pytest.approx(wanted_ml, rel=0.03)


def test_the_lesion_is_darker_by_the_time_curve(left: Sample) -> None:
    """The same patient without the stroke shows what the tissue was before."""
    before = render(replace(left.patient, stroke=None)).acute
    assert left.patient.stroke is not None
    inside = left.acute.truth["infarct"]
    tissue = torch.isin(left.acute.truth["tissue"], torch.tensor([1, 2], dtype=torch.uint8))
    pure = inside & tissue & (before.hu > 26) & (before.hu < 42)
    fall = float((before.hu - left.acute.hu)[pure].mean())
    assert fall == pytest.approx(drop_hu(6.0, left.patient.stroke, 33.0), rel=0.25)
    outside = ~torch.from_numpy(_grown(inside.numpy())) & ~left.acute.truth["penumbra"]
    assert float((before.hu - left.acute.hu)[outside].abs().mean()) < 0.1


def _grown(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, np.ones((3, 7, 7))))


def test_the_signal_says_what_the_infarct_adds(left: Sample) -> None:
    signal = left.acute.signal_hu
    assert signal is not None
    inside = left.acute.truth["infarct"]
    assert float(signal[inside].mean()) < -1.5
    assert abs(float(signal[~inside].mean())) < 0.05


def test_the_clot_is_in_the_scan_and_not_in_the_signal_of_the_infarct(left: Sample) -> None:
    clot = render(plain_patient(hyperdense_hu=20.0))
    assert float((clot.acute.hu - left.acute.hu).max()) > 8
    assert clot.acute.signal_hu is not None
    assert left.acute.signal_hu is not None
    assert torch.equal(clot.acute.signal_hu, left.acute.signal_hu)


def test_a_lesion_on_the_other_side_mirrors_the_truth(left: Sample) -> None:
    """Sulci differ between the sides, so the outlines agree in the mirror only nearly; the side exactly."""
    right = render(plain_patient(side="right"))
    head = np.linalg.inv(left.patient.acute.pose.matrix())
    centres = []
    for made, sign in ((left, 1), (right, -1)):
        mask = made.acute.truth["infarct"].numpy()
        points = made.acute.geometry.index_to_world(np.argwhere(mask))
        x = (points @ head[:3, :3].T + head[:3, 3])[:, 0] * sign
        assert np.quantile(x, 0.01) > -4
        world = np.append(centroid_mm(mask, made.acute.geometry), 1.0)
        centres.append((head @ world)[:3] * (sign, 1, 1))
    assert np.abs(centres[0] - centres[1]).max() < 5  # mm
    labels = [made.acute.truth["aspects"][made.acute.truth["infarct"]] for made in (left, right)]
    assert int(labels[0][labels[0] > 0].min()) > 10
    assert int(labels[1].max()) <= 10


def test_perfusion_agrees_with_the_truth_in_the_world(left: Sample) -> None:
    """The maps lie on a grid of their own; a head that moved in between is off by no more than it moved."""
    maps = left.perfusion
    assert maps is not None
    assert left.patient.stroke is not None
    core = maps.core.numpy()
    assert core.any()
    in_maps = np.asarray(centroid_mm(core, maps.geometry))
    in_ct = np.asarray(centroid_mm(left.acute.truth["core"].numpy(), left.acute.geometry))
    # Short detectors see part of the core only; compare in the plane.
    assert np.abs(in_maps - in_ct)[:2].max() < 12
    low = (maps.cbf.numpy() < 0.3 * maps.healthy_cbf) & maps.brain.numpy()
    assert low[core].mean() > 3 * low[maps.brain.numpy() & ~core].mean()


def test_diffusion_shows_the_final_infarct_where_it_lies_in_the_head(left: Sample) -> None:
    images = left.diffusion
    assert images is not None
    lesion = images.lesion.numpy()
    assert volume_ml(lesion, images.geometry) == pytest.approx(80.0, rel=0.1)
    in_head = images.to_head @ np.append(centroid_mm(lesion, images.geometry), 1.0)
    assert in_head[0] > 15
    brain = images.brain.numpy() & ~lesion & ~images.shine_through.numpy()
    assert np.median(images.dwi.numpy()[lesion]) > 1.2 * np.median(images.dwi.numpy()[brain])


def test_the_same_patient_gives_the_same_bytes_whoever_was_made_before() -> None:
    patient = replace(plain_patient(), acute=replace(plain_patient().acute, noise_hu=4.0, pixel_mm=1.8, size_px=128))
    first = render(patient)
    render(replace(patient, head=replace(patient.head, seed=99)))
    again = render(patient)
    assert torch.equal(first.acute.hu, again.acute.hu)
    for name, mask in first.acute.truth.items():
        assert torch.equal(mask, again.acute.truth[name])
    assert draw("aspects", 7) == draw("aspects", 7)
    assert draw("aspects", 7).digest() != draw("aspects", 8).digest()
