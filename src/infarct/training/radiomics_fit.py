"""From prepared cases to calibrated forests: features, a fixed grid of settings, the operating points, the card."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier

import infarct
from infarct.anatomy import Region
from infarct.errors import BadRequest
from infarct.systems.region_forests import NETWORK, SYSTEM, Forest, feature_names, leaf, radiomics_settings
from infarct.training.aspects_scores import (
    Judged,
    Measured,
    RegionPoint,
    group_settings,
    joined,
    metrics_of,
    operating_points,
    summary_of,
)
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.cases import digest_of, kind_of
from infarct.training.processor import processor_name
from infarct.training.radiomics_features import FeatureTables, measured_tables
from infarct.training.radiomics_recipe import RadiomicsRecipe
from infarct.training.region_store import read_region_index
from infarct.training.task import check_roles
from infarct.types import BoolArray, Float32Array
from infarct.weights import WeightSet

Forests = Mapping[Region, Forest]
LEAF: Final = -1
"""What stands for the feature of a leaf."""


@dataclass(frozen=True)
class Choice:
    """A point of the grid and what it reached on the validation cases: the mean AUC of the groups."""

    fewest_in_leaf: int
    feature_share: float
    mean_auc: float


def train_radiomics(
    recipe: RadiomicsRecipe,
    cases: Path,
    *,
    name: str,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> WeightSet:
    """Return forests trained and calibrated on the prepared cases in a folder, with ``jobs`` processes.

    ``on_done`` is told how many of how many cases are measured. The model card tells how the forests do on the cases
    that chose their settings and calibrated them, and says that. Without validation cases the first settings of the
    grid are taken and nothing is calibrated.

    Raises `UnreadableInput` where there are no cases, and `BadRequest` where they do not fit the recipe.
    """
    begin = time.perf_counter()
    index = read_region_index(cases)
    check_roles(index.of("train"), index.of("validation"))
    if index.setting != json.loads(json.dumps(asdict(recipe.phantoms.setting))):
        raise BadRequest(f"the prepared cases are not on the grid that the recipe {recipe.name!r} takes")
    tables = measured_tables(index, recipe.phantoms.setting, jobs=jobs, on_done=on_done)
    taught, kept = (tables.at(np.array([one.role == role for one in index.cases])) for role in ("train", "validation"))
    forests, choices = best_forests(recipe, taught, kept, jobs=jobs)
    metrics: dict[str, Any] = {"choice_on_validation": [asdict(one) for one in choices]}
    points: dict[str, RegionPoint] = {}
    if len(kept.tables):
        measured = judged_by(forests, kept, recipe)
        points = operating_points(measured)
        metrics |= metrics_of(measured, points)
    card = {
        "data": {"kind": kind_of(cases), "digest": digest_of(cases), **index.counts},
        "recipe": recipe.as_data(),
        "training": _told(forests, time.perf_counter() - begin, jobs),
        "metrics": metrics,
    }
    calibrated_on = f"{len(kept.tables)} {kind_of(cases)}" if points else UNCALIBRATED
    return weights_of(forests, recipe, name=name, points=points, calibrated_on=calibrated_on, card=card)


def weights_of(
    forests: Forests,
    recipe: RadiomicsRecipe,
    *,
    name: str,
    points: Mapping[str, RegionPoint] | None = None,
    calibrated_on: str = UNCALIBRATED,
    card: Mapping[str, Any] | None = None,
) -> WeightSet:
    """Return forests as a weight set, with operating points by group, if there are any."""
    setting = recipe.phantoms.setting
    settings = radiomics_settings(setting)
    return WeightSet(
        system=SYSTEM,
        name=name,
        network=NETWORK,
        network_config={"trees": recipe.trees},
        settings={
            "input": json.loads(json.dumps(asdict(setting))),
            "groups": group_settings(recipe.groups, points or None),
            "calibrated_on": calibrated_on,
            "radiomics": asdict(settings),
            "features": list(feature_names(settings)),
        },
        tensors={key: part for region, forest in forests.items() for key, part in forest.tensors(region).items()},
        card=card or {},
        exact=True,
    )


def best_forests(
    recipe: RadiomicsRecipe, taught: FeatureTables, kept: FeatureTables, *, jobs: int = 1
) -> tuple[dict[Region, Forest], list[Choice]]:
    """Return the forests of the best point of the grid on the validation cases ``kept``, and what each point reached.

    Of equals the first is taken, as it is without validation cases.
    """
    best: dict[Region, Forest] = {}
    choices: list[Choice] = []
    for fewest, share in product(recipe.fewest_in_leaf, recipe.feature_shares):
        if choices and not len(kept.tables):
            break
        forests = {
            region: grown(*taught.sides(region), recipe, fewest_in_leaf=fewest, feature_share=share, jobs=jobs)
            for regions in recipe.groups.values()
            for region in regions
        }
        measured = judged_by(forests, kept, recipe)
        groups = {group: joined(list(found.values())) for group, found in measured.items()}
        choice = Choice(fewest, share, round(summary_of(groups)["val_score"], 4))
        if not choices or choice.mean_auc > max(one.mean_auc for one in choices):
            best = forests
        choices.append(choice)
    return best, choices


def grown(
    rows: Float32Array,
    affected: BoolArray,
    recipe: RadiomicsRecipe,
    *,
    fewest_in_leaf: int,
    feature_share: float,
    jobs: int = 1,
) -> Forest:
    """Return the forest of a region for ``rows`` (n, features), of which some are ``affected``, bool (n,).

    Where there are not both kinds there is nothing to learn, and the forest says what all of them are.

    Raises `BadRequest` where there are no rows.
    """
    if not len(rows):
        raise BadRequest("no case to train on shows a region on both sides")
    if affected.all() or not affected.any():
        return leaf(float(affected[0]))
    model = RandomForestClassifier(
        n_estimators=recipe.trees,
        min_samples_leaf=fewest_in_leaf,
        max_features=feature_share,
        class_weight="balanced",
        random_state=recipe.seed,
        n_jobs=jobs,
    )
    return forest_of(model.fit(rows, affected))


def forest_of(model: RandomForestClassifier) -> Forest:
    """Return a fitted forest for False and True as plain arrays; it answers as `predict_proba` does, up to float32.

    scikit-learn compares float32 features with float64 thresholds; rounded down to float32 they split the same way.
    """
    features, values, rights, roots, nodes = [], [], [], [], 0
    for tree in (estimator.tree_ for estimator in model.estimators_):
        leaves = tree.children_left < 0
        assert (tree.children_left[~leaves] == np.flatnonzero(~leaves) + 1).all(), "trees are not stored depth first"
        thresholds = tree.threshold.astype(np.float32)
        thresholds = np.where(thresholds > tree.threshold, np.nextafter(thresholds, np.float32(-np.inf)), thresholds)
        shares = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
        features.append(np.where(leaves, LEAF, tree.feature).astype(np.int16))
        values.append(np.where(leaves, shares, thresholds).astype(np.float32))
        rights.append(np.where(leaves, 0, tree.children_right + nodes).astype(np.int32))
        roots.append(nodes)
        nodes += tree.node_count
    return Forest(
        np.concatenate(features), np.concatenate(values), np.concatenate(rights), np.array(roots, dtype=np.int32)
    )


def judged_by(forests: Forests, cases: FeatureTables, recipe: RadiomicsRecipe) -> Measured:
    """Return what forests make of cases, by group and region; a region that none shows is left out."""
    found: Measured = {}
    for group, regions in recipe.groups.items():
        sides = {region: cases.sides(region) for region in regions}
        found[group] = {
            region: Judged(forests[region].logit(rows), affected)
            for region, (rows, affected) in sides.items()
            if len(rows)
        }
    return found


def _told(forests: Forests, seconds: float, jobs: int) -> dict[str, Any]:
    """Return what the card tells of the training itself."""
    return {
        "seconds": round(seconds, 1),
        "processes": jobs,
        "nodes": sum(len(forest.feature) for forest in forests.values()),
        "regions_without_both_kinds": [region for region, forest in forests.items() if len(forest.feature) == 1],
        "processor": processor_name(),
        "infarct": infarct.__version__,
        "scikit-learn": sklearn.__version__,
    }
