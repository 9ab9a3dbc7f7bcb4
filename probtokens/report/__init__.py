"""Figures and the self-contained HTML report of a run."""

from probtokens.report import backend  # isort: skip  # noqa: F401 - before anything that imports matplotlib
from probtokens.report.hero import hero_figure
from probtokens.report.html import write_figures, write_report

__all__ = ["hero_figure", "write_figures", "write_report"]
