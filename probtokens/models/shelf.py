"""Trained tokens of either scale by name or file."""

from __future__ import annotations

from pathlib import Path

from probtokens.models.files import kind_in
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.weights import resolved, shipped


def load(name: str | Path) -> MicroTokens | MesoTokens:
    """Trained tokens: those that come with the package by their name, or those of a model file.

    Parameters
    ----------
    name
        For example ``"hmx-standard"``, or the path of a file that ``save`` wrote; a file of that name comes first.

    Raises
    ------
    ValueError
        If there are none of that name, or the file is missing, damaged or of another version.

    Examples
    --------
    >>> [spec.name for spec in load("hmx-standard").fields][:2]
    ['temperature', 'pressure']
    """
    path = resolved(Path(name))
    if not path.exists() and len(Path(name).parts) == 1 and not Path(name).suffix:
        raise ValueError(f"{name!r}: expected trained tokens of the package, {list(shipped())}, or a file that save wrote; found neither")
    return MesoTokens.load(path) if kind_in(path) == "meso" else MicroTokens.load(path)
