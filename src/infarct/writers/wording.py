"""Findings in plain words: the sentences and rounded numbers of a report."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from infarct.anatomy import REGION_NAMES, REGIONS, SIDES, Region, Side
from infarct.findings import (
    MIDLINE_ERROR_MM,
    SYSTEM_NAMES,
    Agreement,
    Aspects,
    EarlierScan,
    Findings,
    FollowupInfarct,
    Heidelberg,
    Hemorrhage,
    HyperdenseArtery,
    Lesion,
    Localization,
    Overlap,
    RegionFinding,
    Weights,
    as_counted,
)
from infarct.measure.severity import followup_class
from infarct.prose import listed, sentence
from infarct.types import Flag, Severity
from infarct.writers.key_slices import Finding, finding_of

MISSING: Final = "–"
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
"""Keeps a number and its unit on one line."""
LISTED_LESIONS: Final = 15
"""A table of lesions stops here; what is left are specks, and findings.json has them."""
LEAST_TERRITORY: Final = 0.1
"""A territory is named where this part of the marked tiles lies in it."""
EVEN_MM: Final = 0.05
"""Slice spacings that differ by more than this are told as uneven."""
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")
SEVERITY_WORDS: Final[dict[Severity, str]] = {"critical": "Critical", "warning": "Warning", "info": "Note"}
SIDE_RULES: Final = {
    "symptomatic": "the symptomatic side, as given",
    "evidence": "the side with the greater evidence of acute change",
    "min": "the lower of the two sides",
}
SOURCES: Final = {"dicom": "DICOM", "nifti": "NIfTI", "phantom": "Phantom (simulated head)"}
STAGES: Final = {
    "acute": "acute",
    "subacute": "subacute",
    "old": "old",
    "undetermined": "age undetermined",
}
ASYMMETRY: Final = "asymmetry"
SEGMENT: Final = "se_res_unet"
DA_NET: Final = "da_net"
RADIOMICS: Final = "radiomics"
LOCALIZE: Final = "localize"
TILE_NETWORKS: Final = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "googlenet": "GoogLeNet",
    "inception_v3": "Inception-v3",
    "inception_v4": "Inception-v4",
    "inception_resnet_v2": "Inception-ResNet-v2",
}
PATCH_CNN: Final = "patch_cnn_dense"
POOLED_UNET: Final = "pooled_unet"
RULE: Final = "rule"
HEMORRHAGE: Final = "hemorrhage"
VOLUMETRY: Final = "volumetry"
HEIDELBERG_WORDS: Final[dict[Heidelberg, str]] = {
    "1a": "HI1, scattered small petechiae in the infarct",
    "1b": "HI2, confluent petechiae in the infarct",
    "1c": "PH1, hematoma in less than 30 % of the infarct",
    "2": "PH2, hematoma in 30 % or more of the infarct, with mass effect",
    "3a": "hematoma in the brain away from the infarct",
    "3b": "blood in the ventricles",
    "3c": "subarachnoid blood",
    "3d": "subdural blood",
}
SECTION_NAMES: Final = {"followup_infarct": "follow-up infarct", "infarct": "acute infarct"}
FLAG_SECTIONS: Final = {
    "hemorrhage_suspected": "bleeding",
    "regions_disagree": "regions",
    "old_infarct_suspected": "old",
    "followup_onset_unknown": "followup",
    "followup_outside_window": "followup",
    "followup_old_left_out": "followup",
    "followup_blood_by_rule": "followup",
    "infarct_density_unusual": "followup",
    "midline_shift_uncertain": "followup",
    "growth_between_methods": "followup",
    "earlier_doubtful": "followup",
    "systems_disagree": "agreement",
}
"""The part of the report, by the id of its heading, that a flag is about."""
SYSTEMS: Final = {SEGMENT: "segment", DA_NET: "aspects"}
"""Which system's weights a method uses, where its name is another."""
NOISE_NOTE: Final = (
    "± is the standard error that the noise of the scan alone gives the difference; "
    "sides of a healthy brain differ by more."
)
NOT_FOR_REPERFUSION: Final = "Not valid for reperfusion questions: bleeding is suspected."

