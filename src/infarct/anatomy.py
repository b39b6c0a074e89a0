"""Names and label values of anatomy: sides, ASPECTS regions, territories.

``left`` and ``right`` are always the patient's.
"""

from typing import Final, Literal, TypeAlias

Side: TypeAlias = Literal["left", "right"]
MarkedSide: TypeAlias = Literal["left", "right", "both", "none"]
"""Where nearly all of what is marked lies."""
Region: TypeAlias = Literal["C", "I", "IC", "L", "M1", "M2", "M3", "M4", "M5", "M6"]

SIDES: Final[tuple[Side, ...]] = ("right", "left")
REGIONS: Final[tuple[Region, ...]] = ("C", "I", "IC", "L", "M1", "M2", "M3", "M4", "M5", "M6")
"""The ten ASPECTS regions, always in this order (Barber et al., Lancet 2000;355:1670)."""
GANGLIONIC_REGIONS: Final[tuple[Region, ...]] = ("C", "I", "IC", "L", "M1", "M2", "M3")
SUPRAGANGLIONIC_REGIONS: Final[tuple[Region, ...]] = ("M4", "M5", "M6")
SUBCORTICAL_REGIONS: Final[tuple[Region, ...]] = ("C", "I", "IC", "L")
CORTICAL_REGIONS: Final[tuple[Region, ...]] = ("M1", "M2", "M3", "M4", "M5", "M6")
"""The insula is cortex, but counts with its deep neighbours, as in the ASPECTS paper (DOI 10.1002/hbm.25845)."""

REGION_NAMES: Final[dict[Region, str]] = {
    "C": "caudate",
    "I": "insula",
    "IC": "internal capsule",
    "L": "lentiform nucleus",
    "M1": "anterior MCA cortex",
    "M2": "MCA cortex lateral to the insula",
    "M3": "posterior MCA cortex",
    "M4": "anterior MCA cortex, above M1",
    "M5": "lateral MCA cortex, above M2",
    "M6": "posterior MCA cortex, above M3",
}

Territory: TypeAlias = Literal["ACA", "MCA", "PCA", "midbrain", "pons", "medulla", "cerebellum"]
TERRITORY_LABELS: Final[dict[Territory, int]] = {
    "ACA": 1,
    "MCA": 2,
    "PCA": 3,
    "midbrain": 4,
    "pons": 5,
    "medulla": 6,
    "cerebellum": 7,
}
"""Label values of the territory map; the side comes from the midsagittal plane."""
INFRATENTORIAL: Final[tuple[Territory, ...]] = ("midbrain", "pons", "medulla", "cerebellum")


def opposite(side: Side) -> Side:
    """Return the other side."""
    return "left" if side == "right" else "right"


def region_label(region: Region, side: Side) -> int:
    """Return the label value of an ASPECTS region: right 1-10, left 11-20."""
    return REGIONS.index(region) + 1 + (10 if side == "left" else 0)


def region_of_label(label: int) -> tuple[Region, Side]:
    """Return region and side of an ASPECTS label value (1-20).

    Raises `ValueError` for any other value.
    """
    if not 1 <= label <= 20:
        raise ValueError(f"ASPECTS labels run from 1 to 20, not {label}")
    return REGIONS[(label - 1) % 10], "right" if label <= 10 else "left"
