"""Affine registration of a head to the atlas, driven by the shape of the intracranial region and the CT inside it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from infarct.atlas.template import Atlas
from infarct.errors import StepFailed
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, resample
from infarct.volume.mask import centroid_mm

SEARCH_DEG: Final = (-24.0, -12.0, 0.0, 12.0, 24.0)
"""Starting angles tried about each axis."""
SEARCH_LIFT_MM: Final = (-15.0, 0.0, 15.0)
"""Shifts tried along z: the centre of a partly covered head lies too high or too low."""
SEARCH_SCALE: Final = 0.87
"""MNI space is larger than a head: its volume shrinks by about 1.6 (1.5 in the mean of the first fits)."""
STARTS: Final = 3
"""Best starting poses that are optimised; the best of their results goes on."""
RETRIES: Final = 12
"""Further starting poses, where the best of the first looks poor."""
COARSE_MM: Final = 8.0
FINE_MM: Final = 4.0
PLATEAU_HU: Final = 60.0
"""Value of mean brain against 0 outside the skull, so that the inner table weighs more than the CT inside it."""
BRAIN_WINDOW_HU: Final = (0.0, 60.0)
"""HU are clipped before anything else: unclipped, bone and air drown the brain."""
ROBUST_HU: Final = 12.0
"""Differences count in full up to about this: a lesion, a bleed or a skull base of another shape counts less."""
RIM_MM: Final = 8.0
"""Nothing this far around the template's intracranial region takes part in the fit."""
LOWEST_MM: Final = -40.0
"""Atlas height below which nothing takes part: scans end there, and the foramen magnum is cut along their slices."""
STIFFNESS: Final = 0.002
"""Weight of staying a similarity against fitting the image: keeps the fit sane where little of the head is seen."""
MIN_COVERED: Final = 0.5
"""Poses that leave more of the template outside the scan than this are not tried."""
MIN_OVERLAP: Final = 0.93
MIN_CORRELATION: Final = 0.2
MAX_TURN_DEG: Final = 45.0
"""Fits beyond any of these are called poor. Heads upside down or back to front reach overlaps up to .95, so the turn
is limited as well: no head lies in a scanner like that. The correlation was set at .2 after a good fit of a real scan
measured .29; on phantoms, which the atlas fits too well, wrong fits reach .5: it decides little (docs/accuracy.md)."""
SCALE_LIMITS: Final = (0.65, 1.15)
"""An axis of the template scaled beyond this is taken for a failed fit."""

Parameters = Float64Array


@dataclass(frozen=True, eq=False)
class Registration:
    """An affine map from scan to atlas, and how well the two agree under it.

    ``scan_to_atlas`` is 4x4 from scan LPS mm to atlas LPS mm. ``correlation`` compares the CT of template and scan
    where both are inside the skull, ``overlap_dice`` their intracranial regions in the scanned field, of which
    ``covered_share`` lies inside the scan. ``is_reliable`` is False where either is low or the map stretches a head
    beyond belief.
    """

    scan_to_atlas: Float64Array
    correlation: float
    overlap_dice: float
    covered_share: float
    is_reliable: bool

    @property
    def atlas_to_scan(self) -> Float64Array:
        """4x4 matrix from atlas LPS mm to scan LPS mm."""
        return np.asarray(np.linalg.inv(self.scan_to_atlas), dtype=np.float64)


def register(hu: Float32Array, intracranial: BoolArray, geometry: Geometry, atlas: Atlas) -> Registration:
    """Return the affine map of a head onto the atlas.

    ``hu`` (float32) and ``intracranial`` (bool), both (z, y, x), lie on an even, upright ``geometry``; face, table and
    head rest take no part. A search over poses up to 24 degrees starts a similarity, then an affine fit by robust least
    squares on clipped HU inside the skull. Deterministic.

    Where the fit looks poor, more starting poses are tried before it is given back as not reliable.

    Raises `StepFailed` where ``intracranial`` is empty, or no pose of the search puts half of a head inside the scan.
    """
    if not intracranial.any():
        raise StepFailed("there is no brain to register")
    values = _fit_values(hu, intracranial)
    coarse = _Fit.between(_template_level(atlas, COARSE_MM), _level(values, geometry, COARSE_MM))
    fine = _Fit.between(_template_level(atlas, FINE_MM), _level(values, geometry, FINE_MM))
    starts = coarse.starts()
    first = _fitted(coarse, fine, starts[:STARTS])
    if first.is_reliable:
        return first
    second = _fitted(coarse, fine, starts[STARTS:])
    return second if second.is_reliable or second.overlap_dice > first.overlap_dice else first


