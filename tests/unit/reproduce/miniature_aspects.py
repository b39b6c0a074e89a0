"""The experiments on DA-Net in miniature: made-up patients, and trainings of a fraction of a second."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from infarct.anatomy import Side
from infarct.networks.da_net import DaNetConfig
from infarct.preprocess.region_input import RegionSetting
from infarct.reproduce.aspects_rows import AspectsRow, AspectsStudy, study_of
from infarct.training.cases import CLAIM, Order, PhantomShare, orders_of, write_index
from infarct.training.region_cases import RegionPlan, TrueAnatomy, save_region_case
from infarct.training.region_store import StoredRegions
from infarct.types import BoolArray
from unit.training.prepared_regions import TINY, listed, region_case

TEST_PATIENTS = 6
TRAINED, VALIDATED = 8, 4
NETWORK = DaNetConfig(initial=4, growth=4, depths=(1, 1), strides=((1, 1, 1), (1, 2, 2)))
SPLITS = ("train", "validation", "test")


def miniature_aspects() -> AspectsStudy:
    """Return all rows, each a training of three steps."""
    study = study_of(reduced=True)
    tiny = {row.name: _tiny(row, row.training_patients * TRAINED // 120) for row in study.rows}
    ablation, curve = (tuple(tiny[row.name] for row in rows) for rows in (study.ablation, study.curve))
    return replace(study, ablation=ablation, curve=curve, test_patients=TEST_PATIENTS)


def _tiny(row: AspectsRow, trained: int) -> AspectsRow:
    config = {**asdict(NETWORK), "difference": row.recipe.network_config["difference"]}
    plan = RegionPlan((PhantomShare("aspects", max(trained, 1), VALIDATED),), TINY)
    small = replace(row.recipe, network_config=config, batch=2 * len(row.recipe.groups) % 3 + 1, phantoms=plan)
    return replace(row, recipe=replace(small, steps=3, validate_every=3, checkpoint_every=2, precision="fp32"))


def made_up(order: Order) -> StoredRegions:
    """Return the case of an order: all have a stroke."""
    seed = 1000 * SPLITS.index(order.role) + order.index
    return replace(region_case(seed, ill=True), id=f"{order.preset}-{order.role}-{order.index}")


def made_up_sides(count: int) -> dict[str, Side | None]:
    """Return the side of the stroke of each patient to test on."""
    cases = [made_up(Order("aspects", index, "test")) for index in range(count)]
    return {case.id: _side(case.affected) for case in cases}


def _side(affected: BoolArray) -> Side:
    return "right" if affected[:10].any() else "left"


def prepare_boxes(
    orders: Sequence[Order],
    folder: Path,
    *,
    setting: RegionSetting,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> Path:
    """Write made-up patients where phantoms would be prepared."""
    del jobs
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for order in orders:
        case = made_up(order)
        about = {"id": case.id, "patient": case.id}
        truth = TrueAnatomy(case.input.regions, case.input.regions > 0, None)
        save_region_case(folder / order.file, case.input, truth, affected=case.affected, about=about)
        cases.append(listed(case, order.file, order.role))
    (folder / CLAIM).write_text(json.dumps({"thin_share": 0.0}))
    on_done(len(orders), len(orders))
    return write_index(folder, setting, cases)


def prepare_plan(
    plan: RegionPlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Write the made-up patients of a plan."""
    return prepare_boxes(orders_of(plan.shares), folder, setting=plan.setting, jobs=jobs, on_done=on_done)