GLOSSARY: Final[tuple[tuple[str, str], ...]] = (
    ("ASPECTS", "Alberta Stroke Program Early CT Score: 10 is normal, one point less for each affected region"),
    ("HU", "Hounsfield units, the density scale of CT"),
    ("NWU", "net water uptake: by how many percent a region is darker than its opposite"),
    ("ACA, MCA, PCA", "anterior, middle and posterior cerebral artery"),
    ("W80 C40", "display window: 80 HU wide, centred on 40 HU"),
    ("HI, PH", "hemorrhagic infarction, parenchymal hematoma"),
    ("not evaluable", "not covered, or too disturbed to be judged"),
)


@dataclass(frozen=True)
class Banner:
    """The first thing a reader sees: how far the numbers can be trusted."""

    level: Literal["critical", "warning", "info", "ok"]
    title: str
    text: str


@dataclass(frozen=True)
class RegionCell:
    """One ASPECTS region of one side, in the rounded numbers that are printed; ``reader`` is what a reader set.

    ``noise_hu`` is how uncertain the noise of the scan alone makes the difference.
    """

    finding: Finding
    reader: Finding | None
    mean_hu: str
    opposite_hu: str
    difference_hu: str
    noise_hu: str
    water_uptake: str
    probability: str


@dataclass(frozen=True)
class RegionRow:
    """One ASPECTS region, right and left; a side without a finding is None."""

    region: Region
    name: str
    right: RegionCell | None
    left: RegionCell | None


@dataclass(frozen=True)
class VolumeRow:
    """One measured volume."""

    what: str
    volume: str
    remark: str = ""


@dataclass(frozen=True)
class AgreementRow:
    """What one system says of the infarct."""

    system: str
    side: str
    territories: str
    volume: str


