"""Coded terms of the DICOM objects: SNOMED, DCM, LOINC and UCUM where they have one, otherwise our own."""

from typing import Final

from pydicom.sr.coding import Code

from infarct.anatomy import REGION_NAMES, Region, Side
from infarct.writers.uids import hashed_uid

OWN_SCHEME: Final = "99INFARCT"
"""Coding scheme of the terms that no public one has; 99 marks it as private (PS3.16 8.2)."""
OWN_SCHEME_UID: Final = hashed_uid("infarct", "coding scheme")
OWN_SCHEME_NAME: Final = "infarct: terms of ASPECTS and of infarct volumetry"


def own(value: str, meaning: str) -> Code:
    """Return a term of our own coding scheme; its value has at most 16 letters, as all readers expect."""
    return Code(value, OWN_SCHEME, meaning)


ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LATERALITY: Final[dict[Side, Code]] = {
    "right": Code("24028007", "SCT", "Right"),
    "left": Code("7771000", "SCT", "Left"),
}
BILATERAL: Final = Code("51440002", "SCT", "Right and left")
BRAIN: Final = Code("12738006", "SCT", "Brain")
CORTEX: Final = Code("40146001", "SCT", "Cerebral cortex")
MIDDLE_CEREBRAL_ARTERY: Final = Code("17232002", "SCT", "Middle Cerebral Artery")
CAUDATE: Final = Code("11000004", "SCT", "Caudate nucleus")
INSULA: Final = Code("36169008", "SCT", "Insula")
PUTAMEN: Final = Code("89278009", "SCT", "Putamen")
GLOBUS_PALLIDUS: Final = Code("14738005", "SCT", "Globus pallidus")
INTERNAL_CAPSULE: Final = Code("85637007", "SCT", "Internal capsule")

REGION_CODES: Final[dict[Region, Code]] = {
    "C": CAUDATE,
    "I": INSULA,
    "IC": INTERNAL_CAPSULE,
    **{region: own(region, f"ASPECTS {region}: {name}") for region, name in REGION_NAMES.items() if region[0] in "LM"},
}
"""What each ASPECTS region is; the lentiform nucleus and the cortical regions have a term of our own."""
REGION_SITES: Final[dict[Region, tuple[Code, ...]]] = {
    "C": (CAUDATE,),
    "I": (INSULA,),
    "IC": (INTERNAL_CAPSULE,),
    "L": (PUTAMEN, GLOBUS_PALLIDUS),
    **{region: (CORTEX,) for region in REGION_NAMES if region[0] == "M"},
}
"""Where each ASPECTS region lies; the lentiform nucleus is putamen and globus pallidus."""

INFARCT: Final = Code("55641003", "SCT", "Infarct")
CEREBRAL_INFARCTION: Final = Code("432504007", "SCT", "Cerebral infarction")
CHRONIC: Final = Code("90734009", "SCT", "Chronic")
HEMORRHAGE: Final = Code("50960005", "SCT", "Hemorrhage")
INTRACRANIAL_HEMORRHAGE: Final = Code("1386000", "SCT", "Intracranial hemorrhage")
HYPERDENSE_ARTERY: Final = own("DENSE_ARTERY", "Hyperdense artery sign")
ASPECTS_ASSESSMENT: Final = own("ASPECTS_SCAN", "ASPECTS of the scan")
ASPECTS_REGION_OF: Final[dict[Region, Code]] = {
    region: own(f"ASPECTS_{region}", f"ASPECTS region {region}") for region in REGION_NAMES
}
QUALITY: Final = own("QUALITY", "Quality of the scan and of its analysis")
FLAGGED: Final = own("FLAGGED", "Flagged: in doubt")
NOT_FLAGGED: Final = own("NOT_FLAGGED", "Not flagged")

VOLUME: Final = Code("118565006", "SCT", "Volume")
ATTENUATION: Final = Code("112031", "DCM", "Attenuation Coefficient")
MEAN: Final = Code("373098007", "SCT", "Mean")
OPPOSITE_ATTENUATION: Final = own("OPPOSITE_HU", "Attenuation coefficient of the opposite side")
DIFFERENCE_ERROR: Final = own("HU_NOISE_ERROR", "Standard error of the difference of both sides by image noise")
ATTENUATION_RATIO: Final = own("HU_RATIO", "Ratio of the attenuation coefficients of both sides")
NET_WATER_UPTAKE: Final = own("NET_WATER_UPTAKE", "Net water uptake")
PROBABILITY: Final = own("PROBABILITY", "Probability")
ASPECTS: Final = own("ASPECTS", "Alberta Stroke Program Early CT Score")
ASPECTS_LOWEST: Final = own("ASPECTS_LOWEST", "Lowest possible ASPECTS")
ASPECTS_HIGHEST: Final = own("ASPECTS_HIGHEST", "Highest possible ASPECTS")
ASPECTS_OF: Final[dict[Side, Code]] = {
    "right": own("ASPECTS_RIGHT", "ASPECTS of the right side"),
    "left": own("ASPECTS_LEFT", "ASPECTS of the left side"),
}
BLOOD_VOLUMES: Final = {
    kind: own(kind.upper(), f"Volume of {kind} blood")
    for kind in ("parenchymal", "intraventricular", "subarachnoid", "subdural")
}
VOLUME_WITHOUT_BLOOD: Final = own("NO_BLOOD_VOLUME", "Volume of the infarct without blood")
BLOOD_IN_INFARCT: Final = own("BLOOD_IN_INFARCT", "Volume of blood in or beside the infarct")
DEGREE_VOLUMES: Final = {
    degree: own(f"VOL_{degree.upper()}", f"Volume of {degree} hypodensity")
    for degree in ("severe", "intermediate", "subtle")
}
GROWTH: Final = own("GROWTH", "Change of the volume since the scan before")
SHIFTED_TO: Final = own("SHIFTED_TO", "Side towards which the midline is shifted")
MIDLINE_SHIFT: Final = own("MIDLINE_SHIFT", "Midline shift")

AFFECTED: Final = own("AFFECTED", "Affected by ischemic change")
AFFECTED_BY_SYSTEM: Final = own("AFFECTED_SYSTEM", "Affected as the system judged before a reader's correction")
SUSPECTED: Final = own("SUSPECTED", "Suspected")
STAGE: Final = own("STAGE", "Stage of the infarct")
STAGES: Final = {
    "acute": own("ACUTE", "Acute"),
    "subacute": own("SUBACUTE", "Subacute"),
    "old": CHRONIC,
    "undetermined": Code("373068000", "SCT", "Undetermined"),
}
YES: Final = Code("373066001", "SCT", "Yes")
NO: Final = Code("373067005", "SCT", "No")
UNDETERMINED: Final = STAGES["undetermined"]

MILLILITER: Final = Code("mL", "UCUM", "milliliter")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
HOUNSFIELD: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT: Final = Code("%", "UCUM", "Percent")
UNITY: Final = Code("1", "UCUM", "no units")
SCORE: Final = Code("{score}", "UCUM", "score")

DEVICE: Final = Code("121007", "DCM", "Device")
DEVICE_UID: Final = hashed_uid("infarct", "device")
CT_HEAD: Final = Code("24725-4", "LN", "CT Head Report")
MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
COMMENT: Final = Code("121106", "DCM", "Comment")
REPORT_TITLE: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")


def yes_or_no(answer: bool | None) -> Code:
    """Return yes, no, or undetermined for None."""
    return UNDETERMINED if answer is None else YES if answer else NO
