import hashlib
import os
import pickle
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from synthetic_ct import fake_head

from infarct.cohorts import AspectsTruth, Case, Clinical, Cohort, LabelledScan
from infarct.cohorts.aspects import both_sides
from infarct.volume import Scan
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion


def scan() -> Scan:
    return Scan(fake_head(), GEOMETRY)


def made() -> LabelledScan:
    return LabelledScan(scan(), lesion=lesion())


def test_a_case_loads_anew_each_time() -> None:
    case = Case("a", "p", "acute", made)
    first, second = case.load(), case.load()
    assert first is not second
    np.testing.assert_array_equal(first.lesion, second.lesion)


def test_not_labelled_is_none_and_labelled_without_anything_is_empty() -> None:
    loaded = LabelledScan(scan(), lesion=np.zeros(GEOMETRY.shape_zyx, dtype=bool))
    assert loaded.old is None
    assert loaded.lesion is not None
    assert not loaded.lesion.any()


def test_arrays_on_another_grid_or_of_another_type_are_an_error() -> None:
    with pytest.raises(ValueError, match="lesion"):
        LabelledScan(scan(), lesion=lesion()[1:])
    with pytest.raises(ValueError, match="old"):
        LabelledScan(scan(), old=lesion().astype(np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hemorrhage"):
        LabelledScan(scan(), hemorrhage=lesion())  # type: ignore[arg-type]


def test_every_judge_has_twenty_calls() -> None:
    ten, unknown = (True,) * 10, (None,) * 10
    assert both_sides(ten, "right") == ten + unknown
    assert both_sides(ten, "left") == unknown + ten
    assert AspectsTruth(both_sides(ten, "left"), side="left").by_readers == ()
    with pytest.raises(ValueError, match="20 calls"):
        AspectsTruth(ten)
    with pytest.raises(ValueError, match="20 calls"):
        AspectsTruth(ten + unknown, (ten,))


def test_what_a_case_prints_names_no_patient() -> None:
    case = Case("Doe-Jane", "Jane", "acute", made, Clinical(age=81))
    assert repr(case) == object.__repr__(case)  # its type and an address


def test_missing_values_are_counted_and_complete_ones_not_listed() -> None:
    first = Case("a", "a", "acute", made, Clinical(age=70, onset_h=2))
    second = Case("b", "b", "acute", made, Clinical(age=71))
    missing = Cohort("manifest", (first, second)).missing
    assert "age" not in missing
    assert missing["onset_h"] == 1
    assert missing["nihss"] == missing["adc"] == 2


def test_a_case_goes_to_another_process() -> None:
    case = pickle.loads(pickle.dumps(Case("a", "p", "acute", made)))
    assert case.load().lesion.sum() == 180


def test_keys_hide_who_it_is_unless_nobody_is() -> None:
    case = Case("Doe-Jane", "Jane", "acute", made)
    assert case.key == hashlib.sha256(b"Doe-Jane").hexdigest()[:12]
    assert case.patient_key == hashlib.sha256(b"Jane").hexdigest()[:12]
    phantom = replace(case, synthetic=True)
    assert (phantom.key, phantom.patient_key) == ("Doe-Jane", "Jane")


@dataclass(frozen=True)
class Files:
    images: tuple[Path, ...]
    folder: Path


def read(_: Files, *, mask: Path | None = None) -> LabelledScan:
    loaded = made()
    return loaded if mask else replace(loaded, lesion=None)


def read_otherwise(_: Files, *, mask: Path | None = None) -> LabelledScan:
    return replace(read(_, mask=mask), old=None)


def test_a_fingerprint_changes_with_the_case_and_each_of_its_files(tmp_path: Path) -> None:
    image, mask, slice_ = tmp_path / "image", tmp_path / "mask", tmp_path / "series" / "inner" / "slice"
    slice_.parent.mkdir(parents=True)
    for path in (image, mask, slice_):
        path.write_bytes(b"1")
    files = Files((image,), tmp_path / "series")
    case = Case("a", "p", "acute", partial(read, files, mask=mask))
    seen = [case.fingerprint]
    assert case.fingerprint == pickle.loads(pickle.dumps(case)).fingerprint == seen[0]
    others = (
        replace(case, id="b"),
        replace(case, patient="q"),
        replace(case, target="core"),
        replace(case, clinical=Clinical(onset_h=2.0)),
        replace(case, loader=partial(read, files)),
        replace(case, loader=partial(read_otherwise, files, mask=mask)),
        replace(case, loader=partial(read, replace(files, images=()), mask=mask)),
    )
    seen += [other.fingerprint for other in others]
    for path in (image, mask, slice_):
        path.write_bytes(b"22")
        seen.append(case.fingerprint)
        os.utime(path, ns=(1, 1))
        seen.append(case.fingerprint)
        path.unlink()
        seen.append(case.fingerprint)
    assert len(set(seen)) == len(seen)
    (tmp_path / "series" / ".clutter").touch()
    assert case.fingerprint == seen[-1]


def test_a_path_that_is_no_part_of_the_case_changes_nothing(tmp_path: Path) -> None:
    case = Case("a", "p", "acute", made)
    assert case.fingerprint == replace(case, paired={"adc": tmp_path}, clinical=Clinical(age=3)).fingerprint
