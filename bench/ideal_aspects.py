"""What the ideal observer reaches in ASPECTS: the ceiling of every method that looks at one region at a time.

The observer knows where in a region the infarct would lie and how it would look, and all that hides it: scanner noise
and the differences of healthy sides (`phantom.observer`). Of each region of the side of the stroke it sees the region's
d' and a normal error of 1, and calls it affected from a cut on that has the best balanced accuracy on patients of the
validation split, one for the cortical regions and one for the others, as the trained methods do. Truth is core in more
than a tenth of the region. Each patient is drawn twenty times; intervals come from drawing patients.

Run: python bench/ideal_aspects.py [patients of the test split] [of the validation split] [split to test]
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from infarct.anatomy import CORTICAL_REGIONS, REGIONS, region_label
from infarct.measure.agreement import icc, resampled, roc_auc
from infarct.phantom import Split, draw, render_ct
from infarct.phantom.observer import detectability
from infarct.phantom.scoring import score_aspects
from infarct.training.aspects_scores import Judged, best_cut

DRAWS = 20
CORTICAL = np.array([region in CORTICAL_REGIONS for region in REGIONS])


@dataclass(frozen=True, eq=False)
class Seen:
    """d' and truth of the ten regions of the side of the stroke, each (patients, 10)."""

    d_prime: np.ndarray
    affected: np.ndarray


def seen(split: Split, size: int) -> Seen:
    """Return what there is to see in the first patients of a split of the preset `aspects` who have a stroke."""
    rows = []
    for number in range(size):
        patient = draw("aspects", number, split)
        if patient.stroke is None:
            continue
        visit = render_ct(patient)
        truth = score_aspects(patient, visit)
        labels, signal = visit.truth["aspects"], visit.signal_hu
        if signal is None:
            continue
        masks = [labels == region_label(region, truth.side) for region in REGIONS]
        found = [detectability(signal * mask, visit.protocol, visit.geometry, anatomical=True) for mask in masks]
        rows.append((found, truth.by_core))
        print(f"\r{split}: {number + 1} of {size}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    d_prime, affected = zip(*rows, strict=True)
    return Seen(np.array(d_prime), np.array(affected))


def cuts(validation: Seen, random: np.random.Generator) -> np.ndarray:
    """Return the cut of each region, (10,)."""
    evidence = validation.d_prime + random.normal(size=(DRAWS, *validation.d_prime.shape))
    truth = np.broadcast_to(validation.affected, evidence.shape)
    found = {
        bool(kind): best_cut(Judged(evidence[..., group].ravel(), truth[..., group].ravel()))[0]
        for kind, group in ((True, CORTICAL), (False, ~CORTICAL))
    }
    return np.where(CORTICAL, found[True], found[False])


def main(size: int, validation: int, split: Split) -> None:
    random = np.random.default_rng(0)
    cut = cuts(seen("validation", validation), random)
    test = seen(split, size)
    evidence = test.d_prime + random.normal(size=(DRAWS, *test.d_prime.shape))

    def mean(statistic: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> str:
        def of(rows: np.ndarray) -> float:
            return float(np.mean([statistic(one[rows], one[rows] >= cut, test.affected[rows]) for one in evidence]))

        found = resampled(of, [str(number) for number in range(len(test.affected))], resamples=200)
        return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"

    def balanced(_: np.ndarray, calls: np.ndarray, truth: np.ndarray) -> float:
        return float((calls[truth].mean() + (~calls[~truth]).mean()) / 2)

    def agreement(_: np.ndarray, calls: np.ndarray, truth: np.ndarray) -> float:
        return icc(np.stack([10.0 - truth.sum(axis=1), 10.0 - calls.sum(axis=1)], axis=1), "absolute").estimate

    print(
        f"{len(test.affected)} patients of {split} with a stroke, {int(test.affected.sum())} regions affected by core"
    )
    print("accuracy          ", mean(lambda _, calls, truth: float((calls == truth).mean())))
    print("balanced accuracy ", mean(balanced))
    print("ROC AUC           ", mean(lambda values, _, truth: roc_auc(truth.ravel(), values.ravel())))
    for name, group in (("cortical", CORTICAL), ("subcortical", ~CORTICAL)):
        area = mean(lambda values, _, truth, group=group: roc_auc(truth[:, group].ravel(), values[:, group].ravel()))
        print(f"  {name:16}", area)
    print("ICC(A,1) with core", mean(agreement))


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen: Split = "shifted" if words[2:3] == ["shifted"] else "test"
    main(int((words or ["60"])[0]), int((words[1:] or ["30"])[0]), chosen)
