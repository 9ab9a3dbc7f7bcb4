"""Probabilistic surrogates of shocked porous energetic materials: micro and meso tokens, calibrated ensembles."""

import os

__version__ = "0.1.0"

# OpenMP reads its settings when torch is loaded, so this cannot wait. Threads that wait spin for some microseconds, then give
# their core away: without spinning two threads are no faster than one, and spinning for ever makes two of them five times slower
# than one beside other work. What the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

#: Names of the package for users, and the modules that they come from when they are first used; with a colon, their name there.
_FACE = {
    "CensoredNormal": "probtokens.models.censored",
    "Elbo": "probtokens.train.objectives",
    "ExtrapolationWarning": "probtokens.data.support",
    "FieldSpec": "probtokens.fields",
    "Grid": "probtokens.fields",
    "HotSpot": "probtokens.fields",
    "MesoTokens": "probtokens.models.meso",
    "MicroTokens": "probtokens.models.micro",
    "Normalizer": "probtokens.data",
    "Parc": "probtokens.baselines",
    "Persistence": "probtokens.baselines",
    "Recalibration": "probtokens.predict",
    "RolloutScore": "probtokens.train.objectives",
    "Trajectories": "probtokens.data:TrajectorySet",
    "first_frame": "probtokens.simulate.first_frame",
    "fit": "probtokens.train.fitting",
    "load": "probtokens.models.shelf",
    "rollout": "probtokens.predict.lazy",
    "score": "probtokens.evaluate.ensemble_scores",
    "to_arviz": "probtokens.evaluate.arviz_export",
}

TYPE_CHECKING = False  # typing has it too, but takes as long to import as the rest of this module
if TYPE_CHECKING:
    # Type checkers and editors know the names, too.
    from probtokens.baselines import Parc, Persistence
    from probtokens.data import Normalizer
    from probtokens.data import TrajectorySet as Trajectories
    from probtokens.data.support import ExtrapolationWarning
    from probtokens.evaluate.arviz_export import to_arviz
    from probtokens.evaluate.ensemble_scores import score
    from probtokens.fields import FieldSpec, Grid, HotSpot
    from probtokens.models.censored import CensoredNormal
    from probtokens.models.meso import MesoTokens
    from probtokens.models.micro import MicroTokens
    from probtokens.models.shelf import load
    from probtokens.predict import Recalibration
    from probtokens.predict.lazy import rollout
    from probtokens.simulate.first_frame import first_frame
    from probtokens.train.fitting import fit
    from probtokens.train.objectives import Elbo, RolloutScore

__all__ = [
    "CensoredNormal",
    "Elbo",
    "ExtrapolationWarning",
    "FieldSpec",
    "Grid",
    "HotSpot",
    "MesoTokens",
    "MicroTokens",
    "Normalizer",
    "Parc",
    "Persistence",
    "Recalibration",
    "RolloutScore",
    "Trajectories",
    "__version__",
    "first_frame",
    "fit",
    "load",
    "rollout",
    "score",
    "to_arviz",
]


def __getattr__(name: str) -> object:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, other_name = _FACE[name].partition(":")
    return getattr(import_module(module), other_name or name)


def __dir__() -> list[str]:
    return __all__
