"""Where the splits of a campaign are, how to draw them, and in which order to spend simulations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SPLITS = ("train", "valid", "test")


def split_folder(campaign: Path, split: str) -> Path:
    """Folder of one split: ``campaign/split``, or ``campaign/data/split`` as The Well has it.

    Raises
    ------
    ValueError
        If ``split`` is not ``train``, ``valid`` or ``test`` or there is no such folder.
    """
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {SPLITS}, got {split!r}")
    candidates = (campaign / split, campaign / "data" / split)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ValueError(f"{campaign}: expected a folder {split!r} or 'data/{split}', found neither")


def split_simulations(n: int, fractions: Sequence[float], seed: int) -> tuple[np.ndarray, ...]:
    """Disjoint random parts of ``0..n - 1`` with these fractions of it; together they are all of it.

    Sizes are rounded so that each differs from its exact value by at most one.

    Returns
    -------
    tuple of ndarray
        Sorted simulation numbers, one array per fraction.

    Raises
    ------
    ValueError
        If ``n`` is negative, a fraction is negative or they do not add up to 1.
    """
    parts = np.asarray(fractions, dtype=np.float64)
    if n < 0:
        raise ValueError(f"split of simulations: expected n >= 0, got {n}")
    if parts.size == 0 or (parts < 0).any() or abs(parts.sum() - 1.0) > 1e-9:
        raise ValueError(f"split of simulations: expected fractions >= 0 that add up to 1, got {list(fractions)}")
    order = np.random.default_rng(seed).permutation(n)
    edges = np.rint(np.cumsum(parts)[:-1] * n).astype(int)
    return tuple(np.sort(part) for part in np.split(order, edges))


def subset_order(n: int, seed: int) -> np.ndarray:
    """Random order of ``0..n - 1`` whose first k entries are the subset of size k.

    Subsets of one seed are nested, so that a learning curve differs between k and k + 1 by what one
    simulation adds, not by chance.

    Raises
    ------
    ValueError
        If ``n`` is negative.
    """
    if n < 0:
        raise ValueError(f"subset order: expected n >= 0, got {n}")
    return np.random.default_rng(seed).permutation(n)
