"""Simulations in other layouts, read one at a time and written in The Well's."""

from probtokens.data.importers.convert import LAYOUTS, convert, open_source
from probtokens.data.importers.plan import Plan, make_plan
from probtokens.data.importers.source import Contents, Given, Simulation, Source, Variable

__all__ = ["LAYOUTS", "Contents", "Given", "Plan", "Simulation", "Source", "Variable", "convert", "make_plan", "open_source"]
