"""Which filter takes noise off a head CT, and what that does to early infarcts: phantoms of known truth.

Mean, median, Gaussian, non-local means, total variation and DnCNN. Strengths are those with the
best PSNR over all settings on validation phantoms; all figures are of test phantoms. Pictures are those of localize.

PSNR and SSIM are over the brain, against the same slices without noise. "Contrast kept" is what a filter leaves of the
infarct: the mean over the infarct of the filtered slice less that of the same slice, under the same noise, without the
infarct, as a share of what the infarct adds. So no anatomy and no noise of the mirrored side comes into it. "Tile
contrast to noise" is that difference in the mean of an 8 mm tile at the infarct, over the noise of such means, against
the unfiltered slice: above 1 a tile's mean tells more after the filter. The noise is that part of the answer which
turns its sign with the noise put in.

Run: python bench/denoise_selection.py -o DIR [--weights FILE] [--validation N] [--test N]
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from infarct.evaluation.drawing import panels
from infarct.evaluation.figures import COLOURS, GREY, MARKERS
from infarct.phantom import Patient, Visit, draw, render_scans
from infarct.phantom.noise import noise_sd_hu
from infarct.phantom.patient import Protocol
from infarct.preprocess.window import LOCALIZE
from infarct.systems.denoise import denoise, load_denoiser
from infarct.types import BoolArray, Float32Array
from infarct.volume.mask import bounding_box

Filter = Callable[[Float32Array], Float32Array]
"""Takes and gives a slice in HU, (y, x)."""
MEASURES: Final = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "kept": "Contrast kept, %",
    "faint": "Contrast kept of infarcts up to 2.5 HU, %",
    "tile": "Tile contrast to noise, unfiltered = 1",
}
APART_MM: Final = 10.0
SLICES: Final = 2
"""Of each head: those that show the most of the infarct."""
FAINT_HU: Final = 2.5
TILE_MM: Final = 8.0
MARGIN_PX: Final = 12
DOSE_HU: Final = 4.7
"""SD at 5 mm: the middle of what the phantom's scanners have."""
KERNEL_HU: Final = {"soft": 3.8, "sharp": 5.6}
THICKNESS_MM: Final = (2.5, 9.0)
UNFILTERED: Final = "none"
STRENGTHS: Final[Mapping[str, Sequence[float]]] = {
    "mean": (3, 5, 7),
    "median": (3, 5, 7),
    "gaussian": (0.8, 1.2, 1.8, 2.5),
    "non-local means": (0.3, 0.6, 1.0, 1.5),
    "total variation": (0.5, 1.0, 2.0, 4.0),
}
"""Side and SD in pixels; the last two in SDs of the noise, as `noise_sd` finds it in the slice."""
BACKGROUND_PX: Final = 6.0


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice around the brain: HU without noise, with it, and what the infarct adds, all (y, x)."""

    clean: Float32Array
    noisy: Float32Array
    signal: Float32Array
    brain: BoolArray
    infarct: BoolArray
    tile_px: int


def settings(own: Protocol) -> dict[str, tuple[Protocol, float]]:
    """Return the protocols that are compared, and a factor on their noise, which costs no rendering."""
    base = replace(
        own,
        thickness_mm=5.0,
        gaps_mm=(APART_MM,),
        tilt_deg=0.0,
        kernel="standard",
        kernel_sharpness=1.0,
        reconstruction="fbp",
        noise_hu=DOSE_HU,
    )
    found = {"noise 2.4": (base, 0.5), "5 mm, noise 4.7": (base, 1.0), "noise 9.4": (base, 2.0)}
    for thickness in THICKNESS_MM:
        noise = noise_sd_hu(DOSE_HU, thickness, "fbp")
        found[f"{thickness:g} mm, {noise:.1f}"] = (replace(base, thickness_mm=thickness, noise_hu=noise), 1.0)
    found["soft, 3.8"] = (replace(base, kernel="soft", noise_hu=KERNEL_HU["soft"]), 1.0)
    found["sharp, 5.6"] = (replace(base, kernel="sharp", noise_hu=KERNEL_HU["sharp"]), 1.0)
    return found


def patients(split: str) -> Iterator[Patient]:
    """Yield hyperacute patients of a split."""
    for number in count():
        patient = draw("hyperacute", number, "validation" if split == "validation" else "test")
        if patient.stroke is not None:
            yield patient


def slices_of(patient: Patient) -> dict[str, list[Slice]]:
    """Return the slices that show the infarct in each setting."""
    wanted = settings(patient.acute)
    protocols = list(dict.fromkeys(protocol for protocol, _ in wanted.values()))
    pairs = [form for protocol in protocols for form in (protocol, replace(protocol, noise_hu=0.0))]
    visits = render_scans(patient, pairs)
    found = dict(zip(protocols, zip(visits[::2], visits[1::2], strict=True), strict=True))
    return {name: cut(*found[protocol], factor=factor) for name, (protocol, factor) in wanted.items()}


def cut(noisy: Visit, clean: Visit, *, factor: float) -> list[Slice]:
    """Return the slices that show most of the infarct, cut to the brain, with ``factor`` times their noise."""
    infarct, brain = (clean.truth[name].numpy() for name in ("infarct", "intracranial"))
    if not infarct.any() or clean.signal_hu is None:
        return []
    _, rows, columns = bounding_box(brain)
    box = tuple(slice(max(part.start - MARGIN_PX, 0), part.stop + MARGIN_PX) for part in (rows, columns))
    truth, signal = clean.hu.numpy(), clean.signal_hu.numpy()
    given = truth + np.float32(factor) * (noisy.hu.numpy() - truth)
    tile_px = round(TILE_MM / clean.geometry.pixel_spacing_mm_yx[0])
    most = np.argsort(infarct.sum(axis=(1, 2)))[::-1][:SLICES]
    return [
        Slice(truth[k][box], given[k][box], signal[k][box], brain[k][box], infarct[k][box], tile_px)
        for k in most
        if infarct[k].any()
    ]


def made(name: str, strength: float) -> Filter:
    """Return a filter of a strength, on the pictures of localize; what lies outside their window stays as it is."""

    def filtered(hu: Float32Array) -> Float32Array:
        shown = LOCALIZE.apply(hu)
        if name == "mean":
            less = ndimage.uniform_filter(shown, int(strength))
        elif name == "median":
            less = ndimage.median_filter(shown, int(strength))
        elif name == "gaussian":
            less = ndimage.gaussian_filter(shown, strength)
        elif name == "total variation":
            less = denoise_tv_chambolle(shown, weight=strength * noise_sd(shown))
        else:
            less = denoise_nl_means(shown, patch_size=5, patch_distance=6, h=strength * noise_sd(shown), fast_mode=True)
        inside = (hu > LOCALIZE.low_hu) & (hu < LOCALIZE.high_hu)
        return np.where(inside, LOCALIZE.low_hu + LOCALIZE.width_hu * less, hu).astype(np.float32)

    return filtered


def noise_sd(shown: Float32Array) -> float:
    """Return the robust SD of what a broad Gaussian takes off a picture, where that lies amid the brain's greys."""
    smooth = ndimage.gaussian_filter(shown, BACKGROUND_PX)
    flat = (smooth > LOCALIZE.apply(np.float32(20))) & (smooth < LOCALIZE.apply(np.float32(45)))
    return float(1.4826 * np.median(np.abs(shown - smooth)[flat])) if flat.any() else 0.03


