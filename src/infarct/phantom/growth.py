"""Where an infarct grows: a field over the atlas that says in which order tissue dies after an occlusion.

The field is in mm of an imagined front: it starts at one or several foci, runs along the cortex more readily than down
into the white matter, slows towards the border zones that collaterals feed, and hardly leaves the territory. Thresholds
of it are nested lesions; volumes come later, from its quantiles. Everything is worked out for the patient's right half;
the left is its mirror image, so that a stroke and its mirror image agree to the last bit.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from infarct.anatomy import REGIONS, TERRITORY_LABELS
from infarct.atlas import TISSUE_CLASSES, load_atlas
from infarct.phantom.grid import Grid, rng, smooth_noise
from infarct.phantom.patient import Site, Stroke
from infarct.types import BoolArray, Float32Array, LabelArray

STEP_MM: Final = 2
NEVER: Final = 1000.0
"""Arrival in the other half of the head."""

Part = Literal["MCA", "MCA+ACA", "M2_superior", "M2_inferior", "ACA", "PCA", "infratentorial", "cerebellum", "deep"]

_PARTS: Final[dict[Site, Part]] = {
    "ICA": "MCA+ACA",
    "tandem": "MCA+ACA",
    "M1": "MCA",
    "M2_superior": "M2_superior",
    "M2_inferior": "M2_inferior",
    "ACA": "ACA",
    "PCA": "PCA",
    "basilar": "infratentorial",
    "cerebellar": "cerebellum",
    "perforator": "deep",
}
_PROXIMAL: Final[tuple[Site, ...]] = ("ICA", "tandem", "M1")
"""Occlusions that shut the lenticulostriate arteries too."""
_VENTRICLE_PATH: Final = (
    (-15.0, -30.0, 2.0),
    (-15.0, -16.0, 14.0),
    (-15.0, 0.0, 24.0),
    (-17.0, 18.0, 26.0),
    (-22.0, 36.0, 20.0),
    (-29.0, 44.0, 6.0),
    (-32.0, 26.0, -8.0),
    (-30.0, 8.0, -18.0),
)
"""The right lateral ventricle from frontal to temporal horn, LPS mm in the atlas: the tips of cerebral wedges."""
_CEREBELLAR_HUB: Final = (-9.0, 50.0, -32.0)
"""Beside the fourth ventricle: the tip of cerebellar wedges."""
_WEDGE_RADIUS_MM: Final = 40.0
_SINKING: Final = {"cortical": 0.55, "both": 0.2, "subcortical": 0.2}
"""Extra mm of the front for each mm below the cortex, by the part of the territory that is hit."""
_UNDIVIDED: Final[tuple[Site, ...]] = ("basilar", "cerebellar", "perforator")
"""Sites where ``Stroke.cortical`` says nothing."""
_WHITE_DELAY_MM: Final = 7.0
_DEEP_WHITE_DELAY_MM: Final = 2.0
"""How much later white matter dies than grey; a perforator feeds both alike."""
_OUTSIDE_STEEPNESS: Final = 3.5
_TENTORIUM_MM: Final = 60.0
"""What it costs the front to leave its territory by a mm, and to cross the tentorium."""
_INFRATENTORIAL_PARTS: Final[tuple[Part, ...]] = ("infratentorial", "cerebellum")


@dataclass(frozen=True, eq=False)
class _Anatomy:
    """The right half of the atlas on the growth grid; arrays are (z, y, x), ``points`` and ``wedge`` (z, y, x, 3)."""

    grid: Grid
    points: Float32Array
    wedge: Float32Array
    """Each voxel moved out to a fixed distance from the ventricle: equal along a ray, so noise of it makes wedges."""
    depth_mm: Float32Array
    """Distance to the surface of the brain."""
    white: Float32Array
    tissue: BoolArray
    """Parenchyma with the thin sulci in it."""
    territory: LabelArray
    """Territories, continued into the fluid around."""
    infratentorial: BoolArray
    cortical_mm: Float32Array
    """Signed distance to the border between cortical and subcortical tissue, positive in cortical."""
    striate: BoolArray
    """What the lenticulostriate arteries feed: caudate, lentiform nucleus, internal capsule and their neighbourhood."""


@dataclass(frozen=True)
class _Focus:
    """Where the front starts: a point (LPS mm, right half), when (in mm), and whether a cortical branch is shut."""

    point_mm: tuple[float, float, float]
    delay_mm: float
    cortical: bool
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)


def growth_grid() -> Grid:
    """Return the 2 mm grid in atlas space that `arrival` lives on: the brain, symmetric about x = 0."""
    half = _anatomy().grid
    depth, rows, columns = half.shape_zyx
    return Grid((depth, rows, 2 * columns - 1), half.spacing_mm, half.origin_mm)


def half_grid() -> Grid:
    """Return the right half of `growth_grid`; its last column lies in the midsagittal plane."""
    return _anatomy().grid


def right_tissue(device: torch.device | str = "cpu") -> Tensor:
    """Return the parenchyma with its thin sulci on `half_grid` as bool (z, y, x)."""
    return _on_device(str(device))["tissue"]


def both_halves(right: Tensor, stroke: Stroke, elsewhere: float) -> Tensor:
    """Return a field of `half_grid` on `growth_grid`, on the stroke's side, and ``elsewhere`` on the other."""
    other = torch.full_like(right[..., :-1], elsewhere)
    if stroke.side == "right":
        return torch.cat((right, other), dim=-1)
    return torch.cat((other, right.flip(-1)), dim=-1)


