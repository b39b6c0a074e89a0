"""The perfusion reference standard against phantom truth: volumes, overlap and ASPECTS, a patient a line.

Usage: python bench/perfusion_reference.py [FIRST] [LAST], patients of `aspects`, split `validation`; about 15 s each.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np

from infarct.atlas import load_atlas
from infarct.measure.overlap import count
from infarct.phantom import sample
from infarct.phantom.scoring import score_aspects
from infarct.pipeline import prepare_head
from infarct.reference.perfusion import align_maps, flow_maps, judge_regions, read_perfusion
from infarct.volume import resample_labels, resample_mask, volume_ml


@dataclass(frozen=True)
class Row:
    """What one patient shows; ``decisions`` are (found, true) of each region that was judged."""

    index: int
    core_ml: float
    true_core_ml: float
    core_dice: float
    core_without_tmax_ml: float
    penumbra_ml: float
    true_penumbra_ml: float
    penumbra_dice: float
    score: int | None
    true_score: int
    move_mm: float
    left_mm: float
    decisions: tuple[tuple[bool, bool], ...]


def measure(index: int) -> Row:
    """Render a patient and compare."""
    made = sample("aspects", index, split="validation", pairs=("perfusion",))
    maps, atlas = made.perfusion, load_atlas()
    assert maps is not None
    head = prepare_head(made.acute.scan("phantom"))
    given = flow_maps(maps.geometry, cbf=maps.cbf.numpy(), cbv=maps.cbv.numpy(), tmax_s=maps.tmax_s.numpy())
    alignment = align_maps(head, given)
    found = read_perfusion(head, given, atlas, alignment=alignment)
    without = read_perfusion(head, replace(given, tmax_s=None), atlas, alignment=alignment)
    truth = np.linalg.inv(made.patient.acute.pose.matrix() @ maps.to_head)
    core, penumbra = (
        resample_mask(mask.numpy(), maps.geometry, head.geometry, transform=truth)
        for mask in (maps.core, maps.core | maps.penumbra)
    )
    points = head.geometry.index_to_world(np.argwhere(head.brain)[::500])
    places = [m[:3, :3] @ points.T + m[:3, 3:] for m in (truth, np.eye(4), alignment.ct_to_image)]
    scores = score_aspects(made.patient, made.acute)
    labels = resample_labels(made.acute.truth["aspects"].numpy(), made.acute.geometry, head.geometry)
    field = np.ones(maps.geometry.shape_zyx, dtype=bool)
    imaged = resample_mask(field, maps.geometry, head.geometry, transform=alignment.ct_to_image)
    own = [r for r in judge_regions(found.core, imaged, labels, head.geometry) if r.side == scores.side]
    pairs = zip(own, scores.by_core, strict=True)
    assert found.penumbra is not None
    assert found.penumbra_ml is not None
    return Row(
        index=index,
        core_ml=found.core_ml,
        true_core_ml=volume_ml(core, head.geometry),
        core_dice=count(found.core, core).dice,
        core_without_tmax_ml=without.core_ml,
        penumbra_ml=found.penumbra_ml,
        true_penumbra_ml=volume_ml(penumbra, head.geometry),
        penumbra_dice=count(found.penumbra, penumbra).dice,
        score=next((s.score for s in found.scores if s.side == scores.side), None),
        true_score=scores.core,
        move_mm=float(np.linalg.norm(places[0] - places[1], axis=0).mean()),
        left_mm=float(np.linalg.norm(places[0] - places[2], axis=0).mean()),
        decisions=tuple((bool(r.affected), bool(true)) for r, true in pairs if r.affected is not None),
    )


def main() -> None:
    """Print a line a patient, then the means."""
    first, last = (int(word) for word in (sys.argv[1:3] if len(sys.argv) > 2 else (0, 23)))
    rows: list[Row] = []
    for index in range(first, last + 1):
        row = measure(index)
        rows.append(row)
        print(
            f"{index:3d} core {row.core_ml:6.1f} of {row.true_core_ml:6.1f} ml, Dice {row.core_dice:.2f}, without Tmax "
            f"{row.core_without_tmax_ml:6.1f} ml; penumbra {row.penumbra_ml:6.1f} of {row.true_penumbra_ml:6.1f} ml, "
            f"Dice {row.penumbra_dice:.2f}; ASPECTS {row.score} of {row.true_score}; moved {row.move_mm:.1f} mm, "
            f"{row.left_mm:.1f} mm left",
            flush=True,
        )
    large = [row for row in rows if row.true_core_ml > 5]
    scored = [row.score - row.true_score for row in rows if row.score is not None]
    hits = np.array([pair for row in rows for pair in row.decisions])
    print(f"core > 5 ml: Dice {np.mean([row.core_dice for row in large]):.2f} in {len(large)}")
    print(f"core error {np.mean([row.core_ml - row.true_core_ml for row in rows]):+.1f} ml")
    print(f"penumbra: Dice {np.mean([row.penumbra_dice for row in rows]):.2f}")
    print(f"penumbra error {np.mean([row.penumbra_ml - row.true_penumbra_ml for row in rows]):+.1f} ml")
    print(f"ASPECTS error {np.mean(scored):+.2f}, SD {np.std(scored):.2f}, in {len(scored)}")
    if len(hits):
        print(f"regions, drawn exactly: sensitivity {hits[hits[:, 1], 0].mean():.2f}")
        print(f"regions, drawn exactly: specificity {1 - hits[~hits[:, 1], 0].mean():.2f}")
    print(f"left of the movement: {np.mean([row.left_mm for row in rows]):.1f} mm")


if __name__ == "__main__":
    main()