def quality(one: Slice, answer: Float32Array) -> dict[str, float]:
    """Return PSNR and SSIM of a filtered slice."""
    shown, truth = LOCALIZE.apply(answer), LOCALIZE.apply(one.clean)
    error = float(np.mean((shown - truth)[one.brain] ** 2))
    _, similar = structural_similarity(truth, shown, data_range=1.0, full=True)
    return {"psnr": -10 * np.log10(error), "ssim": float(similar[one.brain].mean())}


def measured(one: Slice, run: Filter) -> dict[str, float]:
    """Return quality, and sums that `summed` makes the other measures of."""
    answer = run(one.noisy)
    shift = answer - run(one.noisy - one.signal)
    noise = (answer - run(2 * one.clean - one.noisy)) / 2
    tiles = ndimage.uniform_filter(np.stack([shift, noise]), (0, one.tile_px, one.tile_px))
    share = ndimage.uniform_filter(one.infarct.astype(np.float32), one.tile_px)
    best = np.unravel_index(int(share.argmax()), share.shape)
    whole = ndimage.uniform_filter(one.brain.astype(np.float32), one.tile_px) > 0.99
    added, kept = float(one.signal[one.infarct].sum()), float(shift[one.infarct].sum())
    faint = -added <= FAINT_HU * one.infarct.sum()
    return {
        **quality(one, answer),
        "added": added,
        "left": kept,
        "faint_added": added if faint else 0.0,
        "faint_left": kept if faint else 0.0,
        "tile_contrast": float(-tiles[0][best]),
        "tile_noise2": float(np.mean(tiles[1][whole] ** 2)),
    }