def number(value: float | None, decimals: int = 1) -> str:
    """Return ``value`` rounded, with a true minus sign; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float | None, decimals: int = 1) -> str:
    """Return ``value`` rounded, with its sign; a dash for None."""
    text = number(value, decimals)
    return text if value is None or text.startswith("−") or float(text) == 0 else f"+{text}"


def millilitres(value: float | None) -> str:
    """Return a volume with its unit; a volume too small for one decimal is not shown as zero."""
    if value is None:
        return MISSING
    return f"<{NO_BREAK}0.1{NO_BREAK}ml" if 0 < value < 0.05 else f"{number(value)}{NO_BREAK}ml"


def percent(probability: float | None) -> str:
    """Return a probability as whole percent; never 0 % or 100 % for what is not certain."""
    if probability is None:
        return MISSING
    if 0 < probability < 0.01:
        return f"<{NO_BREAK}1{NO_BREAK}%"
    if 0.99 < probability < 1:
        return f">{NO_BREAK}99{NO_BREAK}%"
    return f"{probability * 100:.0f}{NO_BREAK}%"


def banner(findings: Findings) -> Banner:
    """Return the verdict; suspected bleeding outweighs every flag."""
    counts = {s: sum(flag.severity == s for flag in findings.quality.flags) for s in SEVERITIES}
    told = listed([_counted(counts[s], s) for s in SEVERITIES if counts[s]])
    if findings.hemorrhage is not None and findings.hemorrhage.suspected:
        text = "ASPECTS and acute infarct volumes are not valid for reperfusion questions."
        return Banner("critical", "Bleeding suspected", f"{text}{f' Quality: {told}.' if told else ''}")
    if counts["critical"]:
        return Banner("critical", "Do not rely on these results", f"Quality: {told}, listed here.")
    if counts["warning"] or (findings.quality.verdict == "flagged" and not counts["info"]):
        return Banner(
            "warning", "Read with caution", f"Quality: {told}, listed here." if told else "Quality is in doubt."
        )
    if counts["info"]:
        return Banner("info", "No quality warnings", f"{sentence(told)}, listed here.")
    return Banner("ok", "No quality flags", "The automatic checks found no reason to doubt this scan or its analysis.")


def doubt(findings: Findings) -> str:
    """Return the sentence that stands beside the main numbers where they are not to be used; otherwise empty."""
    if findings.hemorrhage is not None and findings.hemorrhage.suspected:
        return NOT_FOR_REPERFUSION
    if any(flag.severity == "critical" for flag in findings.quality.flags):
        return "Not reliable: see the critical flag."
    return ""


def _counted(count: int, severity: Severity) -> str:
    noun = {"critical": "critical flag", "warning": "warning", "info": "note"}[severity]
    return f"{count} {noun}{'s' if count > 1 else ''}"


def flags_by_severity(findings: Findings) -> list[Flag]:
    """Return the quality flags, gravest first, otherwise in their order."""
    return sorted(findings.quality.flags, key=lambda flag: SEVERITIES.index(flag.severity))


def flag_section(flag: Flag, findings: Findings) -> str:
    """Return the id of the heading of the section that a flag is about; empty where there is none."""
    section = FLAG_SECTIONS.get(flag.code, "")
    old = findings.old_infarct
    there = {
        "bleeding": findings.hemorrhage is not None,
        "regions": findings.aspects is not None,
        "old": old is not None and bool(old.lesions),
        "followup": findings.followup_infarct is not None,
        "agreement": findings.agreement is not None,
    }
    return section if there.get(section) else ""


def region_rows(aspects: Aspects) -> tuple[RegionRow, ...]:
    """Return the ten regions in their order, right and left side by side."""
    found = {(region.region, region.side): region for region in aspects.regions}
    set_by_hand = _set_by_hand(aspects)

    def cell(region: Region, side: Side) -> RegionCell | None:
        finding = found.get((region, side))
        return None if finding is None else _region_cell(finding, set_by_hand.get((region, side)))

    return tuple(
        RegionRow(region, REGION_NAMES[region], right=cell(region, "right"), left=cell(region, "left"))
        for region in REGIONS
    )


def _set_by_hand(aspects: Aspects) -> dict[tuple[Region, Side], Finding]:
    """Return what readers set, the last word on each region."""
    return {(one.region, one.side): "affected" if one.affected else "not affected" for one in aspects.overrides}


def _region_cell(region: RegionFinding, reader: Finding | None) -> RegionCell:
    mean, opposite = region.mean_hu, region.contralateral_mean_hu
    # The difference of the two printed numbers, so that the row adds up for whoever checks it.
    difference = None if mean is None or opposite is None else round(mean, 1) - round(opposite, 1)
    return RegionCell(
        finding=finding_of(region),
        reader=reader,
        mean_hu=number(mean),
        opposite_hu=number(opposite),
        difference_hu=signed(difference),
        noise_hu=MISSING
        if region.difference_error_hu is None
        else f"±{NO_BREAK}{number(region.difference_error_hu, 2)}",
        water_uptake=MISSING if region.net_water_uptake_pct is None else f"{number(region.net_water_uptake_pct)} %",
        probability=percent(region.probability),
    )


def regions_with(aspects: Aspects, finding: Finding, *, sides: Sequence[Side] = SIDES) -> str:
    """Return the regions of ``sides`` with that finding, for example: left I, L and M2; empty if there is none.

    What a reader set stands in place of what the system found, as in the score.
    """
    counted = as_counted(aspects.regions, aspects.overrides)
    return regions_named([f for f in counted if finding_of(f) == finding], sides=sides)


def regions_named(findings: Collection[RegionFinding], *, sides: Sequence[Side] = SIDES) -> str:
    """Return the regions of ``sides`` by name, for example: left I, L and M2; empty if there is none."""
    parts = []
    for side in sides:
        names = [region for region in REGIONS if any((f.region, f.side) == (region, side) for f in findings)]
        if names:
            parts.append(f"{side} {listed(names)}")
    return "; ".join(parts)


def aspects_reason(aspects: Aspects) -> str:
    """Return why there is no score, or why it has a range; empty where the score is certain."""
    sides: Sequence[Side] = (aspects.side,) if aspects.side in ("left", "right") else SIDES
    names = regions_with(aspects, "not evaluable", sides=sides)
    if aspects.score is None:
        return f"Cannot be judged: {names}." if names else "A region that decides the score cannot be judged."
    if aspects.score_min != aspects.score_max:
        why = f" because these regions cannot be judged: {names}" if names else ""
        return f"Possible range {aspects.score_min} to {aspects.score_max}{why}."
    return ""


def side_sentence(aspects: Aspects) -> str:
    """Return which side was scored, and by which rule."""
    rule = SIDE_RULES[aspects.side_rule]
    match aspects.side:
        case "none":
            return f"No side stands out (rule: {rule})."
        case "both":
            return f"Both sides are affected (rule: {rule})."
        case side:
            return f"Scored side: {side} ({rule})."


def interval_sentence(aspects: Aspects) -> str:
    """Return how far the region probabilities leave the score open; empty where they do not say."""
    if aspects.score_interval is None:
        return ""
    low, high = aspects.score_interval
    reach = str(low) if low == high else f"{low} to {high}"
    told = f"By the probabilities of the regions: {reach} (95{NO_BREAK}%)."
    if aspects.score is None or low <= aspects.score <= high:
        return told
    return f"{told} The score lies outside because a region need not be at 50{NO_BREAK}% to be affected, see Regions."


def reader_sentence(aspects: Aspects) -> str:
    """Return that readers set regions, and who; empty where none did."""
    names = list(dict.fromkeys(change.reader for change in aspects.overrides))
    count = len(_set_by_hand(aspects))
    return f"{count} region{'s' if count > 1 else ''} set by {listed(names)}, see Regions." if names else ""


def reader_lines(aspects: Aspects) -> tuple[str, ...]:
    """Return each correction with both values, the reader and the time, in the order in which they were made."""
    found = {(region.region, region.side): finding_of(region) for region in aspects.regions}
    lines = []
    for change in aspects.overrides:
        value = "affected" if change.affected else "not affected"
        system = found.get((change.region, change.side), "not looked at")
        lines.append(
            f"{sentence(change.side)} {change.region}: {value}; the system found: {system}. "
            f"{change.reader}, {change.at.replace('T', ' ').replace('Z', ' UTC')}"
        )
    return tuple(lines)


def artery_sentence(artery: HyperdenseArtery) -> str:
    """Return what the trunks of the middle cerebral arteries show, with both densities."""
    dense, other = (f"{number(hu, 0)}{NO_BREAK}HU" for hu in (artery.mean_hu, artery.contralateral_mean_hu))
    if artery.suspected:
        return f"Hyperdense {artery.side} middle cerebral artery suspected: {dense} against {other}."
    return f"No hyperdense middle cerebral artery found: {artery.side} {dense}, other side {other}."


def method_sentence(method: str, *, knows_old: bool = True) -> str:
    """Return what a method is, in a sentence or two; ``knows_old``: it tells old infarcts from acute ones."""
    if method == ASYMMETRY:
        return (
            "Method: asymmetry, a baseline comparison of the two sides of this scan; not a trained model. "
            "It cannot see what both sides share or what lies in the midline."
        )
    if method == SEGMENT:
        if knows_old:
            return "Method: SE-Res-U-Net, a trained network that marks acute and old infarcts voxel by voxel."
        return (
            "Method: SE-Res-U-Net, a trained network that marks infarcts voxel by voxel. "
            "These weights do not tell old infarcts from acute ones: an old one may be marked."
        )
    if method == DA_NET:
        return "Method: DA-Net, trained networks that judge each region of both sides against the other side."
    if method == PATCH_CNN:
        return "Method: patch CNN, trained networks that judge each voxel by the small patch of the scan around it."
    if method == POOLED_UNET:
        return (
            "Method: 3D U-Net, a trained network that judges voxels by a large part of the head and its mirror image."
        )
    if method == RADIOMICS:
        return "Method: radiomics, a trained random forest for each region on features of both its sides."
    return f"Method: {method}."


def attention_sentence(aspects: Aspects) -> str:
    """Return what the pictures of attention show, and what they do not."""
    told = (
        "Slices through the regions that the network found affected, plain and with its attention in colour: how much "
        "each place weighed in the answer for its region, as a share of the place that weighed most. The network is "
        "trained to look at its region: colour inside is no proof of an infarct, colour on bone or far outside is a "
        "reason for doubt."
    )
    overruled = [
        finding
        for finding, counted in zip(aspects.regions, as_counted(aspects.regions, aspects.overrides), strict=True)
        if finding.affected and not counted.affected
    ]
    return f"{told} Dashed white: not affected, says a reader." if overruled else told


def tiles_sentence(found: Localization) -> str:
    """Return how many tiles are marked, on which side, where mostly and in how many slices."""
    count = len(found.patches)
    if not count:
        return "No tile is marked."
    slices = len({patch.slice_index for patch in found.patches})
    side = "both sides" if found.lesion_side == "both" else f"mainly {found.lesion_side}"
    places = Counter(patch.territory for patch in found.patches if patch.territory is not None)
    names = [name for name, tiles in places.most_common() if tiles >= LEAST_TERRITORY * count]
    where = f"; {listed(names)}" if names else ""
    told = f"{count} tile{'s' if count > 1 else ''} marked in {slices} slice{'s' if slices > 1 else ''}"
    return f"{told}, {side}{where}."


def tiles_method(findings: Findings) -> str:
    """Return what judged the tiles, from which probability on they are marked, and what the pictures show."""
    found = findings.localization
    if found is None:
        return ""
    network = TILE_NETWORKS.get(found.method, found.method)
    told = f"Method: {network}, a trained network that judges the brain square by square for early infarction."
    bound = findings.provenance.config.get(LOCALIZE, {}).get("whole_threshold")
    if bound is not None:
        told = f"{told} A tile is marked from {percent(bound)} on."
    told = f"{told} {probability_note(findings, LOCALIZE)}".rstrip()
    if found.patches:
        told = f"{told} Slices with the most evidence, plain and with probabilities in colour, smoothed over tiles."
    return told


def bleeding_method(findings: Findings) -> str:
    """Return what looked for blood, and what it does not see or rests on."""
    if findings.hemorrhage is None:
        return ""
    if findings.hemorrhage.method == RULE:
        return "By density and place alone: thin, faint, midline and most subdural blood is not found."
    return f"{method_sentence(findings.hemorrhage.method)} {probability_note(findings, HEMORRHAGE)}".rstrip()


def bleeding_types(hemorrhage: Hemorrhage) -> str:
    """Return the types of blood with their volumes, in a sentence; empty where there is none."""
    told = [f"{one.type} {millilitres(one.volume_ml)}" for one in hemorrhage.types]
    return f"By place and shape: {listed(told)}." if told else ""


def followup_sentence(late: FollowupInfarct) -> str:
    """Return where the follow-up infarct is and how dark."""
    if late.volume_ml <= 0:
        return "No follow-up infarct is marked."
    side = {"left": "on the left", "right": "on the right", "both": "on both sides"}.get(late.side or "", "")
    where = f" {side}" if side else ""
    told = f"Infarct of {millilitres(late.volume_ml)}{where}"
    if late.mean_hu is None:
        return f"{told}."
    return f"{told}, mean density {number(late.mean_hu, 0)}{NO_BREAK}HU ({followup_class(late.mean_hu)})."


def heidelberg_sentence(late: FollowupInfarct) -> str:
    """Return the classes that the blood suggests; empty where there is none."""
    told = [f"class {name} ({HEIDELBERG_WORDS[name]})" for name in late.heidelberg]
    start = "The blood suggests, by the Heidelberg bleeding classification,"
    return f"{start} {listed(told)}; a reader has to confirm it." if told else ""


def midline_sentence(late: FollowupInfarct) -> str:
    """Return the shift of the midline, how well it is measured, and its change."""
    error = f"{number(MIDLINE_ERROR_MM)}{NO_BREAK}mm"
    if late.midline_shift_mm is None:
        return "The shift of the midline was not measured reliably."
    if late.midline_shift_mm < MIDLINE_ERROR_MM:
        told = f"No shift of the midline beyond the error of its measurement ({error})."
    else:
        shift = f"{number(late.midline_shift_mm)}{NO_BREAK}mm to the {late.midline_shift_side}"
        told = f"The midline is shifted by {shift} at the foramen of Monro, measured to within about {error}."
    if late.midline_shift_change_mm is None:
        return told
    change = f"{signed(late.midline_shift_change_mm)}{NO_BREAK}mm"
    return f"{told} Change since the earlier scan: {change} to the {late.midline_shift_side}."


def growth_sentence(late: FollowupInfarct) -> str:
    """Return how the volume has changed since an earlier scan; empty without one."""
    if late.earlier is None:
        return ""
    if late.growth_ml is None:
        return "The earlier scan's findings hold no volume to compare with."
    return f"{signed(late.growth_ml)}{NO_BREAK}ml since the earlier scan ({_earlier_words(late.earlier)})."


def _earlier_words(earlier: EarlierScan) -> str:
    hours = "" if earlier.onset_h is None else f", {number(earlier.onset_h, 0)}{NO_BREAK}h from onset"
    section = SECTION_NAMES[earlier.section] if earlier.section else MISSING
    return f"{section} {millilitres(earlier.volume_ml)}{hours}"


def followup_method(findings: Findings) -> str:
    """Return what measured the follow-up infarct."""
    late = findings.followup_infarct
    if late is None:
        return ""
    bases = listed(sorted({w.calibrated_on for w in findings.provenance.weights if w.system == VOLUMETRY}))
    based = f" Thresholds were chosen on {bases}." if bases else ""
    told = method_sentence(late.method)
    if late.severe_ml is not None:
        told = f"{told} One is for severe, one for intermediate, one for subtle darkness; the infarct is all they mark."
    return f"{told}{based} Fluid, and old infarcts as dark as fluid, are left out."


def regions_sentence(aspects: Aspects) -> str:
    """Return what drew the regions."""
    if aspects.regions_method == "vbnet":
        return "Regions: VB-Net, a trained network that draws them on this scan."
    return "Regions: those of the atlas, registered to this scan."


def probability_note(findings: Findings, method: str) -> str:
    """Return what the probabilities of ``method`` rest on."""
    if method == ASYMMETRY:
        return "Probabilities weigh the side difference against this scan's own noise; not calibrated on patients."
    bases = {w.calibrated_on for w in findings.provenance.weights if w.system == SYSTEMS.get(method, method)}
    return f"Probabilities are calibrated on {listed(sorted(bases))}." if bases else ""


def threshold_note(findings: Findings, method: str) -> str:
    """Return from which probability on a region counts as affected; empty of a method that is not trained."""
    bounds: dict[str, list[Region]] = {}
    for region, bound in region_thresholds(findings, method).items():
        bounds.setdefault(bound, []).append(region)
    if len(bounds) == 1:
        return f"A region counts as affected from {next(iter(bounds))} on."
    told = [f"{bound} ({', '.join(regions)})" for bound, regions in bounds.items()]
    return f"A region counts as affected from these probabilities on: {listed(told)}." if told else ""


def region_thresholds(findings: Findings, method: str) -> dict[Region, str]:
    """Return the probability from which on each region counts as affected; empty of a method that is not trained."""
    if method not in (DA_NET, RADIOMICS):
        return {}
    groups = findings.provenance.config.get(SYSTEMS.get(method, method), {}).get("groups", ())
    return {region: percent(group["threshold"]) for group in groups for region in group["regions"]}


def old_note(findings: Findings) -> str:
    """Return what old infarcts are told by."""
    by_network = findings.infarct is not None and findings.infarct.method == SEGMENT
    return f"{'Old by the network that marked them' if by_network else 'As dark as CSF'}; not counted as acute."


def methods_note(findings: Findings) -> str:
    """Return what the main numbers come from, in a sentence or two; empty where nothing ran."""
    methods = [section.method for section in (findings.aspects, findings.infarct) if section is not None]
    knows_old = findings.old_infarct is not None
    return " ".join(method_sentence(method, knows_old=knows_old) for method in dict.fromkeys(methods))


def lesion_place(lesion: Lesion) -> str:
    """Return side and territories of a lesion, for example: left, MCA and PCA."""
    where = listed(list(lesion.territories)) if lesion.territories else "territory unknown"
    return f"{lesion.side}, {where}"


def not_run(findings: Findings) -> str:
    """Return in one sentence which parts that a reader would expect did not run; empty if all of them ran."""
    expected = {
        "bleeding detection": findings.hemorrhage,
        "ASPECTS": findings.aspects,
        "infarct search": findings.infarct,
    }
    missing = [name for name, section in expected.items() if section is None]
    return f"Not run on this scan: {listed(missing)}." if missing else ""


def agreement_rows(agreement: Agreement) -> tuple[AgreementRow, ...]:
    """Return what each system that was compared says, in the order in which they ran."""
    return tuple(
        AgreementRow(
            system=sentence(SYSTEM_NAMES[system]),
            side=side,
            territories=", ".join(agreement.territories.get(system, ())) or MISSING,
            volume=millilitres(agreement.volumes_ml[system]) if system in agreement.volumes_ml else MISSING,
        )
        for system, side in agreement.sides.items()
    )


def overlap_sentence(overlap: Overlap) -> str:
    """Return how far two marks lie on each other, for example: ASPECTS and the segmentation: Dice 0.41."""
    one, other = (SYSTEM_NAMES[system] for system in overlap.systems)
    share = percent(overlap.share_of_smaller)
    return f"{sentence(one)} and {other}: Dice {number(overlap.dice, 2)}; {share} of the smaller lies in the larger."


def agreement_sentence(agreement: Agreement) -> str:
    """Return whether the systems agree, with the disagreements in words."""
    return " ".join(agreement.disagreements) or "They do not contradict each other."


def score_word(score: int | None) -> str:
    """Return a side's score; words where there is none."""
    return "not scored" if score is None else str(score)


