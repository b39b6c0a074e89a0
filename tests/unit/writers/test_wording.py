from typing import Any, get_args

import pytest
from synthetic_head import FLAGS, CaseMaker, make_aspects, make_findings

from infarct.anatomy import REGIONS, Region, Side
from infarct.findings import (
    Agreement,
    EarlierScan,
    FollowupInfarct,
    Heidelberg,
    Hemorrhage,
    HyperdenseArtery,
    Infarct,
    OldInfarct,
    Overlap,
    Override,
    Quality,
    Weights,
)
from infarct.types import Flag
from infarct.writers import wording


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(None, 1, "–"), (3.14, 1, "3.1"), (-2.05, 1, "−2.0"), (-0.04, 1, "0.0"), (12.6, 0, "13"), (-1e-9, 2, "0.00")],
)
def test_number(value: float | None, decimals: int, text: str) -> None:
    assert wording.number(value, decimals) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (2.0, "+2.0"), (-2.0, "−2.0"), (0.01, "0.0"), (-0.01, "0.0")])
def test_signed(value: float | None, text: str) -> None:
    assert wording.signed(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0, "0.0 ml"), (0.01, "< 0.1 ml"), (12.34, "12.3 ml")])
def test_millilitres(value: float | None, text: str) -> None:
    assert wording.millilitres(value) == text.replace(" ", wording.NO_BREAK)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.004, "< 1 %"), (0.999, "> 99 %"), (0.501, "50 %"), (0.99, "99 %")],
)
def test_percent(value: float | None, text: str) -> None:
    assert wording.percent(value) == text.replace(" ", wording.NO_BREAK)


@pytest.mark.parametrize(
    ("severities", "level"),
    [
        ((), "ok"),
        (("info",), "info"),
        (("info", "warning"), "warning"),
        (("warning", "critical", "info"), "critical"),
    ],
)
def test_the_banner_follows_the_gravest_flag(severities: tuple[str, ...], level: str) -> None:
    flags = tuple(Flag("code", severity, "Message.") for severity in severities)  # type: ignore[arg-type]
    findings = make_findings(quality=Quality(verdict="flagged" if flags else "ok", flags=flags))
    assert wording.banner(findings).level == level


def test_the_banner_counts_flags_in_words() -> None:
    findings = make_findings(quality=Quality(verdict="flagged", flags=FLAGS))
    assert wording.banner(findings).text == "Quality: 1 critical flag, 2 warnings and 1 note, listed here."


def test_a_flagged_verdict_without_flags_is_never_called_good() -> None:
    assert wording.banner(make_findings(quality=Quality(verdict="flagged", flags=()))).level == "warning"


def test_suspected_bleeding_outweighs_clean_flags(case: CaseMaker) -> None:
    banner = wording.banner(case("bleeding")[1].findings)
    assert (banner.level, banner.title) == ("critical", "Bleeding suspected")
    assert "not valid for reperfusion" in banner.text


def test_flags_stand_in_order_of_severity_and_keep_their_own_order() -> None:
    findings = make_findings(quality=Quality(verdict="flagged", flags=FLAGS))
    codes = [flag.code for flag in wording.flags_by_severity(findings)]
    assert codes == ["registration_poor", "gantry_tilt", "uneven_spacing", "late_note"]


def test_region_rows_hold_right_and_left_in_order() -> None:
    rows = wording.region_rows(make_aspects())
    assert [row.region for row in rows] == list(REGIONS)
    insula = rows[1]
    assert insula.right is not None
    assert insula.left is not None
    assert (insula.right.finding, insula.left.finding) == ("not affected", "affected")
    assert (insula.left.mean_hu, insula.left.opposite_hu, insula.left.probability) == (
        "28.1",
        "34.2",
        f"97{wording.NO_BREAK}%",
    )


def test_a_difference_is_that_of_the_printed_numbers() -> None:
    row = wording.region_rows(make_aspects())[1]  # 28.14 and 34.16: 6.02, printed as 28.1 and 34.2
    assert row.left is not None
    assert row.left.difference_hu == "−6.1"


