import pytest

from infarct.cli.formats import DICOM_CHOICES, FORMAT_CHOICES, Extras, read_formats
from infarct.errors import BadRequest
from infarct.writers.formats import DICOM_FORMATS, FORMATS


def test_the_command_line_knows_the_formats_of_the_writers() -> None:
    """It repeats them, so that its help needs no writer."""
    assert FORMAT_CHOICES == FORMATS
    assert set(DICOM_CHOICES) == DICOM_FORMATS


def test_names_are_read_in_any_order() -> None:
    assert read_formats(None) == Extras()
    assert read_formats("nifti, seg,pdf") == Extras(frozenset({"pdf", "seg", "nifti"}))
    assert read_formats("sr,sr", deidentify=True) == Extras(frozenset({"sr"}), deidentify=True)


@pytest.mark.parametrize("text", ["", "dcm", "pdf,", "PDF", "seg sr", "all"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="--format takes pdf, seg, sr, sc, dicom-pdf, nifti"):
        read_formats(text)


@pytest.mark.parametrize("text", [None, "pdf", "pdf,nifti"])
def test_without_dicom_objects_there_is_nothing_to_deidentify(text: str | None) -> None:
    with pytest.raises(BadRequest, match="--deidentify goes with"):
        read_formats(text, deidentify=True)
