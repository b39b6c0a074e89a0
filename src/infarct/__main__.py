"""``python -m infarct``."""

from infarct.cli import main

main()
