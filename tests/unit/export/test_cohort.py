import csv
import json
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infarct.errors import BadRequest
from infarct.export import cohort
from infarct.export.cohort import make_cohort
from infarct.export.order import CohortOrder
from infarct.findings import INTENDED_USE
from infarct.phantom import Sample
from same_process import SameProcess
from unit.export.small_sample import small_sample

ORDER = CohortOrder("aspects", "validation", 1, 3, "nifti", ("followup",))


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make small patients in this process; returns the indices of those that were rendered."""
    calls: list[int] = []

    def fake(preset: str, index: int, *, split: str, pairs: object) -> Sample:
        del preset, split, pairs
        calls.append(index)
        made = small_sample(index)
        return replace(made, patient=cohort.draw("aspects", index, "validation"), perfusion=None, diffusion=None)

    monkeypatch.setattr("infarct.export.subject.sample", fake)
    monkeypatch.setattr(cohort, "ProcessPoolExecutor", SameProcess)
    return calls


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "participants.tsv").open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_cohort_has_its_tables_and_page(rendered: list[int], tmp_path: Path) -> None:
    seen: list[int] = []
    page = make_cohort(ORDER, tmp_path / "out", on_done=seen.append)
    assert page == tmp_path / "out" / "index.html"
    assert rendered == [1, 2, 3]
    assert seen == [0, 1, 2, 3]
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == {
        ".bidsignore", "README", "cohort.json", "dataset_description.json", "derivatives", "index.html",
        "participants.json", "participants.tsv", "sub-0001", "sub-0002", "sub-0003",
    }  # fmt: skip
    table = rows(folder)
    assert [row["participant_id"] for row in table] == ["sub-0001", "sub-0002", "sub-0003"]
    assert set(json.loads((folder / "participants.json").read_text())) == set(table[0])
    assert table[0]["digest"] == cohort.draw("aspects", 1, "validation").digest()
    text = page.read_text()
    assert text.count("<img ") == 6
    assert "http" not in text
    assert INTENDED_USE in text
    assert INTENDED_USE in " ".join((folder / "README").read_text().split())
    for place in (folder, folder / "derivatives" / "truth"):
        assert json.loads((place / "dataset_description.json").read_text())["Synthetic"] is True


def test_a_cohort_can_grow_and_patients_do_not_depend_on_it(rendered: list[int], tmp_path: Path) -> None:
    make_cohort(replace(ORDER, count=1), tmp_path / "grown")
    first = (tmp_path / "grown" / "sub-0001").stat().st_ino
    make_cohort(ORDER, tmp_path / "grown")
    assert rendered == [1, 2, 3]
    assert (tmp_path / "grown" / "sub-0001").stat().st_ino == first
    make_cohort(ORDER, tmp_path / "whole")
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_a_complete_cohort_is_left_as_it_is(rendered: list[int], tmp_path: Path) -> None:
    make_cohort(ORDER, tmp_path)
    seen: list[int] = []
    make_cohort(ORDER, tmp_path, on_done=seen.append)
    assert rendered == [1, 2, 3]
    assert seen == [3]


def test_what_an_interrupted_run_left_is_made_again(
    rendered: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cohort.write_subject

    def stopped(order: CohortOrder, index: int, place: Path) -> None:
        whole(order, index, place)
        if index == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cohort, "write_subject", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_cohort(ORDER, tmp_path / "out")
    assert [row["participant_id"] for row in rows(tmp_path / "out")] == ["sub-0001"]
    assert not (tmp_path / "out" / "sub-0002").exists()
    # A crash between the two renames leaves the truth without its scans, and a kill a partial folder.
    (tmp_path / "out" / "derivatives" / "truth" / "sub-0002").mkdir()
    (tmp_path / "out" / ".partial-x").mkdir()
    monkeypatch.setattr(cohort, "write_subject", whole)
    make_cohort(ORDER, tmp_path / "out")
    assert rendered == [1, 2, 2, 3]
    make_cohort(ORDER, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"split": "test"}, "split"),
        ({"format": "dicom"}, "format"),
        ({"pairs": ()}, "pairs"),
        ({"preset": "acute"}, "preset"),
    ],
)
def test_another_cohort_in_the_folder_is_refused(
    rendered: list[int], tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    make_cohort(replace(ORDER, count=1), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(BadRequest, match=word):
        make_cohort(replace(ORDER, **change), tmp_path)
    assert contents(tmp_path) == before
    assert rendered == [1]


def test_a_changed_preset_is_refused(rendered: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cohort(replace(ORDER, count=1), tmp_path)
    real = cohort.draw
    monkeypatch.setattr(cohort, "draw", lambda preset, index, split: real(preset, index + 1, split))
    with pytest.raises(BadRequest, match="sub-0001 was made from other parameters"):
        make_cohort(ORDER, tmp_path)
    assert rendered == [1]


@pytest.mark.parametrize(("name", "text"), [("photo.png", "x"), ("cohort.json", "{"), ("cohort.json", "[]")])
def test_a_folder_with_something_else_is_refused(rendered: list[int], tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadRequest, match="new"):
        make_cohort(ORDER, tmp_path)
    assert contents(tmp_path) == {name: text.encode()}
    assert rendered == []


def test_a_stopped_process_and_a_full_disk_are_refusals(
    rendered: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (error, words) in enumerate(
        ((BrokenProcessPool(), "fewer --jobs"), (OSError(28, "No space left on device"), "No space left"))
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(cohort, "write_subject", fail)
        with pytest.raises(BadRequest, match=words):
            make_cohort(ORDER, tmp_path / str(number))
        assert not list((tmp_path / str(number)).glob("sub-*"))
    assert rendered == []