def _fitted(coarse: "_Fit", fine: "_Fit", starts: list[Parameters]) -> Registration:
    similar = min((coarse.similarity(start) for start in starts), key=coarse.cost)
    return _judged(fine.matrix(fine.affine(coarse.affine(similar))), fine)


@dataclass(frozen=True, eq=False)
class _Level:
    """One resolution of an image to be fitted."""

    values: Float32Array
    geometry: Geometry


def _fit_values(hu: Float32Array, intracranial: BoolArray) -> Float32Array:
    """Return what is fitted: 0 outside the skull, CT contrast on a high plateau inside."""
    middle = sum(BRAIN_WINDOW_HU) / 2
    return np.where(intracranial, np.clip(hu, *BRAIN_WINDOW_HU) - np.float32(middle - PLATEAU_HU), np.float32(0))


def _level(values: Float32Array, geometry: Geometry, spacing_mm: float) -> _Level:
    coarse = geometry.regridded((spacing_mm,) * 3)
    return _Level(resample(values, geometry, coarse, fill=0.0, antialias=True), coarse)


@cache
def _template_level(atlas: Atlas, spacing_mm: float) -> _Level:
    return _level(_fit_values(atlas.template_hu, atlas.intracranial), atlas.geometry, spacing_mm)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Least squares between template and scan on one level.

    Twelve parameters: a 3x3 matrix times `REACH_MM`, then a shift, both about the centres of the two intracranial
    regions, so that a step of 1 in any moves the head by about 1 mm.
    """

    template: _Level
    scan: _Level
    points_mm: Float64Array
    expected: Float64Array
    template_centre_mm: Float64Array
    scan_centre_mm: Float64Array
    slopes: Float64Array

    REACH_MM = 60.0

    @classmethod
    def between(cls, template: _Level, scan: _Level) -> "_Fit":
        rim = ndimage.distance_transform_edt(template.values <= 0, sampling=template.geometry.spacing_mm_zyx) <= RIM_MM
        rim &= template.geometry.index_to_world(np.indices(rim.shape).transpose(1, 2, 3, 0))[..., 2] > LOWEST_MM
        centre = centroid_mm(template.values > PLATEAU_HU / 2, template.geometry)
        return cls(
            template=template,
            scan=scan,
            points_mm=template.geometry.index_to_world(np.argwhere(rim)) - centre,
            expected=template.values[rim].astype(np.float64),
            template_centre_mm=centre,
            scan_centre_mm=centroid_mm(scan.values > PLATEAU_HU / 2, scan.geometry),
            slopes=np.stack([np.gradient(scan.values.astype(np.float64), axis=axis) for axis in range(3)]),
        )

    def starts(self) -> list[Parameters]:
        """Return the poses of the search grid under which template and scan differ least, best first."""
        scored: list[tuple[float, int, Parameters]] = []
        poses = product(SEARCH_DEG, SEARCH_DEG, SEARCH_DEG, SEARCH_LIFT_MM)
        for order, (pitch, roll, yaw, lift) in enumerate(poses):
            matrix = Rotation.from_euler("xyz", (pitch, roll, yaw), degrees=True).as_matrix() * SEARCH_SCALE
            parameters = np.r_[matrix.ravel() * self.REACH_MM, 0.0, 0.0, lift]
            if np.isfinite(self._seen(parameters)).mean() > MIN_COVERED:
                scored.append((self.cost(parameters), order, parameters))
        if len(scored) <= STARTS:
            raise StepFailed("the scan covers too little of a head to be registered")
        return [parameters for _, _, parameters in sorted(scored, key=lambda item: item[:2])[: STARTS + RETRIES]]

    def similarity(self, start: Parameters) -> Parameters:
        """Return the best rotation, shift and single scale near ``start``."""
        first = start[:9].reshape(3, 3) / self.REACH_MM

        def unfold(change: Parameters) -> Parameters:
            turn = Rotation.from_rotvec(change[:3] / self.REACH_MM).as_matrix()
            matrix = turn @ first * np.exp(change[6] / self.REACH_MM)
            shift = start[9:] + change[3:6]
            return np.asarray(np.r_[matrix.ravel() * self.REACH_MM, shift], dtype=np.float64)

        return unfold(self._solved(unfold, np.zeros(7), stiff_to=None))

    def affine(self, start: Parameters) -> Parameters:
        """Return the best affine map near ``start``, held loosely to a similarity."""
        return self._solved(lambda parameters: parameters, start, stiff_to=start)

    def cost(self, parameters: Parameters) -> float:
        """Return the mean robust difference of template and scan."""
        squared = np.square(self._residuals(parameters) / ROBUST_HU)
        return float((2 * (np.sqrt(1 + squared) - 1)).mean())

    def matrix(self, parameters: Parameters) -> Float64Array:
        """Return the 4x4 matrix from template to scan LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = parameters[:9].reshape(3, 3) / self.REACH_MM
        matrix[:3, 3] = self.scan_centre_mm + parameters[9:] - matrix[:3, :3] @ self.template_centre_mm
        return matrix

    def _solved(
        self, unfold: Callable[[Parameters], Parameters], start: Parameters, *, stiff_to: Parameters | None
    ) -> Parameters:
        stiffness = np.sqrt(len(self.expected)) * STIFFNESS * np.r_[np.ones(9), np.zeros(3)]

        def residuals(free: Parameters) -> Float64Array:
            image = self._residuals(unfold(free))
            return image if stiff_to is None else np.r_[image, stiffness * (free - stiff_to)]

        def jacobian(free: Parameters) -> Float64Array:
            steps = np.eye(len(free)) * 1e-4
            chain = np.stack([(unfold(free + step) - unfold(free - step)) / 2e-4 for step in steps], axis=1)
            image = self._jacobian(unfold(free)) @ chain
            return image if stiff_to is None else np.vstack([image, np.diag(stiffness)])

        best = optimize.least_squares(
            residuals, start, jacobian, loss="soft_l1", f_scale=ROBUST_HU, xtol=1e-5, ftol=1e-5, max_nfev=40
        )
        return np.asarray(best.x, dtype=np.float64)

    def _index(self, parameters: Parameters) -> Float64Array:
        world: Float64Array = (
            self.points_mm @ (parameters[:9].reshape(3, 3) / self.REACH_MM).T + parameters[9:] + self.scan_centre_mm
        )
        return np.asarray(self.scan.geometry.world_to_index(world).T)

    def _seen(self, parameters: Parameters) -> Float64Array:
        """Return the scan's values at the template's points: 0 beside the scanned field, NaN above and below it."""
        index = self._index(parameters)
        seen = ndimage.map_coordinates(self.scan.values, index, order=1, mode="constant", output=np.float64)
        last = len(self.scan.values) - 1
        return np.where((index[0] >= -0.5) & (index[0] <= last + 0.5), seen, np.nan)

    def _residuals(self, parameters: Parameters) -> Float64Array:
        return np.nan_to_num(self._seen(parameters) - self.expected, nan=ROBUST_HU)

    def _jacobian(self, parameters: Parameters) -> Float64Array:
        index = self._index(parameters)
        along_index = [ndimage.map_coordinates(slope, index, order=1, mode="constant") for slope in self.slopes]
        geometry = self.scan.geometry
        axes = (geometry.normal, geometry.y_direction, geometry.x_direction)
        per_axis = zip(along_index, axes, geometry.spacing_mm_zyx, strict=True)
        slope_mm = np.sum([slope[:, None] * axis / mm for slope, axis, mm in per_axis], axis=0)
        slope_mm = np.where(np.isfinite(self._seen(parameters))[:, None], slope_mm, 0.0)
        turning = slope_mm[:, :, None] * (self.points_mm / self.REACH_MM)[:, None, :]
        return np.hstack([turning.reshape(len(turning), 9), slope_mm])


