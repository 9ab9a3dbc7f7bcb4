"""One look at all that a run is given, before anything of it runs: files, recipe and tokens must fit each other.

Descriptions of given simulations are read, and no frame; those that will be made are known from the recipe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probtokens.config import Config
from probtokens.config.forecast import OWN_MODELS
from probtokens.data.agreement import Declared, Ratios, require_agreement
from probtokens.data.the_well import ShardInfo
from probtokens.data.the_well.faults import fault, prefixed, shown
from probtokens.fields import KNOWN_FIELDS, FieldSpec, Grid
from probtokens.limits import MAX_PARAMETERS
from probtokens.models.foreign import load_class
from probtokens.pipeline.folder import RunFolder, Scale, Split
from probtokens.pipeline.graph import required
from probtokens.pipeline.stage import Stage
from probtokens.pipeline.work.simulations import forecast_splits, open_split, used_splits
from probtokens.pipeline.work.training import given_micro

if TYPE_CHECKING:
    from torch import nn

    from probtokens.models.micro import MicroTokens

_TRAININGS = ("train_micro", "train_meso", "train_parc")


@dataclass(frozen=True)
class _Simulations:
    """What is known of the simulations of one split, or of those that given tokens have learned from.

    Attributes
    ----------
    fields, context_names, files
        As those of a :class:`~probtokens.data.trajectories.TrajectorySet`; of simulations to come one description stands for all.
    grid
        Their grid.
    count
        Their number.
    """

    fields: tuple[FieldSpec, ...]
    context_names: tuple[str, ...]
    files: tuple[ShardInfo, ...]
    grid: Grid
    count: int

    @property
    def path(self) -> Path:
        """The first file, or the recipe's section that says how they are made."""
        return self.files[0].path


_Known = dict[tuple[Scale, Split], _Simulations]


def require_fit(config: Config, folder: RunFolder, stages: Sequence[Stage], chosen: Collection[str]) -> None:
    """Refuse to begin stages that could not be finished with the simulations, the recipe and the tokens that there are.

    Parameters
    ----------
    config
        Resolved configuration.
    folder
        Folder of the run.
    stages
        All stages of the run.
    chosen
        Names of those that are to run. Simulating alone is free of what training asks for.

    Raises
    ------
    ValueError
        Naming file or key, what was expected and what was found.
    """
    chosen = _asked_for(config, stages, chosen)
    if all(name in ("evaluate", "report") for name in chosen):
        return
    needed = frozenset().union(*(required(stages, name) for name in chosen))
    for name, entry in config.rollout.names.items():
        if entry not in OWN_MODELS and f"rollout_{name}" in needed:
            load_class(entry)
    known = _known(config, folder, needed)
    tokens = given_micro(config) if config.data.micro_tokens is not None and "train_micro" in needed else None
    every: list[tuple[Scale, _Simulations]] = [(scale, simulations) for (scale, _), simulations in known.items()]
    if tokens is not None and config.data.micro_tokens is not None:
        every.insert(0, ("micro", _learned_from(tokens, config.data.micro_tokens)))
    for scale, simulations in every[1:]:
        require_agreement(every[0][1], simulations, _declared(config) if (every[0][0], scale) == ("micro", "meso") else None)
    if any(name.startswith("rollout_") for name in needed):
        from probtokens.predict.store import require_free_names

        try:
            require_free_names(config.data.context)
        except ValueError as error:
            raise ValueError(f"data.{error}") from None
    if "evaluate" in needed and (config.rollout.scale, "test") in known:
        _require_threshold(config, known[config.rollout.scale, "test"])
    if "train_micro" in needed:
        _require_patches(config, known, tokens)
    if config.data.mirrored and not needed.isdisjoint(_TRAININGS):
        _require_mirrors(known)
    _require_trainable(config, known, tokens, chosen)
    tested = known.get((config.rollout.scale, "test"))
    if "report" in chosen and tested is not None and config.report.simulation >= tested.count:
        raise fault(tested.path, f"report.simulation in 0..{tested.count - 1}", config.report.simulation, where="test simulations")


