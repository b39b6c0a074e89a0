"""Write the tables of docs/findings.md from the types in `infarct.findings`, between its two marks.

The names, kinds and meanings are those of the JSON Schema.

    python tools/describe_findings.py            write the page
    python tools/describe_findings.py --check    fail where the committed page is another
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infarct.findings import Findings

PAGE: Final = Path(__file__).parents[1] / "docs" / "findings.md"
BEGIN: Final = "<!-- made by tools/describe_findings.py: begin -->"
COLUMNS: Final = 120
END: Final = "<!-- made by tools/describe_findings.py: end -->"
Schema = Mapping[str, Any]


def described(page: str) -> str:
    """Return the page with the tables of today. Raises `ValueError` where it lacks the marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables(Findings.model_json_schema())}\n{END}{after}"


def tables(schema: Schema) -> str:
    """Return a heading and a table for the whole and for every type in it, each after the one that names it first."""
    types = {"Findings": schema, **schema["$defs"]}
    return "\n".join(_table(name, types[name]) for name in _order(types))


def _order(types: Mapping[str, Schema]) -> list[str]:
    found: list[str] = []

    def visit(name: str) -> None:
        if name not in found:
            found.append(name)
            for field in types[name]["properties"].values():
                for inner in _references(field):
                    visit(inner)

    visit("Findings")
    return found


def _references(field: Any) -> Iterator[str]:
    """Yield the names of the types that a field refers to, however deep."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            yield _name(field["$ref"])
        for value in field.values():
            yield from _references(value)
    elif isinstance(field, list):
        for value in field:
            yield from _references(value)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _table(name: str, schema: Schema) -> str:
    about = " ".join(schema.get("description", "").replace("``", "`").split())
    about = textwrap.fill(about, COLUMNS, break_on_hyphens=False)
    rows = "".join(
        f"| `{field}` | {_type(about_field)} | {about_field.get('description', '')} |\n"
        for field, about_field in schema["properties"].items()
    )
    return f"## {name}\n\n{about}\n\n| field | value | meaning |\n|---|---|---|\n{rows}"


def _type(field: Schema) -> str:
    """Return what a field holds, in words."""
    if "$ref" in field:
        name = _name(field["$ref"])
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    kind = field.get("type", "anything")
    if kind == "array":
        return _array(field)
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"by name: {_type(inner)}" if isinstance(inner, Mapping) else "by name: anything"
    return f"{kind}{_limits(field)}"


def _limits(field: Schema) -> str:
    """Return the limits that a number or a text keeps to, as they follow its kind."""
    if "maxLength" in field:
        return f" of up to {field['maxLength']} characters"
    low, high = field.get("minimum"), field.get("maximum")
    if low is None:
        return ""
    return f" from {low}" if high is None else f" from {low} to {high}"


def _array(field: Schema) -> str:
    if "prefixItems" not in field:
        return f"list of {_type(field['items'])}"
    return f"list of {len(field['prefixItems'])}: {_type(field['prefixItems'][0])}"


def main() -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    committed = PAGE.read_text(encoding="utf-8")
    made = described(committed)
    if parser.parse_args().check:
        if made != committed:
            print(f"{PAGE.name} is not what the types say; run `make schema`")
        return int(made != committed)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