def _judged(template_to_scan: Float64Array, fit: _Fit) -> Registration:
    """Return the registration with its quality: correlation and overlap where the scan covers the template."""
    template, scan = fit.template, fit.scan
    seen = resample(scan.values, scan.geometry, template.geometry, transform=template_to_scan, fill=np.nan)
    covered = np.isfinite(seen)
    found, wanted = np.nan_to_num(seen) > PLATEAU_HU / 2, covered & (template.values > PLATEAU_HU / 2)
    overlap = 2 * float((found & wanted).sum()) / max(float(found.sum() + wanted.sum()), 1.0)
    both = found & wanted
    head = template.values > PLATEAU_HU / 2
    share = float((covered & head).sum() / head.sum())
    correlation = float(np.corrcoef(seen[both], template.values[both])[0, 1]) if both.sum() > 100 else 0.0
    scales = np.linalg.svd(template_to_scan[:3, :3], compute_uv=False)
    believable = SCALE_LIMITS[0] <= scales.min() and scales.max() <= SCALE_LIMITS[1]
    left, _, right = np.linalg.svd(template_to_scan[:3, :3])
    turn_deg = np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1)))
    reliable = overlap >= MIN_OVERLAP and correlation >= MIN_CORRELATION and believable and turn_deg <= MAX_TURN_DEG
    scan_to_template = np.asarray(np.linalg.inv(template_to_scan), dtype=np.float64)
    return Registration(scan_to_template, correlation, overlap, share, bool(reliable))
