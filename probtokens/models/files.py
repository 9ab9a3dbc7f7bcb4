"""Model files, read without running code."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

import probtokens
from probtokens.data.atomic import replacing
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec, Grid

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

Model = TypeVar("Model", bound="TokenForecaster")

#: Name of the card that lies beside a model file.
CARD_NAME = "model_card.md"

#: Format of the files of every kind, which changes with what they hold.
_FORMATS = {"micro": 7, "meso": 9}


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """Content of a model file but for the weights: ``settings`` of its class, its normaliser, and the grid that it learned on."""

    settings: dict[str, Any]
    normalizer: Normalizer
    grid: Grid


def save_model(path: str | Path, model: TokenForecaster, settings: Mapping[str, Any] | None = None) -> None:
    """Write a token model as plain tensors, numbers and strings, whole or not at all."""
    content = {
        "format": _FORMATS[kind_of(type(model))],
        "kind": kind_of(type(model)),
        "version": probtokens.__version__,
        "settings": {"tokens": model.tokens.model_dump(mode="json"), **(settings or {})},
        "fields": [dataclasses.asdict(spec) for spec in model.fields],
        "context_names": list(model.normalizer.context_names),
        "context_units": list(model.normalizer.context_units),
        "grid": dataclasses.asdict(model.learned_on),
        "on": dataclasses.asdict(model.grid),
        "state": model.state_dict(),
    }
    with replacing(Path(path)) as temporary:
        torch.save(content, temporary)


def load_model(path: str | Path, model: type[Model], build: Callable[[ModelFile], Model]) -> Model:
    """Model of this class from its file, ready to forecast; ``build`` makes one of its kind, whose weights are then replaced.

    Raises
    ------
    ValueError
        If the file is missing, damaged, not a model file, of another format or of another kind, or its weights do not fit its
        settings or are not finite.
    """
    kind = kind_of(model)
    content = read_weights(path, f"a {kind} model")
    found = (content.get("format"), content.get("kind")) if isinstance(content, dict) else (None, None)
    wanted = _FORMATS[kind]
    if found != (wanted, kind):
        older = (
            "; files of older versions have to be trained again"
            if found[1] == kind and isinstance(found[0], int) and found[0] < wanted
            else ""
        )
        raise ValueError(f"{path}: expected format {wanted} of kind {kind!r}, got format {found[0]!r:.40} of kind {found[1]!r:.40}{older}")

    def made() -> Model:
        fields = tuple(FieldSpec(**spec) for spec in content["fields"])
        units = tuple(content["context_units"]) if "context_units" in content else None  # which files of earlier versions lack
        normalizer = Normalizer(fields, tuple(content["context_names"]), units)
        learned_on = Grid(**content["grid"])
        return build(ModelFile(content["settings"], normalizer, learned_on)).on(Grid(**content["on"]) if "on" in content else learned_on)

    with _named(path, f"settings of a {kind} model"):
        state = content["state"]
        with torch.device("meta"), _at_most(state):  # of settings that ask for more than is stored no memory is taken
            _require_fit(path, made(), state)
        filled = made()
    give_weights(path, filled, state)
    return filled.eval()


def give_weights(path: str | Path, model: nn.Module, state: Any) -> None:
    """Give ``model`` the weights that were read from ``path``.

    Raises
    ------
    ValueError
        If they are not those of such a model, or one is not finite.
    """
    _require_fit(path, model, state)
    for name, own in model.state_dict().items():
        # What is not known of a normaliser is NaN in the new model as well.
        if own.is_floating_point() and own.isfinite().all() and not state[name].isfinite().all():
            raise ValueError(f"{path}: {name}: expected finite weights, got {int((~state[name].isfinite()).sum())} others")
        if name.endswith(("field_scale", "context_scale")) and not (state[name] > 0).all():
            raise ValueError(f"{path}: {name}: expected scales > 0, got {float(state[name].min()):g}")
    model.load_state_dict(state)


def kind_in(path: str | Path) -> str:
    """Kind of model in a file, such as ``micro``.

    Raises
    ------
    ValueError
        If the file is missing or not a model file.
    """
    content = read_weights(path, "a model")
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise ValueError(f"{path}: expected a model, got another file")
    found: str = content["kind"]
    return found


def load_stage(path: str | Path, model: nn.Module) -> None:
    """Give ``model`` the weights that it had after a training stage; ``path`` is what :func:`probtokens.train.train_stages` kept of it.

    Raises
    ------
    ValueError
        If the file is missing, damaged or holds the weights of another model.
    """
    give_weights(path, model, read_weights(path, "the weights of a training stage"))


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


def read_weights(path: str | Path, what: str) -> Any:
    """Content of a file that ``torch.save`` wrote; its checksums are verified, which torch leaves out, and no code of it runs.

    Parameters
    ----------
    path
        The file.
    what
        What it is expected to be, for messages.

    Raises
    ------
    ValueError
        If there is no such file or it is damaged.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected {what}, found no file")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            damaged = archive.testzip() if all(entry.compress_type == zipfile.ZIP_STORED for entry in entries) else "compressed data"
        if damaged is None:
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # noqa: BLE001 - damaged archives and pickles raise errors of any type
        damaged = type(error).__name__
    raise ValueError(f"{path}: expected {what}, got an unreadable file ({damaged:.80})")


def _require_fit(path: str | Path, model: nn.Module, state: Any) -> None:
    """Names, shapes and types of weights are those of the model, which may be on the device ``meta``."""
    own = model.state_dict()
    if not isinstance(state, dict) or state.keys() != own.keys():
        raise ValueError(f"{path}: expected weights of the same {type(model).__name__}, got those of another model")
    for name, value in own.items():
        found = state[name]
        if not isinstance(found, Tensor) or (found.shape, found.dtype, found.layout) != (value.shape, value.dtype, value.layout):
            got = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"{path}: {name}: expected weights {tuple(value.shape)} {value.dtype}, got {got}")


@contextmanager
def _named(path: str | Path, what: str) -> Iterator[None]:
    """Let errors of settings that were changed by hand, or damaged, name the file."""
    try:
        yield
    except Exception as error:
        told = " ".join(str(error).split())
        if told.startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: expected {what}, got others ({type(error).__name__}: {told:.160})") from error


@contextmanager
def _at_most(state: Any) -> Iterator[None]:
    """Stop a model from being built that has more parameters than are stored."""
    left = len(state)

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"a model of more than {len(state)} weights")

    hook = torch.nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
