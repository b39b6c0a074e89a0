"""Made-up results of follow-up scans."""

import numpy as np

from infarct.evaluation.volumetry import BloodResult, FollowupAbout, FollowupResults, VolumeResult
from infarct.measure.overlap import Counts

HU_OF = {"severe": 18.0, "intermediate": 27.0, "subtle": 38.0}


def told(found_ml: float, dice: float = 0.5, *, ill: bool = True) -> VolumeResult:
    """Return a volume whose voxels have a Dice of ``dice``, in hundredths."""
    hits = round(100 * dice) if ill else 0
    missed = 100 - hits if ill else 0
    return VolumeResult(found_ml, Counts(tp=hits, fp=missed, fn=missed, tn=1000), {"severe": found_ml}, seconds=4.0)


def followed(
    name: str,
    truth_ml: float,
    mean_hu: float | None,
    *,
    blood_ml: float | None = 0.0,
    suspected: bool = False,
    mrs90: int | None = None,
    **by_method: VolumeResult,
) -> FollowupResults:
    """Return the results of a scan; without any given they are the truth's volume by three networks."""
    about = FollowupAbout(
        name, f"patient-{name}", "here", truth_ml, mean_hu, blood_ml, onset_h=30.0, mrs90=mrs90, fingerprint="print"
    )
    blood = BloodResult("patch_cnn_dense", suspected, 3.0 if suspected else 0.0, 0.9 if suspected else 0.1)
    if blood_ml is not None:
        blood = BloodResult(
            "patch_cnn_dense", suspected, 3.0 if suspected else 0.0, 0.9 if suspected else 0.1,
            counts=Counts(10, 10, 10, 1000) if blood_ml else Counts(0, 0, 0, 1000),
            crossed_ml={"parenchymal": {"parenchymal": 1.0, "none": 0.5}} if blood_ml else {},
        )  # fmt: skip
    return FollowupResults(
        about, blood, by_method or {"three": told(truth_ml, ill=truth_ml > 0)}, midline_mm=-1.5, true_midline_mm=1.0
    )


def drawn_followups(count: int) -> list[FollowupResults]:
    """Return ``count`` scans with an infarct, of all classes in turn, by both sets of networks; the single is worse."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        severity = tuple(HU_OF)[index % 3]
        truth_ml = float(random.uniform(5, 120))
        good, poor = (max(0.0, truth_ml + float(random.normal(0, sd))) for sd in (4, 40))
        bleeds = index % 4 == 0
        case = followed(
            str(index), truth_ml, HU_OF[severity] + float(random.uniform(-3, 3)),
            blood_ml=float(random.uniform(0.1, 4)) if bleeds else 0.0, suspected=bleeds, mrs90=index % 7,
            three=told(good, 0.7), single=told(poor, 0.4),
        )  # fmt: skip
        found.append(case)
    return found
