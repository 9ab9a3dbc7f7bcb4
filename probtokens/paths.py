"""Paths made of names from recipes, records and files: they stay below their folder."""

from __future__ import annotations

from pathlib import Path


def inside(root: Path, *parts: str) -> Path:
    """Path below ``root``; the one way in which names become paths.

    >>> inside(Path("runs/quick"), "rollouts", "tokens_test.zarr").as_posix()
    'runs/quick/rollouts/tokens_test.zarr'

    Raises
    ------
    ValueError
        If the names would lead outside, or to ``root`` itself.
    """
    below = Path(*parts)
    if below.is_absolute() or ".." in below.parts or not below.parts or "\0" in str(below):
        raise ValueError(f"{root}: expected the name of something inside, got {str(below)!r:.100}")
    return root / below
