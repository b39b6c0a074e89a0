"""What the viewer of the report shows: the scan, its masks and its maps on one grid, and the findings beside them."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from infarct.anatomy import REGION_NAMES, Region, Side, region_label
from infarct.findings import LEAST_EVIDENCE_HU, Analysis, Aspects, Findings, Lesion, Maps
from infarct.prose import sentence
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, resample, resample_labels, resample_mask
from infarct.writers import wording
from infarct.writers.file_grid import AIR_HU, FileGrid
from infarct.writers.followup_slices import FOLLOWUP_STYLES
from infarct.writers.key_slices import (
    HEMORRHAGE_STYLE,
    LESION_STYLE,
    OLD_LESION_STYLE,
    REGION_STYLES,
    finding_of,
    lesion_numbers,
)
from infarct.writers.nifti import nifti_bytes
from infarct.writers.nifti_maps import on_grid
from infarct.writers.panels import (
    ATTENTION_SCALE,
    BRAIN_WINDOW,
    PROBABILITY_SCALE,
    STROKE_WINDOW,
    ColourScale,
    head_field,
)

MOST_BYTES: Final = 15_000_000
"""All embedded arrays together are no longer than this, as text in the page."""
MOST_VOXELS: Final = 12_000_000
"""More than this would not fit, however well they pack, and makes a graphics card slow."""
PIXELS_MM: Final = (0.0, 0.6, 0.8, 1.0)
SLICES_MM: Final = (0.0, 1.5, 2.5, 4.0, 8.0)
"""Finest spacings that are tried in turn, first in plane, until a scan fits."""
STEPS: Final = 250
"""A map from 0 to 1 is embedded in whole steps of 1 / 250."""
MASK_OPACITY: Final = 0.45
SCALE_POINTS: Final = 26
"""Points of a colour scale that are handed over; colours in between are interpolated."""
KEY_SHARE: Final = 0.5
"""A region is shown on the slice that readers score on if it is at least this large there, against its best slice."""


ColourPoint: TypeAlias = tuple[int, int, int, int, int]
"""A value of a layer, its red, green and blue, and its opacity, each 0 to 255."""
Index: TypeAlias = tuple[int, int, int]
"""A voxel, as z, y, x."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A mask, label map or map in steps (uint8, (z, y, x)) that can be laid over the scan.

    ``colours`` go from value 0 to the largest.
    """

    name: str
    title: str
    values: LabelArray
    colours: tuple[ColourPoint, ...]
    is_mask: bool

    @property
    def swatch(self) -> str:
        """The colour that stands for the layer."""
        _, r, g, b, _ = self.colours[1] if self.is_mask else self.colours[-1]
        return f"#{r:02x}{g:02x}{b:02x}"


@dataclass(frozen=True, eq=False)
class Place:
    """A voxel of the viewer's grid worth looking at, with its name."""

    title: str
    index_zyx: Index


@dataclass(frozen=True, eq=False)
class Viewed:
    """All that the viewer shows, on ``geometry``, which is even and upright.

    ``hu`` is int16, ``regions`` hold the labels of `infarct.anatomy`; both (z, y, x). ``slice_numbers`` say which slice
    of the scan, counted from 1, each slice is or lies nearest to. ``coarser`` says that the grid is coarser than the
    scan's, ``rectified`` that its slices are others than the scan's.
    """

    geometry: Geometry
    hu: npt.NDArray[np.int16]
    regions: LabelArray | None
    layers: tuple[Layer, ...]
    places: tuple[Place, ...]
    region_places: dict[tuple[Region, Side], Index]
    slice_numbers: tuple[int, ...]
    coarser: bool
    rectified: bool

    @cached_property
    def embedded(self) -> dict[str, str]:
        """The arrays as compressed NIfTI files in base64, by their names."""
        arrays: dict[str, npt.NDArray[Any]] = {"scan": self.hu}
        if self.regions is not None:
            arrays["regions"] = self.regions
        arrays |= {layer.name: layer.values for layer in self.layers}
        return {
            name: base64.b64encode(nifti_bytes(array, self.geometry)).decode("ascii") for name, array in arrays.items()
        }


def viewed(scan: Scan, analysis: Analysis) -> Viewed:
    """Return what the viewer shows: on the grid of the NIfTI files, cut to the head, and coarser where it must be."""
    for least_mm_zyx in _spacings():
        grid = _Grid(FileGrid(scan.geometry), analysis.maps.brain_mask, least_mm_zyx)
        if grid.geometry.shape_zyx[0] * grid.geometry.size_yx[0] * grid.geometry.size_yx[1] > MOST_VOXELS:
            continue
        shown = _on(grid, scan, analysis)
        if sum(len(text) for text in shown.embedded.values()) <= MOST_BYTES:
            return shown
    raise ValueError("the scan does not fit into a report on any grid")