def _asked_for(config: Config, stages: Sequence[Stage], chosen: Collection[str]) -> Collection[str]:
    """Stages that have to fit: where given simulations are checked those of a whole run; simulating alone is free."""
    if any(stage.command != "simulate" for stage in stages if stage.name in chosen):
        return chosen
    given = any(getattr(config.data, scale) is not None for scale in config.scales)
    return {*chosen, *required(stages, "report")} if given else ()


def _known(config: Config, folder: RunFolder, needed: frozenset[str]) -> _Known:
    """Simulations that the needed stages take, by scale and split."""
    found: _Known = {}
    for scale in config.scales:
        if f"check_{scale}" in needed:
            for split in used_splits(config, scale):
                opened = open_split(config, folder, scale, split)
                found[scale, split] = _Simulations(opened.fields, opened.context_names, opened.files, opened.grid, len(opened))
        elif f"simulate_{scale}" in needed:
            found |= _planned(config, scale, needed)
    return found


def _planned(config: Config, scale: Scale, needed: frozenset[str]) -> _Known:
    from probtokens.data.trajectories import require_names
    from probtokens.simulate.shard import planned

    campaign, data = config.simulate.campaigns[scale], config.data
    info = planned(Path(f"simulate.{scale}"), campaign, config.simulate.physics)
    of_micro = {"train_micro"} if config.data.micro_tokens is None else {"train_meso"}
    forecast = scale == config.rollout.scale and any(name.startswith("rollout_") for name in needed)
    own = forecast and any(f"rollout_{name}" in needed and entry not in OWN_MODELS for name, entry in config.rollout.names.items())
    trained = own or not needed.isdisjoint(of_micro if scale == "micro" else {"train_meso", "train_parc"})
    if trained or forecast:
        require_names(info, data.fields, data.context)
    found: _Known = {}
    fields = tuple(info.spec(name, odd=data.odd.get(name)) for name in data.fields) if trained or forecast else ()
    used: tuple[Split, ...] = (*(("train",) if trained else ()), *(forecast_splits(config) if forecast else ()))
    for split in used:
        count = getattr(campaign, f"n_{split}")
        if count < 1:
            raise fault(info.path, f"n_{split} of at least 1", count)
        found[scale, split] = _Simulations(fields, data.context, (info,), info.grid, count)
    return found


def _learned_from(tokens: MicroTokens, path: Path) -> _Simulations:
    """What given tokens know of the simulations that they have learned from; edges and units of scalars are not among it."""
    names = tuple(spec.name for spec in tokens.fields)
    info = ShardInfo(
        path=path,
        n_simulations=0,
        grid=tokens.grid,
        rounding={"spacing": 0.0, "time_step": 0.0},
        fields=names,
        units={spec.name: spec.unit for spec in tokens.fields},
        scalars=tokens.normalizer.context_names,
        attributes={},
        boundary={},
        sources={},
    )
    return _Simulations(tokens.fields, tokens.normalizer.context_names, (info,), tokens.grid, 0)


def _declared(config: Config) -> Ratios:
    """Cell size and frame step of meso data in those of micro data, and the keys that declare them."""
    return {
        "spacing": Declared(config.data.meso_cell_width, "data.meso_cell_width"),
        "time_step": Declared(config.data.meso_steps_per_frame, "data.meso_steps_per_frame"),
    }


def _require_threshold(config: Config, tested: _Simulations) -> None:
    """The threshold that a recipe leaves out is of a temperature in kelvin."""
    settings = config.evaluate
    unit = tested.files[0].units[settings.hotspot_field]
    if "hotspot_threshold" not in settings.model_fields_set and unit != KNOWN_FIELDS["temperature"].unit:
        expected = f"evaluate.hotspot_threshold in {unit!r}, the unit of {settings.hotspot_field!r}"
        raise fault(tested.path, expected, f"none, and the default of {settings.hotspot_threshold:g} is in kelvin")


