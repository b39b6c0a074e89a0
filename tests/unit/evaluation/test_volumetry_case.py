"""One follow-up scan whose every voxel is known, by engines that judge a voxel by its own density."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from infarct.cohorts import Case, Clinical, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import volumetry_cohort
from infarct.evaluation.named_cohorts import Named
from infarct.evaluation.run import Task
from infarct.evaluation.volumetry import FollowupResults
from infarct.evaluation.volumetry_cohort import (
    FollowupSystems,
    Found,
    VolumetryOrder,
    evaluate_labelled,
    find_followup,
    open_systems,
    settings_of,
    true_infarct,
    weights_by_kind,
)
from infarct.preprocess.head import Head
from infarct.volume import Geometry, Scan, volume_ml
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.systems.known_voxels import VOLUMETRY, ball, detector_of, painted, seen, volumetry_of
from unit.systems.made_patch_weights import dark_weights, dense_weights, unet_weights
from unit.systems.tiny_localizer import tiny_weights

TASK = Task("cohort", "scan-1", 0, 0, "print")
ONE = replace(VOLUMETRY, outputs=("single",), thresholds=(0.5,), least_ml=(0.0,))
SYSTEMS = FollowupSystems(
    {"three": volumetry_of((10.0, 22.0), (20.0, 28.0), (26.0, 31.0)), "single": volumetry_of((100, 101), config=ONE)},
    detector_of(60, 70),
)


class Known:
    """A scan with its head prepared and its truth."""

    def __init__(self, scan: Scan, head: Head, labelled: LabelledScan) -> None:
        self.scan, self.head, self.labelled = scan, head, labelled


@pytest.fixture(scope="module")
def known(left_patient: PlainPatient, left_head: Head) -> Known:
    """Return a head with an infarct of 27 HU and no blood."""
    scan, head = painted(left_patient, left_head, infarct_hu=27.0)
    truth = left_patient.truth
    nothing = np.zeros(scan.hu.shape, dtype=np.uint8)
    return Known(scan, head, LabelledScan(scan, truth.infarct, None, nothing, truth.intracranial))


class NothingOld:
    """What the comparison of the two sides gives of a head without old infarcts."""

    def __init__(self, head: Head) -> None:
        self.old_infarct_mask = np.zeros(head.hu.shape, dtype=bool)


def answered(known: Known, systems: FollowupSystems = SYSTEMS) -> Found:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumetry_cohort, "prepare_head", lambda _: known.head)
        patch.setattr(volumetry_cohort, "compare_sides", NothingOld)
        return find_followup(known.scan, systems)


def evaluate(answer: Found, labelled: LabelledScan) -> FollowupResults:
    """Return the results of an answer under a truth."""
    case = Case("Jane Doe", "Jane", "final", lambda: labelled, Clinical(onset_h=40.0, mrs90=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumetry_cohort, "find_followup", lambda *_: answer)
        found = evaluate_labelled(case, labelled, SYSTEMS, task=TASK)
    assert found.pictures["."].startswith(b"\x89PNG")
    return found.result


@pytest.fixture(scope="module")
def answer(known: Known) -> Found:
    return answered(known)


@pytest.fixture(scope="module")
def found(known: Known, answer: Found) -> FollowupResults:
    return evaluate(answer, known.labelled)


def test_an_infarct_that_is_found_agrees_with_the_truth(known: Known, found: FollowupResults) -> None:
    about, three = found.about, found.by_method["three"]
    true_ml = volume_ml(known.labelled.lesion, known.scan.geometry)  # type: ignore[arg-type]
    assert about.truth_ml == pytest.approx(true_ml)
    assert three.found_ml == pytest.approx(true_ml, rel=0.05)
    assert three.dice > 0.95
    assert set(three.by_network_ml) == {"severe", "intermediate", "subtle"}
    assert three.by_network_ml["intermediate"] == pytest.approx(true_ml, rel=0.05)
    assert about.mean_hu == pytest.approx(27, abs=0.5)
    assert about.severity == "intermediate"
    assert (about.onset_h, about.mrs90, about.fingerprint, about.blood_ml) == (40.0, 4, "print", 0.0)
    assert "Jane" not in about.id + about.patient
    assert (three.seconds or 0) > 0
    assert found.midline_mm is not None
    assert found.true_midline_mm is None
    assert found.midline_error_mm is None


def test_the_midline_is_held_against_the_truth_with_its_side(known: Known, answer: Found) -> None:
    """A shift to the right is negative, in the answer as in the truth."""
    three = answer.by_method["three"]
    right = three.followup.model_copy(update={"midline_shift_mm": 4.0, "midline_shift_side": "right"})
    told = replace(answer, by_method={**answer.by_method, "three": replace(three, followup=right)})
    found = evaluate(told, replace(known.labelled, midline_shift_mm=-3.0))
    assert (found.midline_mm, found.true_midline_mm, found.midline_error_mm) == (-4.0, -3.0, -1.0)


def test_other_networks_are_judged_on_their_own(found: FollowupResults) -> None:
    single = found.by_method["single"]
    assert (single.found_ml, single.dice, single.by_network_ml) == (0.0, 0.0, {"single": 0.0})
    assert not found.blood.suspected
    assert (found.blood.found_ml, found.blood.crossed_ml) == (0.0, {})
    assert found.blood.counts is not None
    assert (found.blood.counts.tp, found.blood.counts.fp, found.blood.counts.fn) == (0, 0, 0)


def test_a_truth_on_the_other_side_or_on_other_slices_is_not_hit(
    known: Known, answer: Found, found: FollowupResults
) -> None:
    lesion = known.labelled.lesion
    assert lesion is not None
    flipped = evaluate(answer, replace(known.labelled, lesion=np.ascontiguousarray(lesion[..., ::-1])))
    assert flipped.by_method["three"].dice < 0.05
    moved = evaluate(answer, replace(known.labelled, lesion=np.roll(lesion, 2, axis=0)))
    assert moved.by_method["three"].dice < found.by_method["three"].dice - 0.2


@pytest.fixture(scope="module")
def bleeding(known: Known) -> tuple[Known, float, float]:
    """Return the head with a transformation in the infarct and a clot on the other side, and the ml of both."""
    scan, lesion = known.scan, known.labelled.lesion
    assert lesion is not None
    depth = ndimage.distance_transform_edt(lesion, sampling=scan.geometry.spacing_mm_zyx)
    middle = scan.geometry.index_to_world(np.unravel_index(int(depth.argmax()), depth.shape))
    plane = known.head.midplane
    across = middle - 2 * (plane.normal @ middle - plane.offset_mm) * plane.normal
    inside, apart = ball(scan, middle, 11.0), ball(scan, across, 11.0)
    bleeds = replace(scan, hu=np.where(inside | apart, np.float32(65), scan.hu))
    blood = (5 * inside + 1 * apart).astype(np.uint8)
    labelled = replace(known.labelled, scan=bleeds, hemorrhage=blood)
    inside_ml, apart_ml = (volume_ml(mask, scan.geometry) for mask in (inside, apart))
    return Known(*seen(bleeds, known.head), labelled), inside_ml, apart_ml


def test_blood_is_told_by_kind_and_counts_to_the_infarct_where_it_lies_in_it(
    bleeding: tuple[Known, float, float], found: FollowupResults
) -> None:
    known, inside_ml, apart_ml = bleeding
    result = evaluate(answered(known), known.labelled)
    crossed = result.blood.crossed_ml
    assert result.blood.suspected
    assert result.about.blood_ml == pytest.approx(inside_ml + apart_ml)
    assert crossed is not None
    assert crossed["transformation"]["parenchymal"] == pytest.approx(inside_ml, rel=0.1)
    assert sum(crossed["parenchymal"].values()) == pytest.approx(apart_ml, abs=0.01)
    assert crossed["parenchymal"]["parenchymal"] == pytest.approx(apart_ml, rel=0.1)
    assert result.blood.counts is not None
    assert result.blood.counts.dice > 0.9
    assert result.about.truth_ml == pytest.approx(found.about.truth_ml)  # the clot across is none of it
    assert result.by_method["three"].dice > 0.95
    assert result.about.mean_hu == pytest.approx(27, abs=1)


def test_without_a_network_blood_is_found_by_the_rule(bleeding: tuple[Known, float, float]) -> None:
    known, _, _ = bleeding
    result = evaluate(answered(known, replace(SYSTEMS, detector=None)), known.labelled)
    assert (result.blood.method, result.blood.probability) == ("rule", None)
    assert result.blood.suspected
    assert result.blood.counts is not None
    assert result.blood.counts.dice > 0.6


def test_what_nobody_labelled_is_not_compared(known: Known, answer: Found) -> None:
    result = evaluate(answer, replace(known.labelled, hemorrhage=None))
    assert (result.about.blood_ml, result.blood.counts, result.blood.crossed_ml) == (None, None, None)
    with pytest.raises(StepFailed, match="no lesion mask"):
        evaluate(answer, replace(known.labelled, lesion=None))


def test_an_open_skull_has_no_answer(known: Known) -> None:
    open_head = Known(known.scan, replace(known.head, skull_closed=False), known.labelled)
    with pytest.raises(StepFailed, match="skull is missing or open"):
        answered(open_head)


def test_a_healthy_head_has_no_class(known: Known, answer: Found) -> None:
    lesion = np.zeros(known.scan.hu.shape, dtype=bool)
    result = evaluate(answer, replace(known.labelled, lesion=lesion))
    assert (result.about.ill, result.about.mean_hu, result.about.severity) == (False, None, None)
    assert np.isnan(result.by_method["three"].dice)
    assert result.by_method["three"].found_ml > 10


def test_the_true_infarct_takes_in_parenchymal_blood_beside_it_alone() -> None:
    geometry = Geometry.regular((3, 40, 60), (5.0, 1.0, 1.0))
    scan = Scan(np.zeros(geometry.shape_zyx, dtype=np.float32), geometry)
    lesion, blood = np.zeros(geometry.shape_zyx, dtype=bool), np.zeros(geometry.shape_zyx, dtype=np.uint8)
    lesion[:, 5:35, 5:20] = True
    blood[1, 5:10, 18:24] = 5
    blood[1, 20:25, 40:45] = 1  # far from it
    blood[1, 30:33, 20:24] = 3  # beside it, but among the sulci
    got = true_infarct(lesion, LabelledScan(scan, lesion, hemorrhage=blood))
    assert (got & ~lesion).sum() == 5 * 4
    assert got[lesion].all()
    assert true_infarct(lesion, LabelledScan(scan, lesion)) is lesion


def test_weights_are_known_by_what_they_are_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three, single, unet, blood, other = (
        str(save_weights(weights, tmp_path / f"{name}.safetensors"))
        for name, weights in (
            *(("three", dark_weights()), ("single", dark_weights((25.0,))), ("unet", unet_weights())),
            ("blood", dense_weights()),
            ("tiles", tiny_weights()),
        )
    )
    kinds = weights_by_kind((blood, unet, single, three))
    assert kinds == {"hemorrhage": blood, "unet": unet, "single": single, "three": three}
    with pytest.raises(BadRequest, match="two weights for single"):
        weights_by_kind((single, single))
    with pytest.raises(BadRequest, match="'localize', not for volumetry or hemorrhage"):
        weights_by_kind((other,))
    with pytest.raises(BadRequest, match="no such weight file"):
        weights_by_kind((tmp_path / "none.safetensors",))
    systems = open_systems(VolumetryOrder(("x",), (blood, unet, single, three), device="cpu"), threads=1)
    assert list(systems.by_method) == ["three", "single", "unet"]
    assert systems.detector is not None
    assert list(open_systems(VolumetryOrder(("x",), (single,), device="cpu"), threads=1).by_method) == ["single"]
    monkeypatch.setattr(volumetry_cohort, "shipped", lambda *_: ())
    assert open_systems(VolumetryOrder(("x",), (three,), device="cpu"), threads=1).detector is None


def test_all_that_decides_the_results_is_in_the_settings(tmp_path: Path) -> None:
    paths = [
        save_weights(weights, tmp_path / f"{number}.safetensors")
        for number, weights in enumerate((dark_weights(), dark_weights(least_ml=[3.0] * 3), dense_weights()))
    ]
    cohort = Named("cohort", (Case("id", "patient", "final", lambda: None),))  # type: ignore[arg-type,return-value]

    def settings(*weights: Path) -> object:
        order = VolumetryOrder(("x",), weights, device="cpu")
        return settings_of(order, (cohort,), open_systems(order, threads=1))

    first = settings(paths[0])
    assert first == settings(paths[0])
    assert first != settings(paths[1])
    assert first != settings(paths[0], paths[2])


@pytest.fixture(autouse=True)
def _small_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infarct.evaluation.volumetry_pictures.PANEL_PX", 60)
        yield
