"""How this process asks the operating system for memory."""

from __future__ import annotations

import ctypes

#: Parameters of glibc's mallopt, and what they are set to: freed memory up to a gigabyte is kept, and blocks up to 32 MiB, the most that
#: glibc takes, come from it.
_TRIM_THRESHOLD, _KEPT = -1, 1 << 30
_MMAP_THRESHOLD, _LARGEST = -3, 32 << 20


def keep_freed_memory() -> bool:
    """Let tensors be made in memory that earlier ones freed; else the system takes it back and clears it again, at every step.

    Networks on lattices make many tensors of about a megabyte, for which that is a tenth to a fifth of the time. Results do not change.

    Returns
    -------
    bool
        Whether the C library has the setting; glibc does, others are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST))