def viewer_json(shown: Viewed, analysis: Analysis) -> str:
    """Return what the page's script reads, as JSON that can stand inside a script element; same input, same text.

    Numbers about the patient are those of ``analysis.findings``, as they are for the score and in the words of
    `infarct.writers.wording` for the page.
    """
    findings, embedded, geometry = analysis.findings, shown.embedded, shown.geometry
    content = {
        "software": findings.software.model_dump(),
        "schema_version": findings.schema_version,
        "intended_use": findings.intended_use,
        "series_uid_hash": findings.scan.series_uid_hash,
        "grid": {
            "shape_zyx": geometry.shape_zyx,
            "spacing_mm_zyx": [round(mm, 6) for mm in geometry.spacing_mm_zyx],
            "origin_lps_mm": geometry.origins_mm[0].round(4).tolist(),
            "directions": geometry.directions.round(9).tolist(),
            "slice_numbers": shown.slice_numbers,
            "slices": findings.scan.shape_zyx[0],
            "exact": not shown.rectified and len(shown.hu) == findings.scan.shape_zyx[0],
            "mirror": _mirror(analysis.maps, geometry),
        },
        "scan": embedded["scan"],
        "windows": [{"width": one.width_hu, "centre": one.centre_hu} for one in (BRAIN_WINDOW, STROKE_WINDOW)],
        "layers": [
            {"name": layer.name, "title": layer.title, "colours": layer.colours, "data": embedded[layer.name]}
            for layer in shown.layers
        ],
        "regions": embedded.get("regions"),
        "styles": {finding: asdict(style) for finding, style in REGION_STYLES.items()},
        "places": [{"title": place.title, "index_zyx": place.index_zyx} for place in shown.places],
        "aspects": None if findings.aspects is None else _aspects(findings, findings.aspects, shown),
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def grid_note(shown: Viewed) -> str:
    """Return in what the viewer's voxels differ from the scan's, in a sentence or two; empty where they do not."""
    told = []
    if shown.rectified:
        told.append("The slices of this scan are tilted or uneven: the viewer shows it on an even, upright grid.")
    if shown.coarser:
        z, y, x = (wording.number(mm, 2) for mm in shown.geometry.spacing_mm_zyx)
        told.append(f"To keep this file small, the viewer shows coarser voxels than the scan's: {z} × {y} × {x} mm.")
    return " ".join(told)


class _Grid:
    """The grid of the viewer: that of the NIfTI files, cut to the head and no finer than ``least_mm_zyx``."""

    def __init__(self, files: FileGrid, brain: BoolArray, least_mm_zyx: tuple[float, float, float]) -> None:
        self.files = files
        self.box = _head_box(files, brain)
        self._cut = files.target.cropped(self.box)
        spacing = np.maximum(self._cut.spacing_mm_zyx, least_mm_zyx)
        self.coarser = bool((spacing > self._cut.spacing_mm_zyx).any())
        self.geometry = self._cut.regridded(tuple(spacing.tolist())) if self.coarser else self._cut

    def hu(self, hu: Float32Array) -> npt.NDArray[np.int16]:
        part = self.files.hu(hu)[self.box]
        if self.coarser:
            smooth = resample(part.astype(np.float32), self._cut, self.geometry, fill=AIR_HU, antialias=True)
            part = np.round(smooth).astype(np.int16)
        return part

    def labels(self, array: BoolArray | LabelArray) -> LabelArray:
        """Return a mask or a label map as uint8."""
        part = on_grid(array, self.files)[self.box]
        if self.coarser:
            carried = resample_mask if part.dtype == np.bool_ else resample_labels
            part = carried(part, self._cut, self.geometry)
        return np.asarray(part, dtype=np.uint8)

    def steps(self, values: Float32Array) -> LabelArray:
        """Return a map from 0 to 1 in whole steps."""
        part = self.files.values(values)[self.box]
        if self.coarser:
            part = resample(part, self._cut, self.geometry, fill=0.0, antialias=True)
        return np.round(np.clip(part, 0, 1) * STEPS).astype(np.uint8)


def _spacings() -> Iterator[tuple[float, float, float]]:
    """Yield the finest spacings (z, y, x) to try, in mm: coarser in plane first, then along the slices."""
    yield from ((SLICES_MM[0], mm, mm) for mm in PIXELS_MM)
    yield from ((mm, PIXELS_MM[-1], PIXELS_MM[-1]) for mm in SLICES_MM[1:])


def _head_box(files: FileGrid, brain: BoolArray) -> tuple[slice, slice, slice]:
    """Return the part of the files' grid that the pictures of the report show: all slices, the head in each."""
    rows, columns = files.target.size_yx
    field = head_field(files.mask(brain), files.target.pixel_spacing_mm_yx)
    return (
        slice(0, files.target.shape_zyx[0]),
        slice(max(field.row_start, 0), min(field.row_stop, rows)),
        slice(max(field.column_start, 0), min(field.column_stop, columns)),
    )


def _on(grid: _Grid, scan: Scan, analysis: Analysis) -> Viewed:
    maps = analysis.maps
    regions = None if maps.aspects_regions is None else grid.labels(maps.aspects_regions)
    own, shown = scan.geometry.slice_positions_mm, grid.geometry.slice_positions_mm
    numbers = np.abs(shown[:, None] - own).argmin(axis=1) + 1
    return Viewed(
        geometry=grid.geometry,
        hu=grid.hu(scan.hu),
        regions=regions if regions is not None and regions.any() else None,
        layers=tuple(_layers(grid, maps)),
        places=tuple(_places(scan, analysis, grid.geometry)),
        region_places=_region_places(scan.geometry, analysis, regions, grid.geometry),
        slice_numbers=tuple(numbers.tolist()),
        coarser=grid.coarser,
        rectified=grid.files.is_rectified,
    )


def _layers(grid: _Grid, maps: Maps) -> Iterator[Layer]:
    """Yield what can be laid over the scan, the lowest first; what is empty is left out."""
    for name, title, values, scale in (
        ("patch_probability", "Probability by tiles", maps.patch_probability, PROBABILITY_SCALE),
        ("aspects_attention", "Attention", maps.aspects_attention, ATTENTION_SCALE),
    ):
        if values is not None and values.any():
            yield Layer(name, title, grid.steps(values), _scale_colours(scale), is_mask=False)
    for name, title, mask, styles in (
        ("old_infarct", "Old infarct", maps.old_infarct, [OLD_LESION_STYLE]),
        ("infarct", "Infarct", maps.infarct, [LESION_STYLE]),
        ("followup_infarct", "Follow-up infarct", maps.followup_infarct, list(FOLLOWUP_STYLES.values())),
        ("hemorrhage", "Suspected bleeding", maps.hemorrhage, [HEMORRHAGE_STYLE]),
    ):
        if mask is not None and mask.any():
            colours = _label_colours([style.colour for style in styles])
            yield Layer(name, title, grid.labels(mask), colours, is_mask=True)


def _label_colours(colours: Sequence[str]) -> tuple[ColourPoint, ...]:
    """Return the colours of labels 0 (clear), 1, 2 and so on."""
    opacity = round(255 * MASK_OPACITY)
    return tuple(
        (value, int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), opacity if value else 0)
        for value, colour in enumerate((colours[0], *colours))
    )


