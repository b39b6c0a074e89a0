"""The operating point and the numbers of the card, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from infarct.training.aspects_scores import Judged
from infarct.training.localize_scores import JudgedHead, TilePoint, false_clusters, metrics_of, tile_point, whole_cut


def head(*logits: float, healthy: bool = True, ill_tile: int | None = None) -> JudgedHead:
    """Return a head with tiles of 8 pixels in a row, 8 pixels apart: neighbours touch."""
    places = np.array([(0, 0, 8 * n) for n in range(len(logits))], dtype=np.intp)
    shares = np.zeros(len(logits))
    if ill_tile is not None:
        shares[ill_tile] = 0.6
    return JudgedHead(places, np.array(logits), shares, 8, healthy)


def test_clusters_of_a_row() -> None:
    one = head(3, -1, 2, 2, -1)
    assert [false_clusters(one, cut) for cut in (3.5, 2.5, 1.5, -2)] == [0, 1, 2, 1]


def test_whole_cut_by_hand() -> None:
    """From above: 5 and 4 give two clusters in two heads, 3 grows one of them, 2 would be a third."""
    heads = [head(5, 3, -9, 2, -9), head(-9, -9, 4, -9, -9)]
    assert whole_cut(heads) == 2.5
    assert whole_cut([heads[1]]) == -9.5  # the brain is one cluster
    assert whole_cut([head(1, -9, 1)]) == 1.5  # the highest level is too much already


def test_a_cut_below_one_that_fails_is_not_taken() -> None:
    """At -1 all tiles are one cluster, but at 1 they are two."""
    assert whole_cut([head(1, -1, 1)]) == 1.5
    assert whole_cut([head(2, -1, 1)]) == 1.5


def test_many_levels_are_tried_in_steps() -> None:
    """Tiles light up alternately: the second is the last that may."""
    heads = [head(*np.where(np.arange(1000) % 2 == 0, 1000 - np.arange(1000), -np.arange(1000)))]
    assert whole_cut(heads) == 999


def test_the_point_of_known_odds() -> None:
    """Logits 1 and -1, right three times of four: the likeliest odds are 3, so the temperature is 1 / ln 3."""
    judged = Judged(np.repeat([1.0, -1.0], 4), np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool))
    point = tile_point(judged, [head(0.5, -9, 0.2)])
    assert point.temperature == pytest.approx(1 / math.log(3), rel=1e-3)
    assert point.bias == pytest.approx(0, abs=1e-3)
    assert point.threshold == pytest.approx(0.5, abs=1e-3)
    assert point.whole_threshold == pytest.approx(1 / (1 + 3**-0.35), abs=1e-3)


def test_without_healthy_heads_both_thresholds_are_one() -> None:
    judged = Judged(np.repeat([1.0, -1.0], 4), np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool))
    point = tile_point(judged, [head(0.5, -9, 0.2, healthy=False)])
    assert point.whole_threshold == point.threshold


def test_metrics_by_hand() -> None:
    judged = Judged(np.array([2.0, 1.0, 0.5, -1.0]), np.array([True, False, True, False]))
    heads = [
        head(3, -1, 2, 2),
        head(-1, -1, -1),
        head(-1, 2, healthy=False, ill_tile=1),
        head(2, -1, healthy=False, ill_tile=1),
        head(2, -1, healthy=False),
    ]
    point = TilePoint(threshold=0.7, whole_threshold=0.8)  # logits 0.85 and 1.39
    metrics = metrics_of(judged, heads, point)
    assert metrics["validation_after_calibration"] == {
        "balanced_tiles": 4,
        "auc": 0.75,
        "average_precision": round((1 + 2 / 3) / 2, 4),
        "accuracy": 0.5,
        "sensitivity": 0.5,
        "specificity": 0.5,
    }
    assert metrics["validation_whole_brains"] == {
        "healthy_heads": 2,
        "false_clusters_a_healthy_head": 1.0,
        "ill_patients": 2,
        "share_of_ill_patients_found": 0.5,
    }


def test_where_nothing_tells_nothing_is_told() -> None:
    judged = Judged(np.zeros(0), np.zeros(0, dtype=bool))
    metrics = metrics_of(judged, [], TilePoint())
    assert set(metrics["validation_whole_brains"].values()) == {0, None}
    assert replace(TilePoint(), bias=1.0).temperature == 1.0
