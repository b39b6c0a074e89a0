from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from infarct.anatomy import REGIONS
from infarct.writers import dicom_terms as terms


def all_terms() -> list[Code]:
    found = []
    for value in vars(terms).values():
        for one in value.values() if isinstance(value, dict) else [value]:
            parts = one if isinstance(one, tuple) and not isinstance(one, Code) else [one]
            found.extend(part for part in parts if isinstance(part, Code))
    return found


def test_terms_fit_what_readers_expect() -> None:
    found = all_terms()
    assert len(found) > 50
    for term in found:
        assert 0 < len(term.value) <= 16
        assert 0 < len(term.meaning) <= 64


def test_one_value_has_one_meaning() -> None:
    meanings: dict[tuple[str, str], str] = {}
    for term in all_terms():
        assert meanings.setdefault((term.scheme_designator, term.value), term.meaning) == term.meaning


def test_public_terms_are_those_of_the_standard() -> None:
    """Against the dictionary that pydicom takes from PS3.16."""
    for ours, theirs in (
        (terms.CAUDATE, codes.SCT.CaudateNucleus),
        (terms.INSULA, codes.SCT.Insula),
        (terms.INTERNAL_CAPSULE, codes.SCT.InternalCapsule),
        (terms.PUTAMEN, codes.SCT.Putamen),
        (terms.GLOBUS_PALLIDUS, codes.SCT.GlobusPallidus),
        (terms.CORTEX, codes.SCT.CerebralCortex),
        (terms.BRAIN, codes.SCT.Brain),
        (terms.MIDDLE_CEREBRAL_ARTERY, codes.SCT.MiddleCerebralArtery),
        (terms.LATERALITY["left"], codes.SCT.Left),
        (terms.LATERALITY["right"], codes.SCT.Right),
        (terms.HEMORRHAGE, codes.SCT.Hemorrhage),
        (terms.CHRONIC, codes.SCT.Chronic),
        (terms.ANATOMICAL_STRUCTURE, codes.SCT.AnatomicalStructure),
        (terms.ABNORMAL_STRUCTURE, codes.SCT.MorphologicallyAbnormalStructure),
        (terms.VOLUME, codes.SCT.Volume),
        (terms.MEAN, codes.SCT.Mean),
        (terms.YES, codes.SCT.Yes),
        (terms.NO, codes.SCT.No),
        (terms.UNDETERMINED, codes.SCT.Undetermined),
        (terms.ATTENUATION, codes.DCM.AttenuationCoefficient),
        (terms.COMMENT, codes.DCM.Comment),
        (terms.DEVICE, codes.DCM.Device),
        (terms.ARTIFICIAL_INTELLIGENCE, codes.DCM.ArtificialIntelligence),
        (terms.MEASUREMENT_REPORT, codes.DCM.ImagingMeasurementReport),
        (terms.HOUNSFIELD, codes.UCUM.HounsfieldUnit),
        (terms.CT_HEAD, codes.LN.CTHeadReport),
        (terms.REPORT_TITLE, codes.LN.DiagnosticImagingReport),
    ):
        assert (ours.value, ours.scheme_designator) == (theirs.value, theirs.scheme_designator), ours


def test_every_region_has_a_term_and_a_place() -> None:
    assert set(terms.REGION_CODES) == set(terms.REGION_SITES) == set(terms.ASPECTS_REGION_OF) == set(REGIONS)
    assert len({code.value for code in terms.REGION_CODES.values()}) == len(REGIONS)