def arrival(stroke: Stroke, device: torch.device | str = "cpu") -> Tensor:
    """Return the order in which tissue dies on `growth_grid`: (z, y, x), mm of the front, `NEVER` on the other side."""
    return both_halves(right_arrival(stroke, device), stroke, NEVER)


def right_arrival(stroke: Stroke, device: torch.device | str = "cpu") -> Tensor:
    """Return `arrival` as if on the right, on `half_grid`."""
    parts = _on_device(str(device))
    own = parts["infratentorial"] if _PARTS[stroke.site] in _INFRATENTORIAL_PARTS else ~parts["infratentorial"]
    inside_mm = _inside(stroke, device)
    outside = _OUTSIDE_STEEPNESS * functional.relu(-inside_mm) + _TENTORIUM_MM * ~own
    if stroke.growth == "blobs":
        return _blobs(stroke, device) + outside
    front = _front(stroke, device)
    # Collaterals reach in from the rim of the territory.
    rim = (4.0 + 14.0 * stroke.collaterals) * torch.exp(-functional.relu(inside_mm) / 9.0)
    delay_mm = _DEEP_WHITE_DELAY_MM if stroke.site == "perforator" else _WHITE_DELAY_MM
    return front + _wobble(stroke, front, device) + rim + outside + delay_mm * parts["white"]


def lesion_fields(stroke: Stroke, device: torch.device | str = "cpu") -> Tensor:
    """Return three fields on `half_grid`, (3, z, y, x): for perfusion, for the acute infarct, for the final infarct.

    They share the arrival field and differ by noise of a few mm, so no reference coincides with CT by construction.
    """
    return _lesion_fields(stroke, str(device))


@lru_cache(maxsize=2)
def _lesion_fields(stroke: Stroke, device: str) -> Tensor:
    """Keep the last fields: one stroke is painted on two canvases and swells between them."""
    base = right_arrival(stroke, device)
    calm = _calm(base - base.min())
    fields = [
        base + calm * amplitude * smooth_noise(_seed(stroke, name), half_grid(), scale_mm, device)
        for name, amplitude, scale_mm in (("perfusion", 4.0, 16.0), ("infarct", 3.0, 9.0), ("final", 3.0, 12.0))
    ]
    return torch.stack(fields)


def _seed(stroke: Stroke, name: str) -> int:
    return int(rng(stroke.seed, "growth", name).integers(2**62))


def _calm(distance_mm: Tensor) -> Tensor:
    """Return a factor for noise that is small near the start of the front: small lesions are compact."""
    return (0.15 + distance_mm / 30).clamp(max=1.0)