def test_the_noise_of_a_difference_has_two_places_and_is_not_0_where_it_is_unknown() -> None:
    plain = make_aspects().regions
    known, unknown = (
        tuple(one.model_copy(update={"difference_error_hu": error}) for one in plain) for error in (0.043, None)
    )
    told = [wording.region_rows(make_aspects(regions=regions))[1].left for regions in (known, unknown)]
    assert [one.noise_hu for one in told if one] == [f"±{wording.NO_BREAK}0.04", wording.MISSING]


def test_a_side_that_was_not_looked_at_is_told_apart() -> None:
    regions = tuple(r for r in make_aspects().regions if r.side == "left")
    assert wording.region_rows(make_aspects(regions=regions))[0].right is None


def test_affected_regions_are_listed_by_side() -> None:
    assert wording.regions_with(make_aspects(), "affected") == "left I, L, M2 and M5"
    assert wording.regions_with(make_aspects(), "affected", sides=("right",)) == ""


def test_the_reason_for_no_score_names_the_regions(case: CaseMaker) -> None:
    aspects = case("unscored")[1].findings.aspects
    assert aspects is not None
    assert wording.aspects_reason(aspects) == "Cannot be judged: left M4 and M6."
    ranged = aspects.model_copy(update={"score": 6})
    assert wording.aspects_reason(ranged).startswith("Possible range 4 to 6 because")
    assert wording.aspects_reason(make_aspects()) == ""


@pytest.mark.parametrize(
    ("side", "rule", "words"),
    [
        ("left", "symptomatic", "Scored side: left (the symptomatic side, as given)."),
        ("right", "min", "Scored side: right (the lower of the two sides)."),
        ("none", "evidence", "No side stands out"),
        ("both", "evidence", "Both sides are affected"),
    ],
)
def test_the_scored_side_and_its_rule(side: str, rule: str, words: str) -> None:
    assert wording.side_sentence(make_aspects(side=side, side_rule=rule)).startswith(words)


def word(region: Region, side: Side, affected: bool, reader: str = "A. Reader") -> Override:
    return Override(region=region, side=side, affected=affected, reader=reader, at="2026-03-01T12:30:00Z")


def test_regions_that_a_reader_set_count_in_the_lists_and_keep_the_system_s_answer(case: CaseMaker) -> None:
    changed = make_aspects(overrides=(word("M2", "left", False), word("C", "right", True)))
    assert wording.regions_with(changed, "affected") == "right C; left I, L and M5"
    cells = {row.region: row for row in wording.region_rows(changed)}
    assert cells["M2"].left is not None
    assert (cells["M2"].left.finding, cells["M2"].left.reader) == ("affected", "not affected")
    assert cells["M2"].right is not None
    assert cells["M2"].right.reader is None
    blind = case("unscored")[1].findings.aspects
    assert blind is not None
    seen = blind.model_copy(update={"overrides": (word("M4", "left", False),)})
    assert wording.aspects_reason(seen) == "Cannot be judged: left M6."


def test_corrections_are_told_with_both_values_reader_and_time() -> None:
    changes = (word("M2", "left", False), word("M2", "left", True, "Another"))
    aspects = make_aspects(overrides=changes)
    assert wording.reader_lines(aspects) == (
        "Left M2: not affected; the system found: affected. A. Reader, 2026-03-01 12:30:00 UTC",
        "Left M2: affected; the system found: affected. Another, 2026-03-01 12:30:00 UTC",
    )
    assert wording.reader_sentence(aspects) == "1 region set by A. Reader and Another, see Regions."
    assert wording.reader_sentence(make_aspects()) == ""


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (None, ""),
        ((5, 7), "By the probabilities of the regions: 5 to 7 (95 %)."),
        ((6, 6), "By the probabilities of the regions: 6 (95 %)."),
        (
            (7, 10),
            "By the probabilities of the regions: 7 to 10 (95 %). "
            "The score lies outside because a region need not be at 50 % to be affected, see Regions.",
        ),
    ],
)
def test_the_interval(interval: tuple[int, int] | None, text: str) -> None:
    told = wording.interval_sentence(make_aspects(score_interval=interval))
    assert told == text.replace(" %", f"{wording.NO_BREAK}%")


