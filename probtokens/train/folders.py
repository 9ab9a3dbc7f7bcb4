"""Folders of trainings: each is of one training, and says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from probtokens.data.atomic import replacing
from probtokens.json_text import first_difference, read_json

_SETTINGS = "settings.json"


def require_same_training(folder: Path, settings: dict[str, Any]) -> None:
    """See that a folder is new or of this training, and note in it what it is of.

    Parameters
    ----------
    folder
        Where checkpoints of the training are or will be.
    settings
        What its end depends on, by name, as JSON has it.

    Raises
    ------
    ValueError
        If the folder is that of another training, or a file.
    """
    path = folder / _SETTINGS
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"resume: expected a folder, found the file {folder}")
    if not path.is_file():
        if left := sorted([*folder.glob("*.pt"), *folder.glob("*.ckpt")]):
            raise ValueError(f"{left[0]}: expected the settings of its training in {path.name} beside it, found none; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(settings), encoding="utf-8")
        return
    if other := first_difference(settings, read_json(path, "the settings of a training")):
        raise ValueError(
            f"{folder}: expected a folder of this training, found one of other {other.where}, "
            f"{other.found!s:.80} in place of {other.expected!s:.80}; name another, or remove it"
        )