def _front(stroke: Stroke, device: torch.device | str) -> Tensor:
    """Return the distance in mm from the nearest focus, delays included, smooth where two fronts meet."""
    parts = _on_device(str(device))
    distances = []
    pace = 0.55 if stroke.site in _PROXIMAL else 1.0  # with the stem shut, all branches lack blood at once
    for focus in _foci(stroke):
        away = parts["points"] - torch.tensor(focus.point_mm, device=device)
        if focus.cortical:
            along = (parts["wedge"] - _wedge_of(focus.point_mm, device)).norm(dim=-1) * pace
            distance = (along.square() + (0.2 * away.norm(dim=-1)).square()).sqrt()
            distance = distance + _SINKING[stroke.cortical] * parts["depth_mm"]
        else:
            distance = (away / torch.tensor(focus.stretch, device=device)).norm(dim=-1)
        distances.append(distance + focus.delay_mm)
    return _soft_minimum(torch.stack(distances), 3.0)


def _soft_minimum(values: Tensor, width: float) -> Tensor:
    return -width * torch.logsumexp(-values / width, dim=0)


def _wedge_of(point_mm: tuple[float, float, float], device: torch.device | str) -> Tensor:
    """Return a point moved out along its ray, as in ``_Anatomy.wedge``."""
    anatomy = _anatomy()
    index = np.round((np.array(point_mm) - anatomy.grid.origin_mm) / STEP_MM).astype(np.int64)
    x, y, z = np.clip(index, 0, np.array(anatomy.wedge.shape[2::-1]) - 1)
    return torch.tensor(anatomy.wedge[z, y, x], device=device)


def _wobble(stroke: Stroke, front: Tensor, device: torch.device | str) -> Tensor:
    """Return the irregularity in mm: whole wedges that die early or late, and noise of three scales."""
    grid, calm = half_grid(), _calm(front - front.min())
    if stroke.site == "perforator":
        return calm * 2.0 * smooth_noise(_seed(stroke, "fine"), grid, 6.0, device)
    branches = smooth_noise(_seed(stroke, "branches"), grid, 22.0, device)
    branches = grid.sample(branches, _on_device(str(device))["wedge"])
    noise = 8.0 * branches
    for name, amplitude, scale_mm in (
        ("coarse", 4.0, 24.0),
        ("medium", 1.5 + 4.5 * stroke.shape, 11.0),
        ("fine", 1.2, 5.0),
    ):
        noise = noise + amplitude * smooth_noise(_seed(stroke, name), grid, scale_mm, device)
    return calm * noise


def _inside(stroke: Stroke, device: torch.device | str) -> Tensor:
    """Return how far inside the reach of this occlusion each voxel lies, in mm, negative outside; its border wavers."""
    grid = half_grid()
    part_mm = torch.from_numpy(_part_mm(_PARTS[stroke.site])).to(device)
    part_mm = part_mm + 3.0 * smooth_noise(_seed(stroke, "border"), grid, 18.0, device)
    if stroke.cortical == "both" or stroke.site in _UNDIVIDED:
        return part_mm
    cortical_mm = _on_device(str(device))["cortical_mm"]
    limit_mm = cortical_mm if stroke.cortical == "cortical" else -cortical_mm
    return torch.minimum(part_mm, limit_mm + 1.5 * smooth_noise(_seed(stroke, "depth"), grid, 12.0, device))


def _foci(stroke: Stroke) -> list[_Focus]:
    """Return where this stroke starts: lead foci by site, and more of them the more scattered it is."""
    generator = rng(stroke.seed, "growth", "foci")
    if stroke.site == "perforator":
        return [_perforator(generator)]
    if stroke.site == "basilar":
        return _basilar(generator)
    deep = _deep_foci(stroke, generator) if stroke.cortical != "cortical" else []
    count = (2 if stroke.site in _PROXIMAL else 1) + round(4 * stroke.shape * float(generator.uniform(0.5, 1.0)))
    wait_mm = max(0.0, float(generator.uniform(-6, 8)) + 16.0 * stroke.collaterals) if deep else 0.0
    spread_mm = 16.0 * (1 - stroke.shape) + 4.0
    delays = wait_mm + np.append(0.0, spread_mm * generator.uniform(0.3, 1.0, count))
    cortical = [
        _Focus(point, float(delay), True)
        for point, delay in zip(_cortical_points(stroke, generator, count), delays, strict=False)
    ]
    if stroke.site in _PROXIMAL and stroke.cortical != "subcortical":
        insula = _plus((-39.0, 0.0, 2.0), generator.normal(0, 3, 3))
        cortical.append(_Focus(insula, 0.6 * wait_mm + 3.0, False, (0.7, 1.5, 1.1)))
    return deep if deep and stroke.cortical == "subcortical" else deep + cortical


