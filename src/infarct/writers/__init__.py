"""Findings and maps as files that people and programs read."""

from infarct.writers.html import render_html, write_html
from infarct.writers.json import write_json

__all__ = ["render_html", "write_html", "write_json"]
