"""Trained tokens that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def shipped() -> tuple[str, ...]:
    """Names of all trained tokens in the package."""
    return tuple(sorted(path.parent.name for path in _HERE.glob("*/model.pt")))


def resolved(path: Path) -> Path:
    """Model file that ``path`` names: the file itself where there is one, else that of trained tokens in the package."""
    return weights_file(str(path)) if str(path) in shipped() and not path.is_file() else path.absolute()


def weights_file(name: str) -> Path:
    """Model file of the trained tokens called ``name``; its card lies beside it.

    Raises
    ------
    ValueError
        If there are none of that name.
    """
    if name not in shipped():
        raise ValueError(f"weights: expected one of {list(shipped())}, got {name!r}")
    return _HERE / name / "model.pt"