def _deep_foci(stroke: Stroke, generator: np.random.Generator) -> list[_Focus]:
    """Return the foci in deep tissue: lenticulostriate for the M1, thalamus for the PCA, else deep white matter."""
    shift = generator.normal(0, 3, 3)
    if stroke.site in _PROXIMAL:
        return [_Focus(_plus((-24.0, 0.0, 4.0), shift), 0.0, False, (0.8, 1.6, 1.2))]
    if stroke.cortical == "subcortical" and stroke.site not in _UNDIVIDED:
        chosen = ~_cortical_mask() & (_part_mm(_PARTS[stroke.site]) > 4)
        return [_Focus(_draw(chosen, generator), 0.0, False, (0.9, 1.5, 1.1))]
    if stroke.site == "PCA" and generator.uniform() < 0.35:
        return [_Focus(_plus((-13.0, 20.0, 6.0), shift), 8.0, False)]
    return []


def _perforator(generator: np.random.Generator) -> _Focus:
    """Return the one compact focus of a perforator: lenticulostriate, thalamic, or of the deep white matter."""
    place = generator.choice(3, p=[0.5, 0.25, 0.25])
    point = ((-24.0, 2.0, 6.0), (-13.0, 18.0, 5.0), (-25.0, 6.0, 28.0))[place]
    stretch = ((0.8, 1.2, 1.4), (1.0, 1.0, 1.0), (0.8, 1.4, 1.2))[place]
    spread = ((3.0, 6.0, 3.0), (2.0, 3.0, 2.0), (3.0, 10.0, 3.0))[place]
    return _Focus(_plus(point, generator.normal(0, 1, 3) * spread), 0.0, False, stretch)


def _basilar(generator: np.random.Generator) -> list[_Focus]:
    """Return foci in the brain stem (one of them first) and, later, in the upper cerebellum."""
    first = generator.choice(3, p=[0.65, 0.2, 0.15])
    points = ((-5.0, 22.0, -32.0), (-7.0, 19.0, -13.0), (-4.0, 40.0, -54.0))
    stem = [
        _Focus(
            _plus(point, generator.normal(0, 1, 3) * (1.5, 2, 4)),
            0.0 if place == first else float(generator.uniform(6, 14)),
            False,
            (0.8, 1.3, 1.1),
        )
        for place, point in enumerate(points)
    ]
    above = _plus((-28.0, 55.0, -22.0), generator.normal(0, 6, 3))
    return [*stem, _Focus(above, float(generator.uniform(12, 25)), True)]


