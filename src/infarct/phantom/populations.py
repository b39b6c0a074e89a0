"""The strokes of each population: classes and their shares, times, volumes, sites and densities.

What a paper prints has a comment with its source; every other number is the choice of this phantom. Quantile functions
pass through the printed quartiles; their other points give the printed mean, SD or overall quartiles where there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from infarct.measure.severity import Severity
from infarct.phantom.draws import Quantiles
from infarct.phantom.patient import Site

Area = Literal["cortical", "subcortical", "both"]
StrokeSource = Literal["hyperacute", "aspects", "acute", "followup"]
"""A population whose every patient has a stroke."""


@dataclass(frozen=True)
class StrokeClass:
    """One class of strokes. ``weight`` is its share; ``sites`` weights of the occlusion sites, which add up to 1.

    ``volume_ml`` is the volume that the paper measures: see `Population.measured`. ``area`` None leaves it to volume
    and site. ``mean_hu`` and ``stained_hu`` are the mean HU at follow-up without and with staining or petechiae.
    """

    weight: float
    volume_ml: Quantiles
    sites: Mapping[Site, float]
    area: Area | None = None
    severity: Severity | None = None
    mean_hu: Quantiles | None = None
    stained_hu: Quantiles | None = None
    stained: float = 0.0
    followup_h: Quantiles | None = None
    stratum: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Population:
    """Classes and common distributions of a preset's strokes.

    ``measured`` says what a class's volume is: perfusion core, infarct at the acute scan, or final infarct.
    ``before_final`` is the range of the acute infarct's share of the final one where the final one is measured.
    ``visible_hu`` bounds the drop in HU at the acute scan, where patients were selected by what a reader saw.
    ``interval_h`` is the time from the acute to the later scan, unless a class has its own time from onset.
    """

    classes: tuple[StrokeClass, ...]
    onset_h: Quantiles
    measured: Literal["core", "infarct", "final"]
    reperfused: float
    treated: float
    hemorrhage: float
    petechiae: float
    staining: float
    penumbra: float
    interval_h: Quantiles
    before_final: tuple[float, float] = (1.0, 1.0)
    visible_hu: tuple[float, float] = (0.0, 100.0)


SMALL_ML: Final = Quantiles(((0.0, 0.046), (0.25, 0.155), (0.5, 0.367), (0.75, 0.716), (1.0, 1.237)), logarithmic=True)
"""Infarcts of 0.5-1.5 cm, diameters uniform; 0.7 of the volume of a ball, for the longest diameter counts."""
SMALL: Final = {"size": "0.5-1.5 cm"}
LARGE: Final = {"size": ">1.5 cm"}
CORTICAL_SITES: Final[dict[Site, float]] = {"M2_superior": 0.3, "M2_inferior": 0.27, "M1": 0.13, "ACA": 0.1, "PCA": 0.2}

# Localize paper: 517 patients, 355 at most 6 h after onset and 162 at 6-12 h; supratentorial 428 (cortical 156,
# subcortical 204, both 68), infratentorial 89 (brainstem and cerebellum); 64 of 0.5-1.5 cm, in both regions. How the 64
# divide is our choice, and so are the volumes: 21,436 infarct tiles of about 60 mm2 x 5 mm make 12 ml a patient.
HYPERACUTE: Final = Population(
    classes=(
        StrokeClass(
            weight=148 / 517,
            volume_ml=Quantiles(((0, 2.0), (0.25, 4.5), (0.5, 9.0), (0.75, 19.0), (0.95, 60.0), (1, 110.0)), True),
            sites=CORTICAL_SITES,
            area="cortical",
            stratum={"region": "supratentorial", "area": "cortical", **LARGE},
        ),
        StrokeClass(
            weight=8 / 517,
            volume_ml=SMALL_ML,
            sites=CORTICAL_SITES,
            area="cortical",
            stratum={"region": "supratentorial", "area": "cortical", **SMALL},
        ),
        StrokeClass(
            weight=163 / 517,
            volume_ml=Quantiles(((0, 2.0), (0.25, 2.7), (0.5, 4.0), (0.75, 7.5), (0.95, 20.0), (1, 40.0)), True),
            sites={"perforator": 0.4, "PCA": 0.08, "M1": 0.45, "ICA": 0.07},
            area="subcortical",
            stratum={"region": "supratentorial", "area": "subcortical", **LARGE},
        ),
        StrokeClass(
            weight=41 / 517,
            volume_ml=SMALL_ML,
            sites={"perforator": 0.85, "PCA": 0.1, "M1": 0.05},
            area="subcortical",
            stratum={"region": "supratentorial", "area": "subcortical", **SMALL},
        ),
        StrokeClass(
            weight=68 / 517,
            volume_ml=Quantiles(((0, 6.0), (0.25, 14.0), (0.5, 26.0), (0.75, 48.0), (0.95, 110.0), (1, 200.0)), True),
            sites={"M2_superior": 0.17, "M2_inferior": 0.1, "PCA": 0.05, "M1": 0.5, "ICA": 0.15, "tandem": 0.03},
            area="both",
            stratum={"region": "supratentorial", "area": "both", **LARGE},
        ),
        StrokeClass(
            weight=74 / 517,
            volume_ml=Quantiles(((0, 2.0), (0.25, 2.8), (0.5, 4.5), (0.75, 9.0), (0.95, 25.0), (1, 50.0)), True),
            sites={"basilar": 0.45, "cerebellar": 0.55},
            stratum={"region": "infratentorial", **LARGE},
        ),
        StrokeClass(
            weight=15 / 517,
            volume_ml=SMALL_ML,
            sites={"basilar": 0.75, "cerebellar": 0.25},
            stratum={"region": "infratentorial", **SMALL},
        ),
    ),
    onset_h=Quantiles(((0, 0.8), (0.2, 1.8), (0.45, 3.2), (355 / 517, 6.0), (1, 12.0))),
    measured="final",
    reperfused=0.25,
    treated=0.5,
    hemorrhage=0.03,
    petechiae=0.08,
    staining=0.0,
    penumbra=0.35,
    # Localize paper: less than 14 days from CT to MR, mean 7.4, SD 5.3 days.
    interval_h=Quantiles(((0, 2.4), (0.36, 40.8), (0.51, 254.4), (1, 333.6))),
    before_final=(0.85, 1.0),
    # All scans were read as negative: no large infarct lies more than this below normal.
    visible_hu=(0.0, 5.0),
)

ASPECTS_CORE_ML: Final = ((0, 0.3), (0.05, 1.5), (0.25, 9.2), (0.5, 22), (0.75, 44))
ACA: Final = 0.014

# Aspects paper, table 2: onset to CT 270 min (210-360), within 8 h; occlusion sites; core 22 ml (9.2-44), table 3: mean
# 28.4, SD 30.5; symptomatic bleeding 10.6 %. How the M2 (9.2 %) divides is our choice. The rare ACA occlusions are a
# class of their own, so that the even sequence of classes counts them; their cores fit into the territory.
ASPECTS: Final = Population(
    classes=(
        StrokeClass(weight=ACA, volume_ml=Quantiles((*ASPECTS_CORE_ML, (1, 63)), True), sites={"ACA": 1.0}),
        StrokeClass(
            weight=1 - ACA,
            volume_ml=Quantiles((*ASPECTS_CORE_ML, (0.9, 63), (0.97, 96), (1, 190)), True),
            sites={
                "M1": 0.493 / (1 - ACA),
                "ICA": 0.285 / (1 - ACA),
                "tandem": 0.116 / (1 - ACA),
                "M2_superior": 0.055 / (1 - ACA),
                "M2_inferior": 0.037 / (1 - ACA),
            },
        ),
    ),
    onset_h=Quantiles(((0, 1.0), (0.25, 3.5), (0.5, 4.5), (0.75, 6.0), (1, 8.0))),
    measured="core",
    reperfused=0.1,
    treated=0.75,
    hemorrhage=0.106,
    petechiae=0.1,
    staining=0.08,
    penumbra=1.0,
    interval_h=Quantiles(((0, 12.0), (0.25, 19.0), (0.5, 24.0), (0.75, 36.0), (0.95, 120.0), (1, 240.0))),
)

# Segment paper: 0.8 % of all voxels; stacks of 512 x 512 pixels of 0.38-0.5 mm, 306-505 slices (405 on average) every
# 0.5 mm. That is 82 ml in the paper's stacks and 66 ml in the phantom's, which have about 325 slices: the mean lies
# between. Times, sites and the spread are our choice. Readers outlined every infarct, so each shows at least a little.
ACUTE: Final = Population(
    classes=(
        StrokeClass(
            weight=1.0,
            volume_ml=Quantiles(
                ((0, 2.0), (0.1, 8.0), (0.25, 20.0), (0.5, 46.0), (0.75, 94.0), (0.9, 156.0), (1, 320.0)), True
            ),
            sites={
                "M1": 0.36,
                "ICA": 0.2,
                "M2_superior": 0.12,
                "M2_inferior": 0.1,
                "PCA": 0.08,
                "tandem": 0.05,
                "cerebellar": 0.05,
                "ACA": 0.04,
            },
        ),
    ),
    onset_h=Quantiles(((0, 2.0), (0.25, 5.0), (0.5, 8.0), (0.75, 14.0), (1, 24.0))),
    measured="infarct",
    reperfused=0.2,
    treated=0.5,
    hemorrhage=0.08,
    petechiae=0.1,
    staining=0.04,
    penumbra=0.6,
    interval_h=Quantiles(((0, 12.0), (0.25, 19.0), (0.5, 24.0), (0.75, 36.0), (0.95, 120.0), (1, 240.0))),
    visible_hu=(2.0, 100.0),
)

FOLLOWUP_SITES: Final[dict[Site, float]] = {
    "M1": 0.62,
    "ICA": 0.2,
    "tandem": 0.07,
    "M2_superior": 0.07,
    "M2_inferior": 0.04,
}

SEVERE_ML: Final = (
    *((0, 3), (0.05, 9), (0.21, 31.5), (0.25, 35), (0.29, 38.5), (0.33, 48), (0.5, 89)),
    *((0.58, 125), (0.75, 210), (0.95, 320), (1, 360)),
)
SUBTLE_ML: Final = (
    *((0, 1), (0.05, 2.5), (0.25, 11), (0.35, 15), (0.5, 29), (0.585, 48), (0.75, 86)),
    *((0.8, 125), (0.95, 270), (1, 330)),
)
"""Volumes in ml; points besides the quartiles of a class give the quartiles of all classes together."""

# Volumetry paper: 67, 204 and 125 of 396 test patients; classes by mean HU [14, 22), [22, 32), [32, 44); volumes
# 89 (35-210), 46 (18-101), 29 (11-86), all 48 (15-125) ml; anterior circulation; 12 h to 2 weeks. Times by class and
# the shape inside a class are our choice. Tissue without stain is seldom above 35 HU.
FOLLOWUP: Final = Population(
    classes=(
        StrokeClass(
            weight=67 / 396,
            volume_ml=Quantiles(
                SEVERE_ML,
                True,
            ),
            sites=FOLLOWUP_SITES,
            severity="severe",
            mean_hu=Quantiles(((0, 14.2), (0.25, 17.8), (0.5, 19.6), (0.75, 21.0), (1, 21.95))),
            followup_h=Quantiles(((0, 40.0), (0.25, 80.0), (0.5, 116.0), (0.75, 160.0), (1, 336.0))),
            stratum={"severity": "severe"},
        ),
        StrokeClass(
            weight=204 / 396,
            volume_ml=Quantiles(
                ((0, 1), (0.05, 4), (0.25, 18), (0.5, 46), (0.75, 101), (0.78, 125), (0.95, 270), (1, 340)), True
            ),
            sites=FOLLOWUP_SITES,
            severity="intermediate",
            mean_hu=Quantiles(((0, 22.0), (0.25, 25.2), (0.5, 27.3), (0.75, 29.6), (1, 31.95))),
            stained_hu=Quantiles(((0, 22.5), (0.5, 28.5), (1, 31.95))),
            stained=0.12,
            followup_h=Quantiles(((0, 18.0), (0.25, 30.0), (0.5, 50.0), (0.75, 100.0), (0.9, 180.0), (1, 336.0))),
            stratum={"severity": "intermediate"},
        ),
        StrokeClass(
            weight=125 / 396,
            volume_ml=Quantiles(
                SUBTLE_ML,
                True,
            ),
            sites=FOLLOWUP_SITES,
            severity="subtle",
            mean_hu=Quantiles(((0, 32.0), (0.25, 32.2), (0.5, 32.5), (0.75, 33.0), (1, 34.5))),
            stained_hu=Quantiles(((0, 32.0), (0.25, 33.5), (0.5, 35.5), (0.75, 38.0), (1, 43.95))),
            stained=0.4,
            followup_h=Quantiles(((0, 12.0), (0.25, 20.0), (0.5, 25.0), (0.75, 34.0), (0.92, 60.0), (1, 336.0))),
            stratum={"severity": "subtle"},
        ),
    ),
    onset_h=Quantiles(((0, 0.8), (0.25, 2.0), (0.5, 3.0), (0.75, 4.5), (1, 11.0))),
    measured="final",
    reperfused=0.1,
    treated=0.6,
    hemorrhage=0.15,
    petechiae=0.0,
    staining=0.0,
    penumbra=1.0,
    interval_h=Quantiles(((0, 12.0), (1, 336.0))),
    before_final=(0.35, 1.0),
)

POPULATIONS: Final[dict[StrokeSource, Population]] = {
    "hyperacute": HYPERACUTE,
    "aspects": ASPECTS,
    "acute": ACUTE,
    "followup": FOLLOWUP,
}
DEPARTMENT: Final[dict[StrokeSource, float]] = {"hyperacute": 0.5, "aspects": 0.35, "acute": 0.15}
"""From which population the strokes of an emergency department are."""