def volume_rows(findings: Findings) -> tuple[VolumeRow, ...]:
    """Return every volume that was measured, in the order of the sections of the findings."""
    rows: list[VolumeRow] = []
    bleeding, infarct, old, late = (
        findings.hemorrhage,
        findings.infarct,
        findings.old_infarct,
        findings.followup_infarct,
    )
    if bleeding is not None:
        remark = "" if bleeding.suspected else "none suspected"
        rows.append(VolumeRow("Suspected bleeding", millilitres(bleeding.volume_ml), remark))
        rows.extend(VolumeRow(f"Bleeding, {t.type}", millilitres(t.volume_ml)) for t in bleeding.types)
    if infarct is not None:
        invalid = NOT_FOR_REPERFUSION if bleeding is not None and bleeding.suspected else ""
        what = "Darker than the other side" if infarct.method == ASYMMETRY else "Infarct"
        what = f"{what}, not old" if old is not None else f"{what}, age undetermined"
        rows.append(VolumeRow(what, millilitres(infarct.volume_ml), invalid))
    if old is not None:
        rows.append(VolumeRow("Old infarct", millilitres(old.volume_ml), "not counted as acute"))
    if late is not None:
        rows.extend(_followup_rows(late))
    return tuple(rows)


def _followup_rows(late: FollowupInfarct) -> list[VolumeRow]:
    rows = [
        VolumeRow("Follow-up infarct with blood", millilitres(late.volume_ml)),
        VolumeRow("Follow-up infarct without blood", millilitres(late.without_blood_ml)),
        *(
            VolumeRow(f"Follow-up infarct, {name}", millilitres(value), "by its own network; they may overlap")
            for name, value in (
                ("severe", late.severe_ml),
                ("intermediate", late.intermediate_ml),
                ("subtle", late.subtle_ml),
            )
            if value is not None
        ),
        VolumeRow(
            "Follow-up infarct, blood",
            millilitres(late.hemorrhage_ml),
            "in the brain, in the infarct or within 5 mm of it",
        ),
    ]
    if late.growth_ml is not None:
        rows.append(VolumeRow("Growth since the scan before", f"{signed(late.growth_ml)} ml"))
    if late.midline_shift_mm is not None:
        to_side = f"to the {late.midline_shift_side}; " if late.midline_shift_side else ""
        remark = f"{to_side}measured to within about {number(MIDLINE_ERROR_MM)}{NO_BREAK}mm"
        rows.append(VolumeRow("Midline shift", f"{number(late.midline_shift_mm)} mm", remark))
    return rows


