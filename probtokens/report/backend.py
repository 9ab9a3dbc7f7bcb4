"""Loads matplotlib, whatever backend the user has chosen for other programs."""

from __future__ import annotations

import contextlib
import os
import sys

# The first import takes MPLBACKEND and fails if there is no such backend here, as in a notebook whose kernel is of another
# environment. Figures of this package are drawn without one.
if "matplotlib" not in sys.modules:
    _chosen = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if _chosen is not None:
            os.environ["MPLBACKEND"] = _chosen
    if _chosen:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = _chosen
