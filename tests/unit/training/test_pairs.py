from dataclasses import replace

import numpy as np
import pytest
from prepared_regions import TINY, boxes, region_case, tiny_aspects

from infarct.anatomy import REGIONS
from infarct.training.aspects_recipe import TOGETHER
from infarct.training.pairs import IMAGES, MASKS, PairDataset, affected_sides, drawn_pair, pair_of, places_of
from infarct.training.recipe import Augmentation, Beginning, Implants
from infarct.training.region_store import StoredRegions

STILL = Augmentation()
NONE = Implants()


def test_items_depend_on_seed_and_number_alone() -> None:
    cases = [region_case(seed, ill=seed % 2 == 0) for seed in range(4)]
    one, again, other = (PairDataset(cases, tiny_aspects(seed=seed)) for seed in (1, 1, 2))
    for group in ("cortical", "subcortical"):
        np.testing.assert_array_equal(one[5][group]["pair"], again[5][group]["pair"])
        assert not np.array_equal(one[5][group]["pair"], other[5][group]["pair"])
        assert one[0][group]["pair"].shape == (4, *TINY.patch_zyx)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_the_share_of_pairs_from_cases_with_an_infarct(share: float) -> None:
    """The mean of an image tells the case here."""
    ill, well = region_case(0, ill=True), region_case(1, ill=False)
    flat = [
        StoredRegions(case.id, replace(case.input, image=np.full_like(case.input.image, value)), case.affected)
        for case, value in ((ill, 0.5), (well, -0.5), (well, -0.5), (well, -0.5))
    ]
    recipe = tiny_aspects(infarct_share=share, groups=dict(TOGETHER), augmentation=STILL)
    data = PairDataset(flat, recipe)
    found = np.mean([float(data[number]["all"]["pair"][0].mean()) > 0 for number in range(300)])
    assert found == pytest.approx(share, abs=0.1)


def test_truth_goes_with_the_sides() -> None:
    """Where a side is affected its region is darker: in the items of a training too."""
    turning = replace(tiny_aspects().augmentation, rotation_deg=2.0)
    recipe = tiny_aspects(augmentation=turning, implants=NONE, beginning=Beginning())
    data = PairDataset([region_case(seed, ill=True) for seed in range(3)], recipe)
    seen = []
    for number in range(30):
        for part in data[number].values():
            pair, affected = part["pair"].numpy(), part["affected"].numpy()
            levels = [float(image[mask > 0].mean()) for image, mask in zip(pair[IMAGES], pair[MASKS], strict=True)]
            assert ((np.array(levels) < -0.3) == (affected > 0)).all()
            seen.append(affected.any())
    assert 0.1 < np.mean(seen) < 0.9


def test_unvaried_pairs_are_as_they_are() -> None:
    case = region_case(3, ill=True)
    for region in REGIONS:
        varied = drawn_pair(case, region, TINY, STILL, NONE, random=np.random.default_rng(0))[0]
        np.testing.assert_array_equal(varied, pair_of(case, region, TINY))
        assert not affected_sides(case, region).all()


def test_both_sides_move_alike() -> None:
    """In a head that is its own mirror image the sides stay equal, but for the noise."""
    random = np.random.default_rng(4)
    plain = boxes()
    image = np.where(plain.regions > 0, 0.4, 0).astype(np.float32)
    case = StoredRegions("even", replace(plain, image=image), np.zeros(20, dtype=bool))
    moving = Augmentation(rotation_deg=20.0, scale=0.2, shift_mm=3.0, contrast=0.2, offset=0.2)
    pairs = [drawn_pair(case, "L", TINY, moving, NONE, random=random)[0] for _ in range(8)]
    for pair in pairs:
        np.testing.assert_allclose(pair[:2], pair[2:], atol=1e-5)
        assert set(np.unique(pair[MASKS])) <= {0, 1}
        assert abs(pair[IMAGES]).max() <= 1
    assert len({pair[1].tobytes() for pair in pairs}) > 4
    noisy = drawn_pair(case, "L", TINY, replace(STILL, noise_sd=0.1), NONE, random=random)[0]
    assert not np.array_equal(noisy[0], noisy[2])


def test_a_shift_moves_by_whole_voxels_what_it_should() -> None:
    """A shift of 1 voxel along y, drawn as the whole of 1.5 mm: rows come from one place further."""

    class AlongY(np.random.Generator):
        """Draws turn, scale, shift along y and along x; then contrast and level."""

        def uniform(self, low: float, high: float, size: int) -> np.ndarray:  # type: ignore[override]
            assert (low, high) == (-1, 1)
            return np.array([0.0, 0.0, 1.0, 0.0])[:size]

    case = region_case(5, ill=True)
    fixed = AlongY(np.random.Philox(0))
    moved = drawn_pair(case, "M5", TINY, Augmentation(shift_mm=1.5, noise_sd=0.0), NONE, random=fixed)[0]
    still = pair_of(case, "M5", replace(TINY, patch_zyx=(3, 10, 7)))
    np.testing.assert_allclose(moved, still[:, :, 2:], atol=2e-3)


def test_places_are_regions_with_two_sides() -> None:
    case = region_case(0, ill=False)
    regions = case.input.regions.copy()
    regions[regions == 1] = 0
    cut = replace(case, input=replace(case.input, regions=regions))
    assert [place.region for place in places_of([case, cut], ["C", "I"])] == ["C", "I", "I"]
