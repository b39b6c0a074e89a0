"""``infarct train``."""

from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from infarct.cli.analyze import QuietOption
from infarct.cli.output import step_bar
from infarct.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infarct.cli.output import Steps
    from infarct.training.denoise_recipe import DenoisePlan
    from infarct.training.module import AnyRecipe
    from infarct.training.patch_cases import PatchPlan
    from infarct.training.radiomics_recipe import RadiomicsRecipe
    from infarct.training.recipe import Recipe
    from infarct.training.region_cases import RegionPlan
    from infarct.training.tile_cases import TilePlan


class SystemChoice(StrEnum):
    """A system that can be trained."""

    segment = "segment"
    aspects = "aspects"
    regions = "regions"
    radiomics = "radiomics"
    denoise = "denoise"
    localize = "localize"
    volumetry = "volumetry"
    hemorrhage = "hemorrhage"


class PresetChoice(StrEnum):
    """A recipe."""

    paper = "paper"
    gpu = "gpu"
    cpu = "cpu"
    smoke = "smoke"
    single = "single"
    unet = "unet"


class TrainingPrecision(StrEnum):
    """How a training computes."""

    fp32 = "fp32"
    bf16 = "bf16"


Kept = TypeVar("Kept")

PHANTOM = "phantom"
WEIGHTS = "weights.safetensors"


