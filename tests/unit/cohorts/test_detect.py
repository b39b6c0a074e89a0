from collections.abc import Callable
from pathlib import Path

import pytest

from infarct.cohorts.detect import LAYOUTS, open_cohort
from infarct.errors import BadRequest
from unit.cohorts.test_aisd import aisd
from unit.cohorts.tiny_cohorts import apis, cpaisd, isles18, isles24, manifest, text

MAKERS: dict[str, Callable[[Path], Path]] = {
    "manifest": lambda root: manifest(root, "a,ct.nii.gz,mask.nii.gz"),
    "isles24": isles24,
    "isles18": isles18,
    "apis": apis,
    "aisd": aisd,
    "cpaisd": cpaisd,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_layout_is_recognised_and_by_no_other(tmp_path: Path, kind: str) -> None:
    MAKERS[kind](tmp_path)
    assert [layout.kind for layout in LAYOUTS if layout.find(tmp_path)] == [kind]
    cohort = open_cohort(tmp_path)
    assert cohort.kind == kind
    assert len(cohort.cases) == 1
    assert cohort.left_out == ()


def test_a_manifest_that_the_user_wrote_comes_first(tmp_path: Path) -> None:
    apis(tmp_path)
    manifest(tmp_path, "a,ct.nii.gz,")
    assert open_cohort(tmp_path).kind == "manifest"


def test_unknown_folders_are_refused_with_what_is_supported(tmp_path: Path) -> None:
    text(tmp_path / "doe" / "scan.txt", "")
    with pytest.raises(BadRequest) as refused:
        open_cohort(tmp_path)
    message = str(refused.value)
    assert "\n" not in message
    assert "doe" not in message
    for word in ("manifest.csv", "infarct phantom", "AISD", "CPAISD", "ISLES'24", "APIS", "ISLES'18"):
        assert word in message


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        open_cohort(tmp_path / "gone")


def test_an_empty_folder_and_a_stray_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no data set"):
        open_cohort(tmp_path)
    with pytest.raises(BadRequest, match="no data set"):
        open_cohort(text(tmp_path / "notes.txt", "id,ct\n"))


@pytest.mark.parametrize("kind", MAKERS)
def test_hidden_clutter_of_file_systems_does_no_harm(tmp_path: Path, kind: str) -> None:
    MAKERS[kind](tmp_path)
    for folder in [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]:
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "._copy.nii.gz").write_bytes(b"\0")
        (folder / "._1.png").write_bytes(b"\0")
    (case,) = open_cohort(tmp_path).cases
    assert case.load().lesion is not None