def scan_facts(findings: Findings) -> list[tuple[str, str]]:
    """Return what is known of the scan, as name and value."""
    scan = findings.scan
    z, y, x = scan.shape_zyx
    sz, sy, sx = scan.spacing_mm_zyx
    positions = scan.slice_positions_mm
    gaps = [b - a for a, b in pairwise(positions)]
    spacing = f"{number(sz, 2)} mm"
    if gaps and max(gaps) - min(gaps) > EVEN_MM:
        spacing += f", uneven: {number(min(gaps), 2)} to {number(max(gaps), 2)} mm"
    facts = [
        ("Source", SOURCES[scan.source]),
        ("Series", scan.series_choice or MISSING),
        ("Slices", f"{z} of {y} × {x} pixels"),
        ("Slice spacing", spacing),
        ("Pixel spacing", f"{number(sy, 3)} × {number(sx, 3)} mm"),
        ("Slice thickness", MISSING if scan.slice_thickness_mm is None else f"{number(scan.slice_thickness_mm, 2)} mm"),
        ("Covered", f"{number(positions[-1] - positions[0], 0)} mm from first to last slice" if positions else MISSING),
        ("Gantry tilt", f"{number(scan.gantry_tilt_deg)}°"),
        ("Tube voltage", MISSING if scan.kvp is None else f"{number(scan.kvp, 0)} kVp"),
        ("Manufacturer", scan.manufacturer or MISSING),
    ]
    if scan.series_uid_hash is not None:
        facts.append(("Series hash", scan.series_uid_hash))
    return facts