def train(
    system: Annotated[SystemChoice, typer.Argument(help="System to train.", metavar="SYSTEM")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder, or one to go on in with --resume.")],
    cohort: Annotated[
        str | None,
        typer.Option(help=f"What to train on: {PHANTOM}, a data set or a manifest CSV; none with --cases as they are."),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Folder of prepared cases; made there from the cohort, used if there.")
    ] = None,
    preset: Annotated[
        PresetChoice,
        typer.Option(
            help="Recipe; single is volumetry's with one patch CNN, unet a 3D network for volumetry or hemorrhage."
        ),
    ] = PresetChoice.cpu,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="Weights to begin with: for localize ImageNet's, for segment and unet a file or name of infarct's."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the output.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, where not the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, where not the recipe's.")] = None,
    precision: Annotated[
        TrainingPrecision | None, typer.Option(help="How it computes, where not the recipe's; recorded.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that prepare cases; each takes up to 8 GB.")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes a device that cut patches; if not given, some for a GPU.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="Lightning's: auto, cpu, gpu.")] = "auto",
    devices: Annotated[str, typer.Option(help="Lightning's: how many or which devices.")] = "auto",
    num_nodes: Annotated[int, typer.Option(min=1, help="Lightning's: machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="Lightning's: auto, ddp, ...")] = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train a system; prints the path of the weights. Needs the extra `train`."""
    if find_spec("sklearn" if system is SystemChoice.radiomics else "lightning") is None:
        raise BadRequest("training needs more packages; install them with: pip install 'infarct[train]'")
    if system is SystemChoice.radiomics:
        for_networks = {
            "--pretrained": pretrained is not None,
            "--resume": resume,
            "--steps": steps is not None,
            "--precision": precision is not None,
            "--workers": workers is not None,
            "--accelerator": accelerator != "auto",
            "--devices": devices != "auto",
            "--num-nodes": num_nodes != 1,
            "--strategy": strategy != "auto",
        }
        _refuse([option for option, given in for_networks.items() if given])
        typer.echo(_train_radiomics(output, cohort, cases, preset, seed=seed, jobs=jobs, quiet=quiet))
        return
    from infarct.training.aspects_finish import finish_aspects
    from infarct.training.denoise_finish import finish_denoise
    from infarct.training.finish import finish
    from infarct.training.fit import Machine, check_output, fit, is_first_process
    from infarct.training.localize_finish import finish_localize
    from infarct.training.patch_finish import finish_patches
    from infarct.training.vb_finish import finish_regions
    from infarct.weights import file_of, save_weights

    pretrained = pretrained and file_of(pretrained)
    recipe = _recipe(system, preset, steps=steps, seed=seed, precision=precision, pretrained=pretrained)
    check_output(recipe, output, resume=resume)
    prepared = _prepared(recipe, cohort, cases, output, jobs=jobs, quiet=quiet)
    machine = Machine(accelerator, devices, num_nodes, strategy, workers=workers, quiet=quiet)
    fit(recipe, prepared, output, resume=resume, machine=machine, pretrained=pretrained)
    if is_first_process():  # with several devices, this program runs once for each
        finished = {
            SystemChoice.aspects: finish_aspects,
            SystemChoice.regions: finish_regions,
            SystemChoice.denoise: finish_denoise,
            SystemChoice.localize: finish_localize,
            SystemChoice.volumetry: finish_patches,
            SystemChoice.hemorrhage: finish_patches,
        }
        weights = finished.get(system, finish)(output, prepared, name=f"{system.value}-{recipe.name}")
        typer.echo(save_weights(weights, output / WEIGHTS))


def _refuse(options: "Sequence[str]") -> None:
    if options:
        raise BadRequest(f"forests are grown at once, on the processor: leave out {', '.join(options)}")


def _train_radiomics(
    output: Path,
    cohort: str | None,
    cases: Path | None,
    preset: PresetChoice,
    *,
    seed: int | None,
    jobs: int,
    quiet: bool,
) -> Path:
    """Train forests and return the path of their weights."""
    from infarct.training.cases import check_new_output
    from infarct.training.radiomics_fit import train_radiomics
    from infarct.training.radiomics_recipe import RADIOMICS_PRESETS
    from infarct.training.region_store import read_region_index
    from infarct.weights import save_weights

    recipe = _kept(RADIOMICS_PRESETS, preset, SystemChoice.radiomics)
    recipe = replace(recipe, seed=recipe.seed if seed is None else seed)
    check_new_output(output)
    prepared = _prepared(recipe, cohort, cases, output, jobs=jobs, quiet=quiet)
    name = f"{SystemChoice.radiomics.value}-{recipe.name}"
    with step_bar(len(read_region_index(prepared).cases), quiet=quiet) as bar:
        weights = train_radiomics(recipe, prepared, name=name, jobs=jobs, on_done=_showing(bar))
    return save_weights(weights, output / WEIGHTS)


def _recipe(
    system: SystemChoice,
    preset: PresetChoice,
    *,
    steps: int | None,
    seed: int | None,
    precision: TrainingPrecision | None,
    pretrained: Path | None,
) -> "AnyRecipe":
    """Return the recipe of a preset with what the user wants otherwise."""
    from infarct.training.aspects_recipe import ASPECTS_PRESETS
    from infarct.training.denoise_recipe import DENOISE_PRESETS
    from infarct.training.head_recipe import UNET_HEMORRHAGE, UNET_VOLUMETRY
    from infarct.training.localize_recipe import LOCALIZE_PRESETS, LocalizeRecipe
    from infarct.training.patch_recipe import HEMORRHAGE_PRESETS, VOLUMETRY_PRESETS
    from infarct.training.recipe import PRESETS, VolumeRecipe
    from infarct.training.task import sha256_of
    from infarct.training.vb_recipe import VB_PRESETS

    kept: dict[SystemChoice, Mapping[str, AnyRecipe]] = {
        SystemChoice.segment: PRESETS,
        SystemChoice.aspects: ASPECTS_PRESETS,
        SystemChoice.regions: VB_PRESETS,
        SystemChoice.denoise: DENOISE_PRESETS,
        SystemChoice.localize: LOCALIZE_PRESETS,
        SystemChoice.volumetry: {**VOLUMETRY_PRESETS, UNET_VOLUMETRY.name: UNET_VOLUMETRY},
        SystemChoice.hemorrhage: {**HEMORRHAGE_PRESETS, UNET_HEMORRHAGE.name: UNET_HEMORRHAGE},
    }
    recipe = _kept(kept[system], preset, system)
    if isinstance(recipe, LocalizeRecipe | VolumeRecipe):
        recipe = replace(recipe, pretrained_sha256=sha256_of(pretrained))
    elif pretrained is not None:
        raise BadRequest("this training begins with nothing: leave out --pretrained")
    return replace(
        recipe,
        steps=steps or recipe.steps,
        seed=recipe.seed if seed is None else seed,
        precision=precision.value if precision else recipe.precision,
    )


def _kept(presets: "Mapping[str, Kept]", preset: PresetChoice, system: SystemChoice) -> "Kept":
    """Return the recipe of a preset. Raises `BadRequest` where a system has none of that name."""
    if preset.value not in presets:
        raise BadRequest(f"there is no preset {preset.value} for {system.value}; there are: {', '.join(presets)}")
    return presets[preset.value]


def _prepared(
    recipe: "AnyRecipe | RadiomicsRecipe",
    cohort: str | None,
    cases: Path | None,
    output: Path,
    *,
    jobs: int,
    quiet: bool,
) -> Path:
    """Return the folder of prepared cases: those that are there, or made from the cohort."""
    from infarct.training.denoise_recipe import DenoiseRecipe
    from infarct.training.head_recipe import HeadRecipe
    from infarct.training.localize_recipe import LocalizeRecipe
    from infarct.training.patch_recipe import PatchRecipe
    from infarct.training.radiomics_recipe import RadiomicsRecipe
    from infarct.training.recipe import Recipe

    if cohort is None:
        if cases is None:
            raise BadRequest(f"say what to train on: --cohort {PHANTOM} or DIR, or --cases with prepared cases")
        return cases
    if cohort != PHANTOM and not isinstance(recipe, Recipe):
        message = f"this system is trained on phantoms so far: --cohort {PHANTOM}, or --cases with prepared cases"
        raise BadRequest(message)
    folder = cases or output / "cases"
    if isinstance(recipe, RadiomicsRecipe) or _is_first_process():  # the others come when it is done
        if isinstance(recipe, DenoiseRecipe):
            _prepare_pairs(recipe.phantoms, folder, jobs=jobs, quiet=quiet)
        elif isinstance(recipe, LocalizeRecipe):
            _prepare_tiles(recipe.phantoms, folder, jobs=jobs, quiet=quiet)
        elif isinstance(recipe, PatchRecipe | HeadRecipe):
            _prepare_heads(recipe.phantoms, folder, jobs=jobs, quiet=quiet)
        elif not isinstance(recipe, Recipe):
            _prepare_regions(recipe.phantoms, folder, jobs=jobs, quiet=quiet)
        elif cohort == PHANTOM:
            _prepare_phantoms(recipe, folder, jobs=jobs, quiet=quiet)
        else:
            _prepare_cohort(recipe, Path(cohort), folder, jobs=jobs, quiet=quiet)
    return folder


def _is_first_process() -> bool:
    from infarct.training.fit import is_first_process

    return is_first_process()


def _prepare_regions(plan: "RegionPlan", folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.training.region_cases import prepare_region_cases

    count = sum(share.train + share.validation for share in plan.shares)
    with step_bar(count, quiet=quiet) as bar:
        prepare_region_cases(plan, folder, jobs=jobs, on_done=_showing(bar))


def _prepare_pairs(plan: "DenoisePlan", folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.training.denoise_cases import prepare_denoise_cases

    count = sum(share.train + share.validation for share in plan.shares)
    with step_bar(count, quiet=quiet) as bar:
        prepare_denoise_cases(plan, folder, jobs=jobs, on_done=_showing(bar))


def _prepare_tiles(plan: "TilePlan", folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.training.tile_cases import prepare_tile_cases

    count = sum(share.train + share.validation for share in plan.shares)
    with step_bar(count, quiet=quiet) as bar:
        prepare_tile_cases(plan, folder, jobs=jobs, on_done=_showing(bar))


def _prepare_heads(plan: "PatchPlan", folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.training.patch_cases import prepare_patch_cases

    count = sum(share.train + share.validation for share in plan.shares)
    with step_bar(count, quiet=quiet) as bar:
        prepare_patch_cases(plan, folder, jobs=jobs, on_done=_showing(bar))


def _prepare_phantoms(recipe: "Recipe", folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.training.cases import prepare_phantom_cases

    count = sum(share.train + share.validation for share in recipe.phantoms.shares)
    with step_bar(count, quiet=quiet) as bar:
        prepare_phantom_cases(recipe.phantoms, folder, jobs=jobs, on_done=_showing(bar))


def _prepare_cohort(recipe: "Recipe", source: Path, folder: Path, *, jobs: int, quiet: bool) -> None:
    from infarct.cohorts.detect import open_cohort
    from infarct.training.cohort_cases import prepare_cohort_cases

    found = open_cohort(source).cases
    with step_bar(len(found), quiet=quiet) as bar:
        setting = recipe.phantoms.setting
        _, left_out = prepare_cohort_cases(found, folder, setting, jobs=jobs, on_done=_showing(bar))
    if left_out and not quiet:
        typer.echo(f"{sum(left_out.values())} of {len(found)} cases are left out:", err=True)
        for reason, count in left_out.items():
            typer.echo(f"  {count}: {reason}", err=True)


def _showing(bar: "Steps") -> "Callable[[int, int], None]":
    return lambda done, total: bar.reach(done, f"case {done} of {total}")