def summed(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the measures over slices; the tile's is still that of the filter alone."""
    total = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    faint = 100 * total["faint_left"] / total["faint_added"] if total["faint_added"] else float("nan")
    return {
        "psnr": total["psnr"],
        "ssim": total["ssim"],
        "kept": 100 * total["left"] / total["added"],
        "faint": faint,
        "tile": total["tile_contrast"] / np.sqrt(total["tile_noise2"]),
    }


def chosen(name: str, heads: Sequence[Mapping[str, list[Slice]]]) -> float:
    """Return the strength of a filter with the best mean PSNR over all settings."""

    def score(strength: float) -> float:
        run = made(name, strength)
        return float(
            np.mean([quality(one, run(one.noisy))["psnr"] for head in heads for part in head.values() for one in part])
        )

    return max(STRENGTHS[name], key=score)


def compared(
    filters: Mapping[str, Filter], heads: Sequence[Mapping[str, list[Slice]]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the measures by setting and filter."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for setting in heads[0]:
        found = {
            name: summed([measured(one, run) for head in heads for one in head[setting]])
            for name, run in filters.items()
        }
        before = found[UNFILTERED]["tile"]
        table[setting] = {name: {**row, "tile": row["tile"] / before} for name, row in found.items()}
        print(f"measured: {setting}", flush=True)
    return table


def markdown(table: Mapping[str, Mapping[str, Mapping[str, float]]], about: str) -> str:
    """Return a table for each measure: filters by settings."""
    lines = ["# Denoising filters, measured on phantoms", "", about, ""]
    for key, title in MEASURES.items():
        digits = {"psnr": 1, "kept": 0, "faint": 0}.get(key, 2)
        lines += [f"## {title}", "", f"| | {' | '.join(table)} |", "|---" * (len(table) + 1) + "|"]
        for name in next(iter(table.values())):
            cells = [f"{row[name][key]:.{digits}f}".replace("nan", "-") for row in table.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def drawn(table: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Draw PSNR, contrast kept and tile contrast to noise over the settings."""
    figure, axes = panels(3, height=4.6)
    places = np.arange(len(table))
    for panel, key in zip(axes, ("psnr", "kept", "tile"), strict=True):
        for number, name in enumerate(next(iter(table.values()))):
            values = [row[name][key] for row in table.values()]
            look = {"color": GREY} if name == UNFILTERED else {"color": COLOURS[number % len(COLOURS)]}
            panel.plot(places, values, marker=MARKERS[number % len(MARKERS)], linestyle=":", label=name, **look)
        panel.set_title(MEASURES[key], fontsize=10)
        panel.set_xticks(places, list(table), rotation=35, ha="right", fontsize=8)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="of DnCNN; the shipped ones where none are given")
    parser.add_argument("--validation", type=int, default=6, help="patients that choose the strengths")
    parser.add_argument("--test", type=int, default=20, help="patients that are measured")
    wanted = parser.parse_args()
    filters: dict[str, Filter] = {UNFILTERED: lambda hu: hu}
    heads = [slices_of(patient) for patient in islice(patients("validation"), wanted.validation)]
    strengths = {name: chosen(name, heads) for name in STRENGTHS}
    print("strengths:", strengths, flush=True)
    filters |= {name: made(name, strength) for name, strength in strengths.items()}
    denoiser = load_denoiser(wanted.weights, device="cpu", engine="torch", threads=1)
    filters["DnCNN"] = lambda hu: denoise(hu[None], denoiser)[0]
    table = compared(filters, [slices_of(patient) for patient in islice(patients("test"), wanted.test)])
    told = ", ".join(f"{name} {strength:g}" for name, strength in strengths.items())
    about = f"{wanted.validation} validation and {wanted.test} test patients of `hyperacute`. Strengths: {told}."
    about += f" DnCNN: {denoiser.weights.name}."
    wanted.output.mkdir(parents=True, exist_ok=True)
    text = markdown(table, about)
    (wanted.output / "denoise_selection.md").write_text(text, encoding="utf-8")
    drawn(table, wanted.output / "denoise_selection.png")
    print(text)


if __name__ == "__main__":
    main()
