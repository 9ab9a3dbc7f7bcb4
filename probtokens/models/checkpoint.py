"""Model files: weights with everything needed to use them, read without running code."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import probtokens
from probtokens.data.atomic import replacing
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec, Grid

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

_FORMAT = 6


def save_checkpoint(path: str | Path, kind: str, model: TokenForecaster, extra: dict[str, Any] | None = None) -> None:
    """Write a token model as plain tensors, numbers and strings, whole or not at all."""
    content = {
        "format": _FORMAT,
        "kind": kind,
        "version": probtokens.__version__,
        "tokens": model.tokens.model_dump(mode="json"),
        "fields": [dataclasses.asdict(spec) for spec in model.fields],
        "context_names": list(model.normalizer.context_names),
        "grid": dataclasses.asdict(model.grid),
        "state": model.state_dict(),
        **(extra or {}),
    }
    with replacing(Path(path)) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: str | Path, kind: str) -> dict[str, Any]:
    """Content of a model file.

    Raises
    ------
    ValueError
        If the file is missing, not a checkpoint, of another format or of another kind.
    """
    content = _read(path, f"a {kind} model")
    found = (content.get("format"), content.get("kind")) if isinstance(content, dict) else (None, None)
    if found != (_FORMAT, kind):
        raise ValueError(f"{path}: expected format {_FORMAT} of kind {kind!r}, got format {found[0]} of kind {found[1]!r}")
    return content


def load_stage(path: str | Path, model: TokenForecaster) -> None:
    """Give ``model`` the weights that it had after a training stage; ``path`` is what :func:`probtokens.train.fit` kept of it.

    Raises
    ------
    ValueError
        If the file is missing, damaged or holds the weights of another model.
    """
    state = _read(path, "the weights of a training stage")
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError):
        raise ValueError(f"{path}: expected weights of the same {type(model).__name__}, got those of another model") from None


def _read(path: str | Path, what: str) -> Any:
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected {what}, found no file")
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: expected {what}, got an unreadable file ({type(error).__name__})") from None


def restore_data_description(content: dict[str, Any]) -> tuple[Normalizer, Grid]:
    """Normaliser (its numbers come with the state) and grid of a model file."""
    fields = tuple(FieldSpec(**spec) for spec in content["fields"])
    return Normalizer(fields, tuple(content["context_names"])), Grid(**content["grid"])
