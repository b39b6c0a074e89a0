"""Pictures show both levels with the right outlines on the right side; captions say what is known."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from infarct.evaluation.aspects import AspectsAbout, AspectsResult, evaluate_regions
from infarct.evaluation.aspects_gallery import CALLED_STYLE, TRUE_STYLE, aspects_picture, caption, choose
from unit.evaluation.drawn_aspects import drawn_scores
from unit.evaluation.scored_case import TRUTH, answer, region_map, scan

ABOUT = AspectsAbout("a", "p", "here", side="left", onset_h=2.0)
RESULT = evaluate_regions(answer(), TRUTH, region_map(), ABOUT).by_method["asymmetry"]
NOTHING = np.zeros_like(region_map())


def panels(found: np.ndarray, truth: np.ndarray | None, result: AspectsResult = RESULT) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(aspects_picture(scan(), found, truth, result)))
    return np.split(np.asarray(image.convert("RGB")).astype(int), 4, axis=1)


def places_of(panel: np.ndarray, colour: str) -> np.ndarray:
    """Return rows and columns, as shares of the panel, where an outline's colour stands, (n, 2)."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    near = np.abs(panel - wanted).sum(axis=2) < 60
    return np.argwhere(near) / panel.shape[:2]


def test_called_and_true_regions_are_outlined_at_their_level() -> None:
    plain, low, plain_high, high = panels(region_map(), region_map())
    for panel in (plain, plain_high):
        assert not len(places_of(panel, TRUE_STYLE.colour))
        assert not len(places_of(panel, CALLED_STYLE.colour))
    assert places_of(low, TRUE_STYLE.colour)[:, 1].min() > 0.5  # L of the left is core: on the right of the picture
    assert not len(places_of(low, CALLED_STYLE.colour))
    assert places_of(high, CALLED_STYLE.colour)[:, 1].min() > 0.5
    assert np.ptp(places_of(high, CALLED_STYLE.colour)[:, 0]) > np.ptp(places_of(high, TRUE_STYLE.colour)[:, 0])


def test_without_regions_there_are_pictures_too() -> None:
    for truth in (None, NOTHING):
        _, low, _, high = panels(NOTHING, truth)
        assert not any(len(places_of(panel, CALLED_STYLE.colour)) for panel in (low, high))


def test_captions_tell_scores_and_what_is_missing() -> None:
    (choice,) = choose([RESULT])
    assert caption(choice) == (
        "here, most different: a, stroke left, system: 8, core: 8, reader 1: 8, reader 2: 10, final: 8 (left), 2.0 h"
    )
    unjudged = replace(RESULT, regions=(replace(RESULT.regions[0], affected=None), *RESULT.regions[1:]), score=None)
    free = replace(unjudged, about=AspectsAbout("b", "q", "here"))
    assert "final: no score (left), 1 regions not judged, 2.0 h" in caption(replace(choice, result=unjudged))
    assert caption(replace(choice, result=free)).endswith(": b, final: no score (left), 1 regions not judged")


def test_the_most_different_and_the_most_alike_are_chosen_once_each() -> None:
    results = drawn_scores("a", 30, healthy=0.3)
    chosen = choose(results, each=2)
    assert [one.rank for one in chosen] == [
        *(rank for rank in ("most different", "most alike", "no stroke, most called") for _ in range(2)),
    ]
    assert len({one.result.about.id for one in chosen}) == 6

    def difference(result: AspectsResult) -> int:
        return abs((result.score_by("system") or 0) - (result.score_by("core") or 0))

    known = [case for case in results if case.score_by("system") is not None]
    assert difference(chosen[0].result) == max(map(difference, known))
    assert difference(chosen[3].result) == min(map(difference, known))
    assert len(choose(known[:1])) == 1