@pytest.mark.parametrize(
    ("suspected", "text"),
    [
        (True, "Hyperdense left middle cerebral artery suspected: 58 HU against 42 HU."),
        (False, "No hyperdense middle cerebral artery found: left 58 HU, other side 42 HU."),
    ],
)
def test_the_artery(suspected: bool, text: str) -> None:
    found = HyperdenseArtery(suspected=suspected, side="left", mean_hu=58.4, contralateral_mean_hu=41.6, ratio=1.4)
    assert wording.artery_sentence(found) == text.replace(" HU", f"{wording.NO_BREAK}HU")


def test_probabilities_say_what_they_rest_on() -> None:
    weights = (Weights(system="aspects", name="a", sha256="00", calibrated_on="phantoms"),)
    provenance = make_findings().provenance.model_copy(update={"weights": weights})
    learned = make_findings(provenance=provenance)
    assert wording.probability_note(learned, "aspects") == "Probabilities are calibrated on phantoms."
    assert "not calibrated on patients" in wording.probability_note(learned, "asymmetry")
    assert wording.probability_note(make_findings(), "aspects") == ""
    assert "not a trained model" in wording.method_sentence("asymmetry")
    assert "random forest" in wording.method_sentence("radiomics")


def test_a_trained_method_says_from_where_on_a_region_is_affected() -> None:
    groups = [
        {"name": "cortical", "regions": ("M1", "M2"), "threshold": 0.12},
        {"name": "deep", "regions": ["C"], "threshold": 0.3},
    ]
    plain = make_findings().provenance

    def told(method: str, groups: list[dict[str, object]]) -> str:
        made = plain.model_copy(update={"config": {"aspects": {"groups": groups}, "radiomics": {"groups": groups}}})
        return wording.threshold_note(make_findings(provenance=made), method).replace(wording.NO_BREAK, " ")

    two = "A region counts as affected from these probabilities on: 12 % (M1, M2) and 30 % (C)."
    assert told("da_net", groups) == told("radiomics", groups) == two
    assert told("da_net", groups[:1]) == "A region counts as affected from 12 % on."
    assert told("asymmetry", groups) == ""
    assert wording.threshold_note(make_findings(), "da_net") == ""


def test_the_report_says_what_drew_the_regions() -> None:
    aspects = make_aspects()
    drawn = aspects.model_copy(update={"regions_method": "vbnet"})
    assert "atlas" in wording.regions_sentence(aspects)
    assert "VB-Net" in wording.regions_sentence(drawn)
    facts = dict(wording.program_facts(make_findings(aspects=drawn)))
    assert facts["Methods"].endswith("ASPECTS regions: vbnet")


def test_every_set_of_weights_is_told_with_its_basis_and_hash() -> None:
    weights = tuple(
        Weights(system=system, name=f"{system}-1", sha256=digest, calibrated_on="phantoms")
        for system, digest in (("aspects", "00"), ("segment", "11"))
    )
    made = make_findings(provenance=make_findings().provenance.model_copy(update={"weights": weights}))
    assert wording.weights_facts(made) == [
        ("Weights, aspects", "aspects-1, calibrated on phantoms, SHA-256 00"),
        ("Weights, segment", "segment-1, calibrated on phantoms, SHA-256 11"),
    ]
    assert "Weights" not in dict(wording.program_facts(made))
    assert dict(wording.program_facts(make_findings()))["Weights"] == "none: no trained model took part"


def test_weights_that_do_not_know_old_infarcts_are_said_not_to() -> None:
    infarct = Infarct(method="se_res_unet", volume_ml=9.0, side="left", lesions=())
    unknown = make_findings(infarct=infarct)
    known = make_findings(infarct=infarct, old_infarct=OldInfarct(volume_ml=0.0, lesions=()))
    assert "do not tell old infarcts from acute ones" in wording.methods_note(unknown)
    assert "acute and old infarcts" in wording.methods_note(known)
    assert [row.what for row in wording.volume_rows(unknown)] == ["Infarct, age undetermined"]
    assert [row.what for row in wording.volume_rows(known)] == ["Infarct, not old", "Old infarct"]