def _cortical_points(stroke: Stroke, generator: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Return random points in the cortex of the territory, away from its rim; cerebellar ones share one artery."""
    margin_mm = 4 if stroke.site == "cerebellar" else 10
    chosen = _anatomy().tissue & (_anatomy().depth_mm < 6) & (_part_mm(_PARTS[stroke.site]) > margin_mm)
    x, y, z = np.moveaxis(_anatomy().points, -1, 0)
    if stroke.site == "cerebellar":
        chosen &= _cerebellar_artery(int(generator.choice(3, p=[0.5, 0.38, 0.12])))
    elif stroke.site == "PCA":  # occipital lobe or medial temporal lobe; its share of the temporal base comes late
        chosen &= (y > 55) if generator.uniform() < 0.8 else (x > -38) & (y > 5) & (z > -26)
    elif stroke.site in _PROXIMAL:
        chosen &= _anatomy().territory == TERRITORY_LABELS["MCA"]
        chosen &= np.hypot(np.hypot(x + 52, y - 8), z - 14) < 34 + 40 * stroke.shape
    return [_draw(chosen, generator) for _ in range(count)]


def _cerebellar_artery(which: int) -> BoolArray:
    """Return the part of the box that PICA (0, below and behind), SCA (1, above) or AICA (2, in front) feeds."""
    x, y, z = np.moveaxis(_anatomy().points, -1, 0)
    upper = z > -32 + 0.25 * (y - 60)
    front = (y < 56) & (x < -22) & (z < -28)
    return np.asarray([~upper & ~front, upper & ~front, front][which])


def _draw(chosen: BoolArray, generator: np.random.Generator) -> tuple[float, float, float]:
    points = _anatomy().points[chosen]
    x, y, z = points[generator.integers(len(points))].tolist()
    return x, y, z


def _plus(point: tuple[float, float, float], shift: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (np.array(point) + shift).tolist()
    return min(x, -2.0), y, z


def _blobs(stroke: Stroke, device: torch.device | str) -> Tensor:
    """Return the second family: the least of several ellipsoidal distances, melted together, blind to tissue."""
    generator = rng(stroke.seed, "growth", "blobs")
    points = _on_device(str(device))["points"]
    distances = []
    for centre in _blob_centres(stroke, generator):
        turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        lengths = np.exp(generator.normal(0, 0.3, 3))
        matrix = torch.tensor(turn / lengths, dtype=torch.float32, device=device)
        away = (points - torch.tensor(centre, device=device)) @ matrix
        distances.append(away.norm(dim=-1) + float(generator.uniform(0, 6)))
    return _soft_minimum(torch.stack(distances), 2.5)


def _blob_centres(stroke: Stroke, generator: np.random.Generator) -> list[tuple[float, float, float]]:
    if stroke.site == "perforator":
        return [_perforator(generator).point_mm]
    chosen = _anatomy().tissue & (_part_mm(_PARTS[stroke.site]) > 8)
    if stroke.cortical != "both" and stroke.site not in _UNDIVIDED:
        chosen &= _cortical_mask() == (stroke.cortical == "cortical")
    first = np.array(_draw(chosen, generator))
    reach_mm = 14 + 30 * stroke.shape
    near = chosen & (np.linalg.norm(_anatomy().points - first, axis=-1) < reach_mm)
    return [_draw(near, generator) for _ in range(2 + round(5 * stroke.shape))]


def _cortical_mask() -> BoolArray:
    return np.asarray(_anatomy().cortical_mm > 0)


@cache
def _on_device(device: str) -> dict[str, Tensor]:
    """Return the parts of the anatomy that are needed as tensors."""
    anatomy = _anatomy()
    names = ("points", "wedge", "depth_mm", "white", "tissue", "cortical_mm", "infratentorial")
    return {name: torch.tensor(getattr(anatomy, name), device=device) for name in names}


@cache
def _part_mm(part: Part) -> Float32Array:
    """Return the signed distance to the border of a territory or of a part of it, positive inside."""
    anatomy = _anatomy()
    mca, aca = (anatomy.territory == TERRITORY_LABELS[name] for name in ("MCA", "ACA"))
    above = ~anatomy.infratentorial
    superior = _superior_division()
    masks: dict[Part, BoolArray] = {
        "MCA": mca & above,
        "MCA+ACA": (mca | aca) & above,
        "M2_superior": mca & above & superior & ~anatomy.striate,
        "M2_inferior": mca & above & ~superior & ~anatomy.striate,
        "ACA": aca & above,
        "PCA": (anatomy.territory == TERRITORY_LABELS["PCA"]) & above,
        "infratentorial": anatomy.infratentorial,
        "cerebellum": anatomy.territory == TERRITORY_LABELS["cerebellum"],
        "deep": (anatomy.cortical_mm < 0) & above,
    }
    return _signed_mm(masks[part])


def _superior_division() -> BoolArray:
    """Return the half space of the upper division of the MCA: above the Sylvian fissure, before the parietal lobule."""
    _, y, z = np.moveaxis(_anatomy().points, -1, 0)
    return np.asarray((z > -9 + 0.7 * (y + 8)) & (y < 36))


def _signed_mm(mask: BoolArray) -> Float32Array:
    inside = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    return np.asarray(STEP_MM * inside, dtype=np.float32)


@cache
def _anatomy() -> _Anatomy:
    """Return the right half of the atlas at 2 mm, cropped to the brain with a margin."""
    atlas = load_atlas()
    half = (atlas.geometry.shape_zyx[2] + 1) // 2
    crop, origin_mm = _box(atlas.brain[..., :half], atlas.geometry.origins_mm[0])

    def cut(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array[..., :half][crop])

    brain, tissue_class = cut(atlas.brain), cut(atlas.tissue)
    ventricles = cut(atlas.ventricles)
    grid = Grid((brain.shape[0], brain.shape[1], brain.shape[2]), float(STEP_MM), origin_mm)
    points = grid.points().numpy()
    infratentorial = _nearest(tissue_class, tissue_class >= TISSUE_CLASSES.index("cortical"))
    infratentorial = infratentorial == TISSUE_CLASSES.index("infratentorial")
    territory = cut(atlas.territories)
    labels = cut(atlas.aspects_labels)
    striate = np.isin(labels, [REGIONS.index(name) + 1 for name in ("C", "L", "IC")])
    solid = ndimage.binary_closing(brain, iterations=2) | brain
    return _Anatomy(
        grid=grid,
        points=points,
        wedge=_wedge(points, infratentorial),
        depth_mm=np.asarray(STEP_MM * ndimage.distance_transform_edt(solid), dtype=np.float32),
        white=ndimage.gaussian_filter(cut(atlas.white), 0.6),
        tissue=solid & ~ventricles,
        territory=_nearest(territory, territory > 0),
        infratentorial=infratentorial,
        cortical_mm=_signed_mm(
            _nearest(tissue_class, np.isin(tissue_class, _supratentorial())) == TISSUE_CLASSES.index("cortical")
        ),
        striate=ndimage.binary_dilation(striate, iterations=2),
    )


def _supratentorial() -> list[int]:
    return [TISSUE_CLASSES.index("cortical"), TISSUE_CLASSES.index("subcortical")]


def _box(brain: BoolArray, origin_mm: np.ndarray) -> tuple[tuple[slice, ...], tuple[float, float, float]]:
    """Return every second voxel of the brain's box with 6 mm around, up to the midsagittal plane; and its origin."""
    slices, starts = [], []
    for axis, count in enumerate(brain.shape):
        used = np.flatnonzero(brain.any(axis=tuple(other for other in range(3) if other != axis)))
        last = count - 1
        start = max(0, int(used[0]) - 6)
        stop = last if axis == 2 else min(last, int(used[-1]) + 6)
        start += (stop - start) % STEP_MM
        slices.append(slice(start, stop + 1, STEP_MM))
        starts.append(start)
    z, y, x = starts
    return tuple(slices), (float(origin_mm[0] + x), float(origin_mm[1] + y), float(origin_mm[2] + z))


def _nearest(labels: LabelArray, known: BoolArray) -> LabelArray:
    """Return the labels with every unknown voxel given its nearest known one's."""
    index = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(index)])


def _wedge(points: Float32Array, infratentorial: BoolArray) -> Float32Array:
    """Return the points moved to `_WEDGE_RADIUS_MM` from the ventricle (in the cerebellum: from its hub)."""
    path = np.array(_VENTRICLE_PATH, dtype=np.float32)
    path = np.concatenate([path[:-1], (path[:-1] + path[1:]) / 2, path[-1:]])
    squared = np.stack([np.square(points - place).sum(axis=-1) for place in path])
    weight = np.exp(-(squared - squared.min(axis=0)) / np.float32(2 * 9.0**2))
    hub = np.tensordot(weight / weight.sum(axis=0), path, axes=(0, 0))
    hub[infratentorial] = _CEREBELLAR_HUB
    ray = points - hub
    length = np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1.0)
    return np.asarray(hub + ray * (_WEDGE_RADIUS_MM / length), dtype=np.float32)
