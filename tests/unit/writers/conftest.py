import pytest
from synthetic_head import Case, CaseMaker, make_case


@pytest.fixture(scope="session")
def case() -> CaseMaker:
    """Return the maker of a named case; each is built once."""
    made: dict[str, Case] = {}

    def get(name: str) -> Case:
        if name not in made:
            made[name] = make_case(name)
        return made[name]

    return get
