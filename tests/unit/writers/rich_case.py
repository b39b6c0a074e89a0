"""An analysis with every map and section that the report can show, from the synthetic head."""

from dataclasses import replace

import numpy as np
from synthetic_head import GANGLIONIC, Case, make_case, make_head

from infarct.findings import Analysis, FollowupInfarct, HyperdenseArtery, Localization, Patch, Weights
from infarct.model_card import Block, ModelCard, Section
from infarct.types import Float32Array, Float64Array
from infarct.volume import Scan

WEIGHTS = tuple(
    Weights(system=system, name=name, sha256=digest * 64, calibrated_on="phantoms")
    for system, name, digest in (
        ("aspects", "da-net-9", "a"),
        ("localize", "tiles-own", "b"),
        ("segment", "acute-3", "c"),
    )
)
NOTICE = Block("text", (("Research use only; not a medical device.",),))
CARDS = {
    WEIGHTS[0].sha256: ModelCard(
        "da-net-9",
        (
            Section("Identity", (NOTICE, Block("table", (("", ""), ("system", "aspects"), ("parameters", "402,424"))))),
            Section("Summary", (Block("text", (("Trained on phantoms alone.",),)),)),
            Section("Recipe", (Block("list", (("steps: 2,600",), ("schedule:",), ("warm up: 50",)), (0, 0, 1)),)),
            Section("Known failures", (Block("list", (("Wide sulci.",),), (0,)),)),
            Section(
                "Test results", (Block("table", (("cohort", "roc auc"), ("test|150 scans", "0.738 (0.707 to 0.771)"))),)
            ),
            Section("Settings", (Block("list", (("level hu: 30",),), (0,)),)),
        ),
    ),
    WEIGHTS[2].sha256: ModelCard(
        "acute-3", (Section("Identity", (NOTICE,)), Section("Summary", (Block("text", (("Acute infarcts.",),)),)))
    ),
}
"""Of the three sets of weights of `rich_case`, the second has no card."""


def rich_case() -> Case:
    """Return the head with a left lesion, blood and an old infarct, tiles, attention, follow-up infarct and cards."""
    scan, analysis = make_case("bleeding")
    maps = analysis.maps
    assert maps.infarct is not None
    assert maps.aspects_regions is not None
    late = np.zeros(scan.hu.shape, dtype=np.uint8)
    for value, mask in enumerate((maps.infarct, maps.infarct & (scan.hu > 26), maps.infarct & (scan.hu > 29)), start=1):
        late[mask] = value
    maps = replace(
        maps,
        patch_probability=ramp(scan) * maps.brain_mask,
        aspects_attention=ramp(scan) * np.isin(maps.aspects_regions, (12, 14, 16, 19)),
        followup_infarct=late,
        reflection=reflection(scan),
    )
    patches = tuple(
        Patch(
            slice_index=k, sop_uid_hash=None, row=90, column=110, size_px=32, probability=0.83, side="left",
            territory="MCA",
        )
        for k in (GANGLIONIC, GANGLIONIC + 2)
    )  # fmt: skip
    findings = analysis.findings.model_copy(
        update={
            "localization": Localization(method="vgg16", patches=patches, lesion_side="left", key_slices=(12, 10)),
            "followup_infarct": FollowupInfarct(
                method="patch_cnn_dense", volume_ml=61.3, without_blood_ml=58.7, severe_ml=21.4, intermediate_ml=33.8,
                subtle_ml=44.9, hemorrhage_ml=2.6, growth_ml=-7.2, midline_shift_mm=3.7, midline_shift_side="right",
                midline_shift_change_mm=1.4, side="left", mean_hu=23.8, heidelberg=("1b",),
            ),
            "hyperdense_artery": HyperdenseArtery(
                suspected=True, side="left", mean_hu=58.4, contralateral_mean_hu=41.6, ratio=1.4
            ),
        }
    )  # fmt: skip
    provenance = findings.provenance.model_copy(update={"weights": WEIGHTS})
    return scan, Analysis(findings.model_copy(update={"provenance": provenance}), maps, CARDS)


def ramp(scan: Scan) -> Float32Array:
    """Return values from 0 at the patient's right to 1 at the left."""
    return np.broadcast_to(np.linspace(0, 1, scan.hu.shape[2], dtype=np.float32), scan.hu.shape).copy()


def reflection(scan: Scan) -> Float64Array:
    """Return the matrix that mirrors through the middle of the scan."""
    middle = scan.geometry.index_to_world((np.array(scan.hu.shape) - 1) / 2)
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[0, 3] = 2 * middle[0]
    return matrix


def marked_case(side: str) -> Case:
    """Return a plain head with a bright block on one side of the patient, and nothing found."""
    scan, analysis = make_case("normal")
    head = make_head()
    outwards = head.x_mm if side == "left" else -head.x_mm
    block = (outwards > 30) & (outwards < 44) & (np.abs(head.y_mm) < 8)
    block[: GANGLIONIC - 1] = block[GANGLIONIC + 2 :] = False
    hu = np.where(block, np.float32(200), scan.hu)
    return replace(scan, hu=hu), replace(analysis, maps=replace(analysis.maps, reflection=reflection(scan)))
