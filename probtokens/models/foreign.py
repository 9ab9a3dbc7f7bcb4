"""Forecasters of others in runs and benchmarks: found by an entry point or by ``module:Class``, made from the training simulations."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from probtokens.config.forecast import target_of

if TYPE_CHECKING:
    from probtokens.data import TrajectorySet
    from probtokens.models.base import Forecaster


def load_class(entry: str) -> type[Forecaster]:
    """Class that an entry of ``rollout.models`` names; modules are also looked for in the working folder.

    Raises
    ------
    ValueError
        If the module cannot be imported, has no such class, or the class has no ``forecast``.
    """
    module, _, name = target_of(entry).partition(":")
    _look_here()
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        raise _fault(entry, f"a module {module!r} to import", f"{type(error).__name__}: {error!s:.120}") from error
    if not inspect.isclass(found):
        raise _fault(entry, f"a class {name!r} in {module!r}", "none" if found is None else type(found).__name__)
    if not callable(getattr(found, "forecast", None)):
        raise _fault(entry, "a Forecaster, which has a method forecast", f"{name!r}, which has none")
    return cast("type[Forecaster]", found)


def make_forecaster(entry: str, training: TrajectorySet) -> Forecaster:
    """Forecaster of someone else: its class, called with the training simulations, which it may learn from.

    Raises
    ------
    ValueError
        As :func:`load_class`, and if the class cannot be called so, raises an error, or makes what is no forecaster of the simulations'
        fields.
    """
    from probtokens.models.base import Forecaster

    kind = load_class(entry)
    try:
        inspect.signature(kind).bind(training)
    except TypeError as error:
        raise _fault(entry, "a class to be called with the training simulations alone", str(error)) from None
    try:
        made = kind(training)  # type: ignore[call-arg]
    except Exception as error:
        what = f"a class that learns from {len(training)} training simulations"
        raise _fault(entry, what, f"{type(error).__name__}: {error!s:.120}") from error
    missing = [name for name in ("name", "fields", "forecast") if not hasattr(made, name)]
    if missing or not isinstance(made, Forecaster):
        raise _fault(entry, "a Forecaster", f"one without {missing}")
    if callable(getattr(made, "support", None)):
        raise _fault(entry, "an attribute support, which Normalizer.support() makes", "a method; @property makes an attribute of it")
    expected, got = ([spec.name for spec in fields] for fields in (training.fields, made.fields))
    if expected != got:
        raise _fault(entry, f"the fields of the simulations {expected}, in this order", str(got))
    return made


def code_of(entry: str) -> dict[str, str | None]:
    """What a forecaster's results depend on beside data and settings: where its class is, its distribution, and its module's source."""
    target = target_of(entry)
    module = target.partition(":")[0]
    _look_here()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # of a parent that is not there
        spec = None
    source = None if spec is None or spec.origin is None or not Path(spec.origin).is_file() else Path(spec.origin).read_bytes()
    names = packages_distributions().get(module.partition(".")[0], [])
    return {
        "target": target,
        "distribution": ", ".join(sorted(filter(None, map(_version, set(names))))) or None,
        "source": None if source is None else hashlib.sha256(source).hexdigest(),
    }


def _fault(entry: str, expected: str, got: str) -> ValueError:
    return ValueError(f"rollout.models: {entry}: expected {expected}, got {got}")


def _version(distribution: str) -> str | None:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return None


def _look_here() -> None:
    """Modules beside the recipe are found, whether the command was called by its script or by ``python -m``."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
