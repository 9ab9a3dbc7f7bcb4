"""How much a file may declare, the one place for it: memory is asked for only within these limits.

Files of some kilobytes can declare arrays of terabytes, as compressed or as never-written chunks. docs/data_files.md has the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probtokens.data.the_well.faults import Faulty

#: Largest number of simulations in one file.
MAX_SIMULATIONS = 1_000_000

#: Largest number of points on one axis.
MAX_POINTS = 1_000_000

#: Largest ratio of the memory that an array or a trajectory takes to the size of its file …
MAX_EXPANSION = 256

#: … beyond this size, which any file may ask for [bytes].
ALWAYS_ALLOWED = 256 * 1024**2

#: Largest attribute of an HDF5 object that is read [bytes].
MAX_ATTRIBUTE_BYTES = 16 * 1024**2

#: Links of an HDF5 file that may follow each other before an object is reached.
MAX_LINKS = 16

#: HDF5's virtual data sets whose sources are virtual data sets, and so on.
MAX_VIRTUAL_DEPTH = 4

#: Largest picture; pixels of colour take four bytes, several times over.
MAX_PIXELS = 40_000_000

#: Cells of a domain cut from a picture; a forecast of so many takes some ten gigabytes.
MAX_CELLS = 4_000_000

#: Numbers that a model of a recipe may learn; training takes some sixteen bytes of memory for each.
MAX_PARAMETERS = 1_000_000_000

#: Largest recipe [bytes].
MAX_RECIPE_BYTES = 1024**2

#: Keys of one YAML mapping, merged ones included.
MAX_YAML_KEYS = 1000

#: Brackets of a YAML text that are open at once; the time that PyYAML takes grows with their square.
MAX_YAML_LEVELS = 200

#: Largest JSON file [bytes]; scores of many models at many leads take a hundredth of it.
MAX_JSON_BYTES = 64 * 1024**2


def require_fits(place: Faulty, n_bytes: int, file_bytes: int, what: str) -> None:
    """Refuse to ask for memory that a file of this size can hardly need.

    Raises
    ------
    ValueError
        If ``n_bytes`` exceeds both ``ALWAYS_ALLOWED`` and ``MAX_EXPANSION`` times ``file_bytes``.
    """
    allowed = max(ALWAYS_ALLOWED, MAX_EXPANSION * file_bytes)
    if n_bytes > allowed:
        raise place.fault(f"{what} of at most {_size(allowed)} in a file of {_size(file_bytes)}", _size(n_bytes))


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
