"""Blood by the shipped network, and by density and place alone, in the same heads: what is found, and false alarms.

Healthy heads, follow-up scans of infarcts, and mimics with a bleed; of the last two the first that are drawn. Told are
false alarms in healthy heads and in infarcts without blood, the share that is found of heads with 2 ml of blood or
more, and of those by the type of which there is most. Contrast staining counts as no blood, and stands apart.

Run: python bench/blood_found.py [heads of each kind] [split]
"""

import sys
from collections import Counter

from scipy import stats

from infarct.cohorts.phantom import render_case
from infarct.errors import StepFailed
from infarct.phantom import Preset, Split, draw
from infarct.pipeline import prepare_head
from infarct.systems.hemorrhage import find_by_rule, find_hemorrhage, load_hemorrhage
from infarct.volume import volume_ml

ENOUGH_ML = 2.0
NAMES = ("parenchymal", "intraventricular", "subarachnoid", "subdural", "in the infarct")


def group_of(preset: Preset, number: int, split: Split) -> str | None:
    """Return what a head is looked at for, None: it is not."""
    patient = draw(preset, number, split)
    if preset == "healthy":
        return "healthy"
    if patient.stroke is not None:
        return "infarct"
    kinds = {bleed.kind for bleed in patient.confounders.bleeds}
    return None if not kinds else "staining" if kinds == {"staining"} else "bleed"


def told(calls: list[bool]) -> str:
    """Return how many are called, as a share with its 95 % interval (Wilson)."""
    share = stats.binomtest(sum(calls), len(calls))
    low, high = share.proportion_ci(method="wilson")
    return f"{sum(calls)} of {len(calls)}, {share.statistic:.2f} ({low:.2f} to {high:.2f})"


def main(size: int, split: Split) -> None:
    detector = load_hemorrhage()
    called: dict[str, list[tuple[bool, bool]]] = {}
    for preset in ("healthy", "followup", "mimics"):
        count = number = 0
        while count < size:
            group = group_of(preset, number, split)
            number += 1
            if group is None:
                continue
            count += 1
            labelled = render_case(draw(preset, number - 1, split))
            try:
                head = prepare_head(labelled.scan)
                by_network = find_hemorrhage(labelled.scan, head, detector)
            except StepFailed:
                continue
            found = by_network.hemorrhage.suspected, find_by_rule(head).hemorrhage.suspected
            truth = labelled.hemorrhage
            blood_ml = 0.0 if truth is None else volume_ml(truth > 0, labelled.scan.geometry)
            if blood_ml >= ENOUGH_ML and truth is not None:
                most = Counter(truth[truth > 0].tolist()).most_common(1)[0][0]
                called.setdefault("bleeding, 2 ml or more", []).append(found)
                called.setdefault(f"  most of it {NAMES[most - 1]}", []).append(found)
            elif blood_ml == 0:
                called.setdefault(f"no blood: {group}", []).append(found)
            print(f"\r{preset} {count} of {size}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name, calls in sorted(called.items()):
        print(f"{name:34} network: {told([one for one, _ in calls])}; rule: {told([one for _, one in calls])}")


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen: Split = "validation" if words[1:2] == ["validation"] else "test"
    main(int((words or ["40"])[0]), chosen)