def _scale_colours(scale: ColourScale) -> tuple[ColourPoint, ...]:
    """Return the colours of a map in steps, by the scale of the report's pictures."""
    values = np.linspace(0, STEPS, SCALE_POINTS).round().astype(int)
    rgba = np.round(scale.rgba(values / STEPS) * 255).astype(int)
    return tuple((int(value), int(r), int(g), int(b), int(a)) for value, (r, g, b, a) in zip(values, rgba, strict=True))


def _places(scan: Scan, analysis: Analysis, geometry: Geometry) -> Iterator[Place]:
    """Yield where a reader looks first: the two levels of ASPECTS, the lesions, the slices of the tiles."""
    maps, findings = analysis.maps, analysis.findings
    middle = _middle(maps.brain_mask)
    for title, k in (
        ("Ganglionic level", maps.ganglionic_slice),
        ("Supraganglionic level", maps.supraganglionic_slice),
    ):
        if k is not None:
            yield Place(title, _index(scan.geometry, (k, *middle), geometry))
    for title, mask, lesions in (
        ("Lesion", maps.infarct, findings.infarct.lesions if findings.infarct else ()),
        ("Old infarct", maps.old_infarct, findings.old_infarct.lesions if findings.old_infarct else ()),
    ):
        numbers = lesion_numbers(mask, lesions, scan.geometry) if lesions else None
        for n, lesion in enumerate(lesions[: wording.LISTED_LESIONS], start=1):
            told = f"{title} {n}: {lesion.side}, {wording.millilitres(lesion.volume_ml)}"
            yield Place(told, _lesion_index(scan, lesion, numbers == n if numbers is not None else None, geometry))
    for k in findings.localization.key_slices if findings.localization else ():
        yield Place(f"Tiles: slice {k + 1}", _index(scan.geometry, (k, *middle), geometry))


def _middle(brain: BoolArray) -> tuple[float, float]:
    """Return the row and column of the middle of the brain, or of the slice where there is none."""
    seen = np.argwhere(brain.any(axis=0))
    row, column = seen.mean(axis=0) if len(seen) else (np.array(brain.shape[1:]) - 1) / 2
    return float(row), float(column)