def program_facts(findings: Findings) -> list[tuple[str, str]]:
    """Return what made the findings, as name and value; the weights are `weights_facts`."""
    made = findings.provenance
    methods = {
        "ASPECTS": findings.aspects,
        "infarct": findings.infarct,
        "localization": findings.localization,
        "follow-up": findings.followup_infarct,
    }
    ran = [f"{name}: {section.method}" for name, section in methods.items() if section is not None]
    if findings.aspects is not None:
        ran.append(f"ASPECTS regions: {findings.aspects.regions_method}")
    steps = ", ".join(f"{step} {number(seconds)} s" for step, seconds in findings.timings_s.items())
    facts = [
        (
            "Software",
            f"{findings.software.name} {findings.software.version}, findings schema {findings.schema_version}",
        ),
        ("Methods", "; ".join(ran) or "none"),
        ("Engine", f"{made.engine} {made.engine_version}, {made.precision}"),
        ("Device", f"{made.device}, {made.threads} thread{'s' if made.threads != 1 else ''}"),
        ("Seed", str(made.seed)),
        ("Time", steps or MISSING),
    ]
    if not made.weights:
        facts.append(("Weights", "none: no trained model took part"))
    return facts


def weights_facts(findings: Findings) -> list[tuple[str, str]]:
    """Return the weights that took part, as name and value."""
    return [(f"Weights, {w.system}", f"{w.name}{weights_note(w)}") for w in findings.provenance.weights]


def weights_note(weights: Weights) -> str:
    """Return what follows the name of weights: what they were calibrated on, and their hash."""
    return f", calibrated on {weights.calibrated_on}, SHA-256 {weights.sha256}"