def _require_patches(config: Config, known: _Known, tokens: MicroTokens | None) -> None:
    patch = config.micro.tokens.patch if tokens is None else tokens.patch
    given = config.data.micro_tokens
    whose = "micro.tokens.patch" if given is None else f"the patch of {shown(given, beside=True)}"
    for (scale, _), simulations in known.items():
        width = config.data.meso_cell_width if scale == "meso" else 1.0
        if width > 1.0 and patch % round(width):
            raise fault(simulations.path, f"data.meso_cell_width as a divisor of {patch} ({whose})", f"{width:g}", where="cell size")
        (ny, nx), cells = simulations.grid.shape, round(patch / width)
        if ny % cells or nx % cells:
            why = whose if width == 1.0 else f"{whose} over data.meso_cell_width"
            raise fault(simulations.path, f"ny and nx as multiples of {cells} ({why})", f"{ny} and {nx}", where="grid")


def _require_mirrors(known: _Known) -> None:
    """Mirror images along y have the edges of the simulations that they are of."""
    for simulations in known.values():
        bottom, top = (simulations.files[0].boundary[side] for side in ("bottom", "top"))
        if bottom != top:
            wanted = "bottom and top of one kind with data.symmetry [mirror_y]; [] is for what has no such symmetry"
            raise fault(simulations.path, wanted, f"{bottom} and {top}", where="edges")


def _require_trainable(config: Config, known: _Known, tokens: MicroTokens | None, chosen: Collection[str]) -> None:
    """Make the models that would be trained, and see that every stage of their schedules can begin."""
    import torch

    from probtokens.baselines import Parc
    from probtokens.data import Normalizer
    from probtokens.models.base import check_schedule
    from probtokens.models.meso import MesoTokens
    from probtokens.models.micro import MicroTokens

    def check(key: str, model: nn.Module, simulations: _Simulations, devices: int = 1) -> None:
        section = getattr(config, key)
        with _about(simulations.path, f"{key}.stages"):
            _require_own_horizons(section, simulations.grid.n_times)
            if (count := sum(parameter.numel() for parameter in model.parameters())) > MAX_PARAMETERS:
                raise ValueError(f"expected a model of at most {MAX_PARAMETERS} numbers to learn, got widths that make {count} of them")
            check_schedule(model, section.stages, simulations.grid.n_times, devices)

    def normalizer(simulations: _Simulations) -> Normalizer:
        return Normalizer(simulations.fields, simulations.context_names)

    micro, meso = known.get(("micro", "train")), known.get(("meso", "train"))
    # Models of settings alone take no memory and draw nothing, whatever widths are asked for.
    with torch.random.fork_rng(devices=()), torch.device("meta" if tokens is None else "cpu"):
        if "train_micro" in chosen and tokens is None and micro is not None:
            check("micro", MicroTokens(config.micro.tokens, normalizer(micro), micro.grid), micro, config.micro.devices)
        if meso is None or {"train_meso", "train_parc"}.isdisjoint(chosen):
            return
        wanted = config.meso.n_simulations
        if wanted is not None and wanted > meso.count:
            raise fault(meso.path, f"meso.n_simulations of at most the {meso.count} training simulations", wanted)
        if "train_meso" in chosen:
            building_block = tokens or MicroTokens(config.micro.tokens, normalizer(meso), meso.grid)
            check("meso", MesoTokens(building_block, config.meso, meso.count, meso.grid.n_times), meso, config.meso.devices)
        if "train_parc" in chosen:
            with _about(meso.path, "parc"):
                model = Parc(config.parc, normalizer(meso), meso.grid)
            check("parc", model, meso)


@contextmanager
def _about(path: Path, key: str) -> Iterator[None]:
    """Errors name the file that the recipe's key does not fit, and the key."""
    try:
        yield
    except ValueError as error:
        raise prefixed(error, path, key) from None


def _require_own_horizons(section: Any, n_times: int) -> None:
    """Refuse horizons that the user chose and that no simulation has; those of the package's own schedule are cut, with a warning."""
    if section.stages == type(section).model_fields["stages"].default:
        return
    for stage in section.stages:
        if stage.horizon >= n_times:
            raise ValueError(f"{stage.name}: horizon: expected 0..{n_times - 1} for simulations of {n_times} frames, got {stage.horizon}")