def test_volumes_of_every_section_are_listed() -> None:
    late = FollowupInfarct(
        method="volumetry", volume_ml=50, without_blood_ml=45, severe_ml=30, intermediate_ml=10, subtle_ml=5,
        hemorrhage_ml=5, growth_ml=7.5, midline_shift_mm=2.5,
    )  # fmt: skip
    rows = wording.volume_rows(make_findings(followup_infarct=late))
    told = {row.what: row.volume.replace(wording.NO_BREAK, " ") for row in rows}
    assert told["Follow-up infarct without blood"] == "45.0 ml"
    assert told["Growth since the scan before"] == "+7.5 ml"
    assert told["Midline shift"] == "2.5 mm"
    assert wording.volume_rows(make_findings()) == ()


def late(**changes: Any) -> FollowupInfarct:
    fields: dict[str, Any] = {
        "method": "patch_cnn_dense",
        "volume_ml": 50.0,
        "without_blood_ml": 45.0,
        "severe_ml": 30.0,
        "intermediate_ml": 10.0,
        "subtle_ml": 5.0,
        "hemorrhage_ml": 5.0,
        "growth_ml": None,
        "midline_shift_mm": 6.04,
        "midline_shift_side": "right",
        "side": "left",
        "mean_hu": 24.4,
    }
    return FollowupInfarct(**{**fields, **changes})


def plain(text: str) -> str:
    return text.replace(wording.NO_BREAK, " ")


def test_the_followup_infarct_in_words() -> None:
    told = wording.followup_sentence(late())
    assert plain(told) == "Infarct of 50.0 ml on the left, mean density 24 HU (intermediate)."
    nothing = late(volume_ml=0, mean_hu=None, side="none")
    assert wording.followup_sentence(nothing) == "No follow-up infarct is marked."


def test_the_midline_in_words() -> None:
    assert "shifted by 6.0 mm to the right" in plain(wording.midline_sentence(late()))
    assert "within about 2.5 mm" in plain(wording.midline_sentence(late()))
    assert wording.midline_sentence(late(midline_shift_mm=2.4)).startswith("No shift of the midline beyond the error")
    assert "not measured reliably" in wording.midline_sentence(late(midline_shift_mm=None, midline_shift_side=None))
    changed = wording.midline_sentence(late(midline_shift_change_mm=-1.25))
    assert plain(changed).endswith("Change since the earlier scan: −1.2 mm to the right.")


def test_growth_in_words() -> None:
    before = EarlierScan(
        section="infarct", method="asymmetry", volume_ml=30.0, onset_h=24.0, midline_shift_mm=None,
        midline_shift_side=None, critical=False,
    )  # fmt: skip
    grown = plain(wording.growth_sentence(late(growth_ml=20.0, earlier=before)))
    assert grown == "+20.0 ml since the earlier scan (acute infarct 30.0 ml, 24 h from onset)."
    unknown = before.model_copy(update={"section": None, "volume_ml": None})
    assert "no volume to compare with" in wording.growth_sentence(late(earlier=unknown))
    assert wording.growth_sentence(late()) == ""


def test_classes_of_blood_in_words() -> None:
    told = wording.heidelberg_sentence(late(heidelberg=("1c", "3b")))
    assert "class 1c (PH1, hematoma in less than 30 % of the infarct) and class 3b (blood in the ventricles)" in told
    assert told.endswith("a reader has to confirm it.")
    assert wording.heidelberg_sentence(late()) == ""
    assert set(wording.HEIDELBERG_WORDS) == set(get_args(Heidelberg))


