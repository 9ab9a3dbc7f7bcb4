"""How much a file may declare: memory is asked for only within these limits.

HDF5 files of some kilobytes can declare data sets of terabytes, as compressed or as never-written chunks.
"""

from __future__ import annotations

from probtokens.data.the_well.hdf5 import Node

#: Largest number of simulations in one file.
MAX_SIMULATIONS = 1_000_000

#: Largest number of points on one axis.
MAX_POINTS = 1_000_000

#: Largest ratio of the memory that a data set or a trajectory takes to the size of its file …
MAX_EXPANSION = 256

#: … beyond this size, which any file may ask for [bytes].
ALWAYS_ALLOWED = 256 * 1024**2


def require_fits(node: Node, n_bytes: int, file_bytes: int, what: str) -> None:
    """Refuse to ask for memory that a file of this size can hardly need.

    Raises
    ------
    ValueError
        If ``n_bytes`` exceeds both ``ALWAYS_ALLOWED`` and ``MAX_EXPANSION`` times ``file_bytes``.
    """
    allowed = max(ALWAYS_ALLOWED, MAX_EXPANSION * file_bytes)
    if n_bytes > allowed:
        raise node.fault(f"{what} of at most {_size(allowed)} in a file of {_size(file_bytes)}", _size(n_bytes))


def _size(n_bytes: int) -> str:
    """Write a number of bytes to three digits.

    >>> _size(22500), _size(4 * 10**11)
    ('22.5 kB', '400 GB')
    """
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
