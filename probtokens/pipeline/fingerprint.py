"""What a stage's results depend on, as one short hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from probtokens.pipeline.stage import Stage

#: Raise it when files written by an older version of the package can no longer be used.
FORMAT_VERSION = 2


def fingerprint(stage: str, settings: Mapping[str, Any], needs: Mapping[str, str]) -> str:
    """Hash of a stage's name, its settings and the fingerprints of the stages that it needs.

    Parameters
    ----------
    stage
        Name of the stage.
    settings
        JSON-like values; the order of keys does not matter.
    needs
        Fingerprint of each stage whose results go in.
    """
    content = {"format": FORMAT_VERSION, "stage": stage, "settings": settings, "needs": needs}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """Fingerprint of every stage; ``stages`` come after the ones they need."""
    known: dict[str, str] = {}
    for stage in stages:
        known[stage.name] = fingerprint(stage.name, stage.settings, {name: known[name] for name in stage.needs})
    return known


def file_manifest(root: Path, patterns: Iterable[str]) -> list[tuple[str, str | None]]:
    """Name and digest of the files below ``root`` that match, sorted by name; nothing else of a file counts."""
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    with ThreadPoolExecutor(min(4, len(files) or 1)) as pool:
        return list(zip((path.relative_to(root).as_posix() for path in files), pool.map(file_digest, files), strict=True))


def file_digest(path: Path) -> str | None:
    """Hash of the content of a file, which is read once as long as nobody writes to it; ``None`` if there is none."""
    if not path.is_file():
        return None
    now = path.stat()
    return _digest(path, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=1 << 16)
def _digest(path: Path, *state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