def test_a_single_network_has_no_rows_of_degrees() -> None:
    alone = make_findings(followup_infarct=late(severe_ml=None, intermediate_ml=None, subtle_ml=None))
    names = [row.what for row in wording.volume_rows(alone)]
    assert not any(degree in name for degree in ("severe", "intermediate", "subtle") for name in names)
    assert "Follow-up infarct, severe" in [
        row.what for row in wording.volume_rows(make_findings(followup_infarct=late()))
    ]
    assert "One is for severe" not in wording.followup_method(alone)
    assert "One is for severe" in wording.followup_method(make_findings(followup_infarct=late()))


def test_no_volume_of_bleeding_is_said_to_be_none_suspected(case: CaseMaker) -> None:
    remarks = {
        name: {row.what: row.remark for row in wording.volume_rows(case(name)[1].findings)}["Suspected bleeding"]
        for name in ("bleeding", "lesion")
    }
    assert remarks == {"bleeding": "", "lesion": "none suspected"}


def test_old_infarcts_are_told_by_what_marked_them() -> None:
    infarct = Infarct(method="asymmetry", volume_ml=9.0, side="left", lesions=())
    assert wording.old_note(make_findings(infarct=infarct)) == "As dark as CSF; not counted as acute."
    by_network = make_findings(infarct=infarct.model_copy(update={"method": "se_res_unet"}))
    assert wording.old_note(by_network) == "Old by the network that marked them; not counted as acute."


def test_what_looked_for_blood_is_told() -> None:
    rule = Hemorrhage(suspected=False, volume_ml=0.0, probability=None, types=())
    network = rule.model_copy(update={"method": "patch_cnn_dense", "probability": 0.02})
    assert "By density and place alone" in wording.bleeding_method(make_findings(hemorrhage=rule))
    assert "patch CNN" in wording.bleeding_method(make_findings(hemorrhage=network))


def test_flags_lead_to_sections_that_are_there(case: CaseMaker) -> None:
    flag = Flag("hemorrhage_suspected", "critical", "Blood.")
    assert wording.flag_section(flag, case("bleeding")[1].findings) == "bleeding"
    assert wording.flag_section(flag, make_findings()) == ""
    assert wording.flag_section(Flag("noise_high", "warning", "Noise."), case("bleeding")[1].findings) == ""


def test_scan_facts_tell_uneven_spacing() -> None:
    findings = make_findings()
    assert dict(wording.scan_facts(findings))["Slice spacing"] == "6.00 mm"
    scan = findings.scan.model_copy(update={"slice_positions_mm": (0.0, 4.0, 11.0)})
    uneven = dict(wording.scan_facts(findings.model_copy(update={"scan": scan})))
    assert uneven["Slice spacing"] == "6.00 mm, uneven: 4.00 to 7.00 mm"
    assert uneven["Covered"] == "11 mm from first to last slice"


def test_what_did_not_run_is_named(case: CaseMaker) -> None:
    assert wording.not_run(case("lesion")[1].findings) == ""
    assert wording.not_run(make_findings()) == "Not run on this scan: bleeding detection, ASPECTS and infarct search."


def test_agreement_is_told_system_by_system() -> None:
    agreement = Agreement(
        sides={"aspects": "left", "segment": "left"},
        territories={"segment": ("MCA", "PCA")},
        volumes_ml={"segment": 12.0},
        overlaps=(Overlap(systems=("aspects", "segment"), dice=0.406, share_of_smaller=0.75),),
        disagreements=(),
    )
    first, second = wording.agreement_rows(agreement)
    assert (first.system, first.side, first.territories, first.volume) == ("ASPECTS", "left", "–", "–")
    assert (second.system, second.territories) == ("The segmentation", "MCA, PCA")
    assert second.volume.replace(wording.NO_BREAK, " ") == "12.0 ml"
    told = wording.overlap_sentence(agreement.overlaps[0]).replace(wording.NO_BREAK, " ")
    assert told == "ASPECTS and the segmentation: Dice 0.41; 75 % of the smaller lies in the larger."
    assert wording.agreement_sentence(agreement) == "They do not contradict each other."
    against = agreement.model_copy(update={"disagreements": ("One.", "Two.")})
    assert wording.agreement_sentence(against) == "One. Two."
