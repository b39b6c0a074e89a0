from collections.abc import Callable
from typing import TypeAlias

import pytest
from stored_analyses import Stored, stored
from synthetic_head import Case, CaseMaker, make_case

StoredMaker: TypeAlias = Callable[[str], Stored]


@pytest.fixture(scope="session")
def case() -> CaseMaker:
    """Return the maker of a named case; each is built once."""
    made: dict[str, Case] = {}

    def get(name: str) -> Case:
        if name not in made:
            made[name] = make_case(name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def series_of(tmp_path_factory: pytest.TempPathFactory) -> StoredMaker:
    """Return the maker of a series of a kind, read and analysed; each is built once."""
    made: dict[str, Stored] = {}

    def get(kind: str) -> Stored:
        if kind not in made:
            made[kind] = stored(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return get
