import pickle
import subprocess
import sys

import numpy as np
import pytest

from infarct.cohorts.phantom import phantom_cases
from infarct.phantom import Visit, draw, render_ct
from infarct.phantom.patient import Patient
from unit.cohorts.head_sample import head_sample
from unit.cohorts.tiny_cohorts import lesion, old_lesion

BLOCKED = ("nibabel", "pydicom", "gdcm", "pydantic", "typer", "rich", "SimpleITK", "PIL", "matplotlib", "jinja2")
LIGHT = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {BLOCKED!r}:
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocker())
import infarct.cohorts.case
assert 'torch' not in sys.modules
from infarct.cohorts.phantom import phantom_cases
from infarct.cohorts.folds import folds
cases = phantom_cases('acute', 'train', range(6))
print(cases[3].id, len(folds(cases, 3)))
"""


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Render small stand-ins; returns the names of the patients that were rendered."""
    names: list[str] = []

    def fake(patient: Patient, device: str) -> Visit:
        names.append(f"{patient.name} on {device}")
        made = head_sample(patient.preset, patient.index)
        return made.followup if patient.preset == "followup" and made.followup else made.acute

    monkeypatch.setattr("infarct.cohorts.phantom.render_ct", fake)
    return names


def test_nothing_but_torch_numpy_and_scipy_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["acute-train-0003", "3"]


def test_cases_are_rendered_when_loaded(rendered: list[str]) -> None:
    cases = phantom_cases("acute", "validation", [4, 2])
    assert rendered == []
    loaded = cases[0].load()
    assert rendered == ["acute-validation-0004 on cpu"]
    np.testing.assert_array_equal(loaded.lesion, lesion())
    np.testing.assert_array_equal(loaded.old, old_lesion())
    assert loaded.hemorrhage is not None
    assert loaded.hemorrhage.dtype == np.uint8
    assert loaded.scan.source.kind == "phantom"


def test_regions_come_with_the_scan(rendered: list[str]) -> None:
    """The stand-in's head is region M1 of the right side throughout."""
    (case,) = phantom_cases("acute", "validation", [4])
    loaded = case.load()
    patient = draw("acute", 4, "validation")
    truth = loaded.aspects
    assert len(rendered) == 1
    assert loaded.regions is not None
    assert set(np.unique(loaded.regions)) == {5}
    assert patient.stroke is not None
    assert truth is not None
    assert (truth.side, truth.core_ml) == (patient.stroke.side, 1.0)
    assert [len(calls) for calls in (truth.by_core, *truth.by_readers)] == [20, 20, 20]
    assert not any(called for place, called in enumerate(truth.by_core) if place != 4)


def test_nobody_scores_a_followup(rendered: list[str]) -> None:
    loaded = phantom_cases("followup", "validation", [4])[0].load()
    assert len(rendered) == 1
    assert loaded.aspects is None
    assert loaded.regions is not None


def test_a_case_tells_what_was_drawn() -> None:
    (case,) = phantom_cases("acute", "validation", [4])
    patient = draw("acute", 4, "validation")
    assert patient.stroke is not None
    assert (case.target, case.clinical.onset_h, case.clinical.side) == (
        "acute",
        patient.stroke.onset_h,
        patient.stroke.side,
    )
    assert (case.clinical.age, case.clinical.nihss) == (patient.clinical.age, patient.clinical.nihss)
    assert case.stratum == patient.stratum
    assert case.lesion_free is False


def test_the_followup_preset_counts_hours_to_the_followup(rendered: list[str]) -> None:
    (case,) = phantom_cases("followup", "validation", [4])
    patient = draw("followup", 4, "validation")
    assert patient.stroke is not None
    assert (case.target, case.clinical.onset_h) == ("final", patient.stroke.followup_h)
    np.testing.assert_array_equal(case.load().lesion, np.roll(lesion(), 2, axis=1))
    assert len(rendered) == 1


def test_the_healthy_are_labelled_and_empty(rendered: list[str]) -> None:
    (case,) = phantom_cases("healthy", "validation", [0])
    loaded = case.load()
    assert len(rendered) == 1
    assert case.lesion_free is True
    assert loaded.lesion is not None
    assert loaded.lesion.shape == loaded.scan.hu.shape
    assert not loaded.lesion.any()


def test_cases_go_to_other_processes() -> None:
    (case,) = phantom_cases("acute", "train", [1])
    copy = pickle.loads(pickle.dumps(case))
    assert (copy.id, copy.clinical) == (case.id, case.clinical)


@pytest.mark.slow
def test_a_rendered_case_is_what_the_phantom_renders() -> None:
    loaded = phantom_cases("aspects", "train", [1])[0].load()
    visit = render_ct(draw("aspects", 1, "train"))
    np.testing.assert_array_equal(loaded.scan.hu, visit.scan("x").hu)
    np.testing.assert_array_equal(loaded.lesion, visit.truth["infarct"].numpy())
    np.testing.assert_array_equal(loaded.intracranial, visit.truth["intracranial"].numpy())
    assert loaded.lesion is not None
    assert loaded.lesion.any()
    np.testing.assert_array_equal(loaded.regions, visit.truth["aspects"].numpy())
    assert loaded.aspects is not None
    own, other = loaded.aspects.by_core[:10], loaded.aspects.by_core[10:]
    assert not any(own if loaded.aspects.side == "left" else other)
