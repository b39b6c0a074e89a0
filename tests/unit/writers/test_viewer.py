import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from rich_case import marked_case, rich_case
from stored_analyses import Stored
from synthetic_head import GANGLIONIC, SUPRAGANGLIONIC, Case, CaseMaker, make_aspects

from infarct.anatomy import region_label
from infarct.findings import Override, RegionFinding
from infarct.volume import Scan, volume_ml
from infarct.writers import render_html, viewer
from infarct.writers.viewer import STEPS, grid_note, viewed, viewer_json

Make = Callable[[str], Stored]
ASSETS = Path(viewer.__file__).parent / "assets"


@pytest.fixture(scope="module")
def rich() -> Case:
    return rich_case()


@pytest.fixture(scope="module")
def data(rich: Case) -> dict[str, Any]:
    return page_data(rich)


def page_data(case: Case) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(viewer_json(viewed(*case), case[1]))
    return content


def unpacked(text: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return an embedded array (z, y, x) and its matrix from (x, y, z, 1) index to LPS mm."""
    image = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))
    return np.asarray(image.dataobj).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine


def box_of(scan: Scan, data: dict[str, Any]) -> tuple[slice, ...]:
    """Return the part of the scan that is embedded, where the voxels are the scan's own."""
    hu, matrix = unpacked(data["scan"])
    first = np.round(scan.geometry.world_to_index(matrix[:3, 3])).astype(int)
    return tuple(slice(start, start + size) for start, size in zip(first.tolist(), hu.shape, strict=True))


def test_the_scan_comes_back_in_whole_hu_at_its_place(rich: Case, data: dict[str, Any]) -> None:
    scan, _ = rich
    hu, matrix = unpacked(data["scan"])
    box = box_of(scan, data)
    assert hu.dtype == np.int16
    np.testing.assert_array_equal(hu, np.round(scan.hu[box]))
    for index in ((0, 0, 0), (7, 11, 13)):
        lps = matrix @ [*index[::-1], 1.0]
        np.testing.assert_allclose(lps[:3], scan.geometry.index_to_world(index + np.array([b.start for b in box])))


def test_the_grid_that_is_told_is_that_of_the_files(data: dict[str, Any]) -> None:
    hu, matrix = unpacked(data["scan"])
    grid = data["grid"]
    assert tuple(grid["shape_zyx"]) == hu.shape
    np.testing.assert_allclose(matrix[:3, 3], grid["origin_lps_mm"], atol=1e-3)
    np.testing.assert_allclose(matrix[:3, :3], np.array(grid["directions"]) * grid["spacing_mm_zyx"][::-1], atol=1e-4)


def test_every_mask_lies_on_the_voxels_of_the_scan(rich: Case, data: dict[str, Any]) -> None:
    scan, analysis = rich
    box = box_of(scan, data)
    regions, matrix = unpacked(data["regions"])
    np.testing.assert_array_equal(regions, analysis.maps.aspects_regions[box])
    np.testing.assert_array_equal(matrix, unpacked(data["scan"])[1])
    embedded = {layer["name"]: unpacked(layer["data"])[0] for layer in data["layers"]}
    assert set(embedded) == {
        "patch_probability", "aspects_attention", "old_infarct", "infarct", "followup_infarct", "hemorrhage",
    }  # fmt: skip
    for name in ("old_infarct", "infarct", "followup_infarct", "hemorrhage"):
        np.testing.assert_array_equal(embedded[name], getattr(analysis.maps, name)[box].astype(np.uint8), name)
    for name in ("patch_probability", "aspects_attention"):
        assert np.abs(embedded[name] / STEPS - getattr(analysis.maps, name)[box]).max() <= 0.51 / STEPS


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mark_on_one_side_of_the_patient_stays_there(side: str) -> None:
    hu, matrix = unpacked(page_data(marked_case(side))["scan"])
    bright = np.argwhere((hu > 190) & (hu < 210))
    centre = matrix @ [*bright.mean(axis=0)[::-1], 1.0]
    assert np.sign(centre[0]) == (1 if side == "left" else -1)  # LPS
    assert abs(centre[0]) == pytest.approx(37, abs=1)
    assert (bright.mean(axis=0)[2] > hu.shape[2] / 2) == (side == "left")
    assert set(bright[:, 0].tolist()) == {GANGLIONIC - 1, GANGLIONIC, GANGLIONIC + 1}


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mirror_takes_a_mark_to_the_other_side(side: str) -> None:
    data = page_data(marked_case(side))
    hu, matrix = unpacked(data["scan"])
    index = np.argwhere((hu > 190) & (hu < 210)).mean(axis=0)[::-1]
    opposite = np.array(data["grid"]["mirror"]) @ [*index, 1.0]
    here, there = matrix @ [*index, 1.0], matrix @ [*opposite, 1.0]
    assert here[0] == pytest.approx(-there[0], abs=0.2)
    np.testing.assert_allclose(here[1:3], there[1:3], atol=1e-3)


def test_without_a_plane_there_is_no_mirror(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    assert page_data((scan, analysis))["grid"]["mirror"] is None
    assert "data-mirror" not in render_html(scan, analysis).split("viewer-data")[0]


@pytest.mark.parametrize("kind", ["tilted", "uneven", "tilted_uneven"])
def test_leaning_scans_lie_on_the_grid_of_the_nifti_files(series_of: Make, kind: str) -> None:
    stored = series_of(kind)
    shown = viewed(stored.scan, stored.analysis)
    assert shown.geometry.is_even
    assert shown.geometry.is_upright
    data = json.loads(viewer_json(shown, stored.analysis))
    hu, matrix = unpacked(data["scan"])
    assert data["grid"]["exact"] is False
    assert "tilted or uneven" in grid_note(shown)
    numbers = data["grid"]["slice_numbers"]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (1, len(stored.scan.hu))
    cube = np.argwhere((stored.scan.hu > 150) & (stored.scan.hu < 400))
    world = stored.scan.geometry.index_to_world(cube).mean(axis=0)
    x, y, z = np.round(np.linalg.inv(matrix) @ [*world, 1.0])[:3].astype(int)
    assert hu[z, y, x] > 150
    assert numbers[z] == round(cube[:, 0].mean()) + 1
    infarct = next(layer for layer in data["layers"] if layer["name"] == "infarct")
    mask = unpacked(infarct["data"])[0] > 0
    own = stored.analysis.maps.infarct
    assert own is not None
    centres = [
        geometry.index_to_world(np.argwhere(voxels)).mean(axis=0)
        for geometry, voxels in ((shown.geometry, mask), (stored.scan.geometry, own))
    ]
    np.testing.assert_allclose(*centres, atol=2.5)


def test_slices_have_the_numbers_of_the_scan_from_below_upwards(rich: Case, data: dict[str, Any]) -> None:
    assert data["grid"]["slice_numbers"] == list(range(1, 25))
    assert data["grid"]["slices"] == 24
    assert data["grid"]["exact"] is True
    assert grid_note(viewed(*rich)) == ""


def test_what_does_not_fit_is_coarser_in_plane_first_and_says_so(rich: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, analysis = rich
    monkeypatch.setattr(viewer, "PIXELS_MM", (0.0, 1.5, 2.0))
    monkeypatch.setattr(viewer, "SLICES_MM", (0.0, 9.0))
    fine = sum(len(text) for text in viewed(scan, analysis).embedded.values())
    monkeypatch.setattr(viewer, "MOST_BYTES", fine // 2)
    shown = viewed(scan, analysis)
    assert sum(len(text) for text in shown.embedded.values()) <= fine // 2
    assert shown.coarser
    assert shown.geometry.spacing_mm_zyx[0] == pytest.approx(6.0)
    assert shown.geometry.pixel_spacing_mm_yx in ((1.5, 1.5), (2.0, 2.0))
    side = "2.00" if shown.geometry.pixel_spacing_mm_yx[0] == 2 else "1.50"
    assert f"6.00 × {side} × {side} mm" in grid_note(shown)
    infarct = next(layer for layer in shown.layers if layer.name == "infarct").values > 0
    assert volume_ml(infarct, shown.geometry) == pytest.approx(volume_ml(analysis.maps.infarct, scan.geometry), rel=0.1)
    monkeypatch.setattr(viewer, "MOST_BYTES", 5_000)
    with pytest.raises(ValueError, match="does not fit"):
        viewed(scan, analysis)


def test_very_many_voxels_are_thinned_along_the_slices_last(rich: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "PIXELS_MM", (0.0, 1.5))
    monkeypatch.setattr(viewer, "SLICES_MM", (0.0, 12.0))
    monkeypatch.setattr(viewer, "MOST_VOXELS", 260_000)
    shown = viewed(*rich)
    assert shown.geometry.spacing_mm_zyx == pytest.approx((12.0, 1.5, 1.5))
    assert len(shown.slice_numbers) == len(shown.hu) == 13
    assert json.loads(viewer_json(shown, rich[1]))["grid"]["exact"] is False


def test_the_limits_are_those_that_are_promised() -> None:
    assert viewer.MOST_BYTES == 15_000_000
    assert viewer.PIXELS_MM[0] == viewer.SLICES_MM[0] == 0


def test_regions_carry_the_numbers_of_the_findings(rich: Case, data: dict[str, Any]) -> None:
    aspects = rich[1].findings.aspects
    assert aspects is not None
    for shown, finding in zip(data["aspects"]["regions"], aspects.regions, strict=True):
        for name in ("region", "side", "affected", "evaluable", "volume_ml", "mean_hu", "contralateral_mean_hu"):
            assert shown[name] == getattr(finding, name)
        assert shown["label"] == region_label(finding.region, finding.side)
        assert shown["title"].startswith(f"{finding.side.capitalize()} {finding.region}, ")
    for name in ("score", "score_min", "score_max", "side", "side_rule", "left_score", "right_score"):
        assert data["aspects"][name] == getattr(aspects, name)


def test_evidence_is_in_the_words_of_the_table(data: dict[str, Any]) -> None:
    (left_m2,) = (one for one in data["aspects"]["regions"] if (one["region"], one["side"]) == ("M2", "left"))
    assert dict(left_m2["evidence"]) == {
        "Mean density": "28.1 HU",
        "Opposite side": "34.2 HU",
        "Difference": "−6.1 HU",
        "Noise": "±\N{NO-BREAK SPACE}0.37 HU",
        "Net water uptake": "17.6 %",
        "Probability": "97\N{NO-BREAK SPACE}%",
        "Volume": "9.0\N{NO-BREAK SPACE}ml",
    }
    assert left_m2["finding"] == "affected"


def test_evidence_says_from_which_probability_a_region_counts_as_affected(rich: Case) -> None:
    """Each group of regions has its own: 24 % may be affected in one and not in the other."""
    scan, analysis = rich
    aspects = analysis.findings.aspects
    assert aspects is not None
    groups = [{"regions": ["M2", "M3"], "threshold": 0.14}, {"regions": ["C"], "threshold": 0.22}]
    made = analysis.findings.provenance.model_copy(update={"config": {"aspects": {"groups": groups}}})
    trained = aspects.model_copy(update={"method": "da_net"})
    findings = analysis.findings.model_copy(update={"provenance": made, "aspects": trained})
    regions = page_data((scan, replace(analysis, findings=findings)))["aspects"]["regions"]
    told = {(one["side"], one["region"]): dict(one["evidence"]).get("Affected from") for one in regions}
    assert told["left", "M2"] == told["right", "M3"] == "14\N{NO-BREAK SPACE}%"
    assert told["right", "C"] == "22\N{NO-BREAK SPACE}%"
    assert told["right", "I"] is None


def test_places_are_where_their_names_say(data: dict[str, Any]) -> None:
    places = {place["title"].split(":")[0]: place["index_zyx"] for place in data["places"]}
    assert places["Ganglionic level"][0] == GANGLIONIC
    assert places["Supraganglionic level"][0] == SUPRAGANGLIONIC
    infarct = unpacked(next(one for one in data["layers"] if one["name"] == "infarct")["data"])[0]
    old = unpacked(next(one for one in data["layers"] if one["name"] == "old_infarct")["data"])[0]
    assert infarct[tuple(places["Lesion 1"])] == 1
    assert infarct[tuple(places["Lesion 2"])] == 1
    assert old[tuple(places["Old infarct 1"])] == 1
    assert places["Lesion 1"][2] > infarct.shape[2] / 2 > places["Lesion 2"][2]  # left, then right
    assert [place["title"] for place in data["places"] if "Tiles" in place["title"]] == [
        "Tiles: slice 13",
        "Tiles: slice 11",
    ]
    regions = unpacked(data["regions"])[0]
    for region in data["aspects"]["regions"]:
        assert regions[tuple(region["index_zyx"])] == region["label"]
        assert region["index_zyx"][0] == (SUPRAGANGLIONIC if region["region"] in ("M4", "M5", "M6") else GANGLIONIC)


def test_colours_of_labels_are_clear_at_zero_and_end_at_the_last_label(data: dict[str, Any]) -> None:
    colours = {layer["name"]: layer["colours"] for layer in data["layers"]}
    assert [len(colours[name]) for name in ("infarct", "hemorrhage", "followup_infarct")] == [2, 2, 5]
    assert all(points[0][0] == 0 and points[0][4] == 0 for points in colours.values())
    assert colours["infarct"][1][:4] == [1, 0xFF, 0x7A, 0x2E]
    assert colours["patch_probability"][-1][0] == STEPS


def test_what_an_analysis_lacks_has_no_button(case: CaseMaker) -> None:
    normal = page_data(case("normal"))
    assert normal["layers"] == []
    nothing = page_data(case("nothing_run"))
    assert nothing["aspects"] is nothing["regions"] is None
    assert nothing["places"] == []
    page = render_html(*case("nothing_run")).split("viewer-data")[0]
    assert "data-outlines" not in page
    assert "data-layer" not in page
    assert "viewer-name" not in page


def test_a_region_that_cannot_be_judged_says_so(case: CaseMaker) -> None:
    aspects = page_data(case("unscored"))["aspects"]
    (left_m4,) = (one for one in aspects["regions"] if (one["region"], one["side"]) == ("M4", "left"))
    assert left_m4["finding"] == "not evaluable"
    assert left_m4["affected"] is None
    assert aspects["score"] is None
    assert (aspects["score_min"], aspects["score_max"]) == (4, 6)


def test_the_same_analysis_gives_the_same_text(rich: Case) -> None:
    assert viewer_json(viewed(*rich), rich[1]) == viewer_json(viewed(*rich), rich[1])
    assert gzip.decompress(base64.b64decode(viewed(*rich).embedded["scan"]))  # a compressed file ...
    assert base64.b64decode(viewed(*rich).embedded["scan"])[4:8] == bytes(4)  # ... without the time of its making


def test_nothing_names_the_patient(series_of: Make) -> None:
    stored = series_of("upright")
    text = viewer_json(viewed(stored.scan, stored.analysis), stored.analysis)
    files = [gzip.decompress(base64.b64decode(one)) for one in viewed(stored.scan, stored.analysis).embedded.values()]
    assert stored.scan.source.series_uid
    for word in ("CANARY", "Canary", "Müller", "19500102", "1.2.9", stored.scan.source.series_uid):
        assert word not in text
        assert all(word.encode() not in file for file in files)


def test_text_cannot_end_the_element_that_it_stands_in(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    hostile = "</script><script>alert(1)</script><!--"
    change = Override(region="C", side="left", affected=True, reader=hostile, at=hostile)
    findings = analysis.findings.model_copy(
        update={
            "aspects": make_aspects(overrides=(change,)),
            "software": analysis.findings.software.model_copy(update={"name": hostile}),
        }
    )
    text = viewer_json(viewed(scan, analysis), replace(analysis, findings=findings))
    assert "<" not in text
    assert json.loads(text)["software"]["name"] == hostile
    assert json.loads(text)["aspects"]["overrides"][0]["reader"] == hostile


def test_a_finding_for_a_region_outside_the_scan_has_no_place(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    labels = np.array(analysis.maps.aspects_regions)
    labels[labels == region_label("M6", "left")] = 0
    changed = replace(analysis, maps=replace(analysis.maps, aspects_regions=labels))
    regions: list[dict[str, Any]] = page_data((scan, changed))["aspects"]["regions"]
    assert [(one["region"], one["side"]) for one in regions if one["index_zyx"] is None] == [("M6", "left")]


def test_the_bundle_is_the_one_that_was_built_and_needs_nothing_else() -> None:
    bundle = (ASSETS / "niivue.min.js").read_bytes()
    recorded, name = (ASSETS / "niivue.min.js.sha256").read_text().split()
    assert name == "niivue.min.js"
    assert hashlib.sha256(bundle).hexdigest() == recorded
    text = bundle.decode("ascii")
    assert len(text) < 3_000_000
    assert re.search(r"</script|<!--|\r|https?://|\beval\(|new Function|new Worker|WebAssembly|import\(", text) is None
    licences = (ASSETS / "niivue.LICENSE.txt").read_text(encoding="utf-8")
    for holder in ("Niivue", "RII-UTHSCSA", "Arjun Barrett", "Brandon Jones", "Luke Edwards", "Jonathan Ong"):
        assert holder in licences


def test_the_packages_of_the_bundle_are_pinned() -> None:
    tools = Path(__file__).parents[3] / "tools" / "viewer"
    wanted = json.loads((tools / "package.json").read_text())
    locked = json.loads((tools / "package-lock.json").read_text())["packages"]
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in one for path, one in locked.items() if path)
    assert not any("resolved" in one for one in locked.values())
    assert f"NiiVue {wanted['dependencies']['@niivue/niivue']}," in (ASSETS / "niivue.min.js").read_text()[:200]


def test_findings_hold_all_that_the_score_is_counted_from() -> None:
    """The page counts the score from these alone; a field that the rules of the score read must be handed over."""
    read = {"region", "side", "affected", "evaluable", "volume_ml", "mean_hu", "contralateral_mean_hu"}
    assert read <= set(RegionFinding.model_fields)
    assert read == set(viewer._COUNTED)
