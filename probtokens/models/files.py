"""Model files, read without running code."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import probtokens
from probtokens.data.atomic import replacing
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec, Grid

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

#: Name of the card that lies beside a model file.
CARD_NAME = "model_card.md"

_FORMAT = 7


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """Content of a model file: ``settings`` of its class, weights, and what its normaliser and grid were."""

    settings: dict[str, Any]
    state: dict[str, Tensor]
    normalizer: Normalizer
    grid: Grid


def save_model(path: str | Path, model: TokenForecaster, settings: Mapping[str, Any] | None = None) -> None:
    """Write a token model as plain tensors, numbers and strings, whole or not at all."""
    content = {
        "format": _FORMAT,
        "kind": kind_of(type(model)),
        "version": probtokens.__version__,
        "settings": {"tokens": model.tokens.model_dump(mode="json"), **(settings or {})},
        "fields": [dataclasses.asdict(spec) for spec in model.fields],
        "context_names": list(model.normalizer.context_names),
        "grid": dataclasses.asdict(model.grid),
        "state": model.state_dict(),
    }
    with replacing(Path(path)) as temporary:
        torch.save(content, temporary)


def load_model(path: str | Path, model: type[nn.Module]) -> ModelFile:
    """Content of a model file of this class.

    Raises
    ------
    ValueError
        If the file is missing, not a model file, of another format or of another kind.
    """
    kind = kind_of(model)
    content = _read(path, f"a {kind} model")
    found = (content.get("format"), content.get("kind")) if isinstance(content, dict) else (None, None)
    if found != (_FORMAT, kind):
        older = "; files of older versions have to be trained again" if isinstance(found[0], int) and found[0] < _FORMAT else ""
        raise ValueError(f"{path}: expected format {_FORMAT} of kind {kind!r}, got format {found[0]} of kind {found[1]!r}{older}")
    fields = tuple(FieldSpec(**spec) for spec in content["fields"])
    normalizer = Normalizer(fields, tuple(content["context_names"]))
    return ModelFile(content["settings"], content["state"], normalizer, Grid(**content["grid"]))


def kind_in(path: str | Path) -> str:
    """Kind of model in a file, such as ``micro``.

    Raises
    ------
    ValueError
        If the file is missing or not a model file.
    """
    content = _read(path, "a model")
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise ValueError(f"{path}: expected a model, got another file")
    found: str = content["kind"]
    return found


def load_stage(path: str | Path, model: nn.Module) -> None:
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


def copy_model(source: Path, target: Path) -> None:
    """Copy a model file and, if there is one, its card; each whole or not at all."""
    pairs = {source.with_name(CARD_NAME): target.with_name(CARD_NAME), source: target}
    for one, other in pairs.items():
        if one.is_file():
            with replacing(other) as temporary:
                shutil.copyfile(one, temporary)


def kind_of(model: type[nn.Module]) -> str:
    """Kind of model that files say they hold, such as ``micro``."""
    return model.__name__.removesuffix("Tokens").lower()


def _read(path: str | Path, what: str) -> Any:
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected {what}, found no file")
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: expected {what}, got an unreadable file ({type(error).__name__})") from None