def _lesion_index(scan: Scan, lesion: Lesion, mask: BoolArray | None, geometry: Geometry) -> Index:
    """Return the innermost voxel of a lesion on its fullest slice; its centroid where no mask shows it."""
    if mask is None or not mask.any():
        return _nearest(geometry, lesion.centroid_lps_mm)
    k = int(mask.sum(axis=(1, 2)).argmax())
    return _index(scan.geometry, (k, *_innermost(mask[k])), geometry)


def _region_places(
    source: Geometry, analysis: Analysis, labels: LabelArray | None, geometry: Geometry
) -> dict[tuple[Region, Side], Index]:
    """Return where each region is seen best: on the slice that readers score on if it is large enough there."""
    if labels is None or analysis.findings.aspects is None:
        return {}
    maps, places = analysis.maps, dict[tuple[Region, Side], Index]()
    scored = [k for k in (maps.ganglionic_slice, maps.supraganglionic_slice) if k is not None]
    preferred = [_index(source, (k, 0, 0), geometry)[0] for k in scored]
    areas = np.stack([np.bincount(one.ravel(), minlength=21)[:21] for one in labels])
    for finding in analysis.findings.aspects.regions:
        label = region_label(finding.region, finding.side)
        area = areas[:, label]
        if area.any():
            good = [k for k in preferred if area[k] >= KEY_SHARE * area.max()]
            k = max(good or range(len(area)), key=lambda one: area[one])
            places[finding.region, finding.side] = (k, *_innermost(labels[k] == label))
    return places


def _innermost(mask: BoolArray) -> tuple[int, int]:
    """Return the row and column of a mask (y, x) that lie farthest from its edge."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row) + box[0].start, int(column) + box[1].start


def _index(source: Geometry, index_zyx: Sequence[float], geometry: Geometry) -> Index:
    """Return the voxel of ``geometry`` at a place of the scan."""
    return _nearest(geometry, source.index_to_world(index_zyx))


def _nearest(geometry: Geometry, world_mm: npt.ArrayLike) -> Index:
    index = np.clip(np.round(geometry.world_to_index(world_mm)), 0, np.array(geometry.shape_zyx) - 1)
    z, y, x = index.astype(int).tolist()
    return z, y, x


def _mirror(maps: Maps, geometry: Geometry) -> list[list[float]] | None:
    """Return the 3x4 matrix from (x, y, z, 1) index to the (x, y, z) index of the mirrored place."""
    if maps.reflection is None:
        return None
    sizes = np.diag([*geometry.spacing_mm_zyx[::-1], 1.0])
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = geometry.directions, geometry.origins_mm[0]
    to_world = frame @ sizes
    mirror: list[list[float]] = (np.linalg.inv(to_world) @ maps.reflection @ to_world)[:3].round(9).tolist()
    return mirror


def _aspects(findings: Findings, aspects: Aspects, shown: Viewed) -> dict[str, Any]:
    """Return the score, by what it is counted, and the regions with their evidence."""
    bounds = wording.region_thresholds(findings, aspects.method)
    rows = {row.region: row for row in wording.region_rows(aspects)}
    regions = []
    for finding in aspects.regions:
        cell = rows[finding.region].left if finding.side == "left" else rows[finding.region].right
        regions.append(
            {
                **finding.model_dump(include=set(_COUNTED)),
                "label": region_label(finding.region, finding.side),
                "title": f"{sentence(finding.side)} {finding.region}, {REGION_NAMES[finding.region]}",
                "finding": finding_of(finding),
                "index_zyx": shown.region_places.get((finding.region, finding.side)),
                "evidence": _evidence(cell, finding.volume_ml, bounds.get(finding.region)),
            }
        )
    return {
        **aspects.model_dump(include=set(_SCORES)),
        "regions": regions,
        "overrides": [change.model_dump() for change in aspects.overrides],
        "least_evidence_hu": LEAST_EVIDENCE_HU,
    }


_COUNTED: Final = ("region", "side", "affected", "evaluable", "volume_ml", "mean_hu", "contralateral_mean_hu")
_SCORES: Final = ("score", "score_min", "score_max", "side", "side_rule", "left_score", "right_score")


def _evidence(cell: wording.RegionCell | None, volume_ml: float, bound: str | None) -> list[tuple[str, str]]:
    """Return what speaks for a finding, as name and value; from ``bound`` on a region counts as affected."""
    if cell is None:
        return []
    told = [
        ("Mean density", f"{cell.mean_hu} HU"),
        ("Opposite side", f"{cell.opposite_hu} HU"),
        ("Difference", f"{cell.difference_hu} HU"),
        ("Noise", f"{cell.noise_hu} HU"),
        ("Net water uptake", cell.water_uptake),
        ("Volume", wording.millilitres(volume_ml)),
        ("Probability", cell.probability),
    ]
    return told if bound is None else [*told, ("Affected from", bound)]
