"""The segment paper's experiments in miniature: made-up patients, and trainings of milliseconds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from infarct.preprocess.segment_input import InputSetting, SegmentInput
from infarct.reproduce.segment_rows import Row, Study, study_of
from infarct.training.cases import PhantomPlan, PhantomShare, Prepared, save_case, write_index
from infarct.volume import Geometry
from unit.training.prepared_blobs import SPACING_MM, blob_arrays

KEPT = ("no preprocessing", "+ squeeze and excitation", "+ weighted loss", "default recipe")


def miniature(*, folds: int | None = None, train: int = 3, test: int = 2) -> Study:
    """Return four of the rows, each a training of three steps."""
    study = study_of(reduced=True, folds=folds)
    shares = (PhantomShare("acute", train, test),)
    return replace(study, rows=tuple(_tiny(row, shares) for row in study.rows if row.name in KEPT))


def _tiny(row: Row, shares: tuple[PhantomShare, ...]) -> Row:
    recipe = row.recipe
    config = {**recipe.network_config, "base": 2, "strides": ((1, 2, 2),)}
    plan = replace(recipe.phantoms, shares=shares)
    tiny = replace(recipe, network_config=config, patch_zyx=(8, 16, 16), steps=3, checkpoint_every=3, phantoms=plan)
    return replace(row, recipe=tiny)


def prepare_blobs(
    plan: PhantomPlan,
    places: Mapping[Path, InputSetting],
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, ...]:
    """Write made-up patients where phantoms would be prepared, every one with a lesion."""
    del jobs
    (share,) = plan.shares
    roles = ["train"] * share.train + ["validation"] * share.validation
    numbers = [*range(share.train), *range(share.validation)]
    for folder, setting in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        listed = []
        for seed, (role, number) in enumerate(zip(roles, numbers, strict=True)):
            channels, labels = blob_arrays(seed, lesion=True)
            name = f"acute-{role}-{number:04d}"
            kept = SegmentInput(channels[: setting.channels], labels > 0, Geometry.regular(labels.shape, SPACING_MM))
            save_case(folder / f"{name}.npz", kept, labels, {"id": name})
            n0, n1, n2, n3 = (int((labels == value).sum()) for value in range(4))
            listed.append(Prepared(f"{name}.npz", name, name, role, (n0, n1, n2, n3)))  # type: ignore[arg-type]
        write_index(folder, setting, listed)
    on_done(len(roles), len(roles))
    return tuple(places)
