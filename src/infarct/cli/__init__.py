"""The command line: one thin file a verb."""

import sys

from infarct.errors import Refusal


def main() -> None:
    """Run the command line. Exit codes: 0 done, 2 refused or bad usage, 3 some system failed, 1 a bug."""
    from infarct.cli.app import app

    try:
        app()
    except Refusal as refusal:
        sys.stderr.write(f"infarct: {refusal}\n")
        sys.exit(2)
