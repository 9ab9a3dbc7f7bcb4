"""The stages of a run and what each depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from probtokens.config import Config
from probtokens.config.forecast import OWN_MODELS
from probtokens.models.foreign import code_of
from probtokens.pipeline import work
from probtokens.pipeline.fingerprint import file_digest, file_manifest
from probtokens.pipeline.folder import RunFolder, Scale
from probtokens.pipeline.stage import Stage, Work
from probtokens.pipeline.tokens_of_run import TOKEN_MODELS

_DATA_FILES = ("*/*.hdf5", "*/*.h5", "data/*/*.hdf5", "data/*/*.h5")

#: Settings that say what frames hold.
_FRAMES = ("data.fields", "data.context", "data.odd")


def build_stages(config: Config, folder: RunFolder) -> tuple[Stage, ...]:
    """All stages that a recipe describes, each after the ones it needs.

    Raises
    ------
    ValueError
        If the recipe names tokens that lie where the run would put them.
    """
    data = {scale: _data_stage(config, folder, scale) for scale in config.scales}
    names = config.rollout.names
    training = _training_stages(config, folder, {scale: stage.name for scale, stage in data.items()})
    rollouts = _rollout_stages(config, folder, data[config.rollout.scale].name, {stage.name for stage in training})
    token_rollouts = {f"rollout_{model}" for model in TOKEN_MODELS}  # whose evaluation asks the model itself
    read = [need for stage in rollouts for need in (stage.name, *(stage.needs if stage.name in token_rollouts else ()))]
    evaluate = Stage(
        name="evaluate",
        command="evaluate",
        needs=tuple(dict.fromkeys(read)),
        settings=_settings(config, "evaluate") | {"seed": config.seed, "models": list(names)},
        outputs=(folder.scores, *(folder.recalibration(model) for model in names if config.evaluate.recalibrate)),
        work=work.evaluate,
    )
    report = Stage(
        name="report",
        command="report",
        needs=("evaluate",),
        settings=_settings(config, "report", "name"),
        outputs=(folder.report,),
        work=work.report,
    )
    shifts = [_simulation_stage(config, folder, name) for name in config.simulate.shifts]
    return (*data.values(), *shifts, *training, *rollouts, evaluate, report)


def required(stages: Sequence[Stage], target: str) -> frozenset[str]:
    """Names of the stage ``target`` and of all that it needs, directly or not."""
    needs = {stage.name: stage.needs for stage in stages}
    found: set[str] = set()
    open_names = [target]
    while open_names:
        name = open_names.pop()
        if name not in found:
            found.add(name)
            open_names.extend(needs[name])
    return frozenset(found)


def run_by(stages: Sequence[Stage], command: str) -> frozenset[str]:
    """Names of the stages that a sub-command of ``probtokens`` runs.

    Raises
    ------
    ValueError
        If the recipe has nothing for it to do.
    """
    names = frozenset(stage.name for stage in stages if stage.command == command)
    if not names:
        raise ValueError(f"{command}: expected a recipe that has such a stage, got one with {sorted({s.command for s in stages})}")
    return names


def _data_stage(config: Config, folder: RunFolder, scale: Scale) -> Stage:
    """Simulate, or check the files that the recipe names."""
    given = getattr(config.data, scale)
    if given is None:
        return _simulation_stage(config, folder, scale)
    return Stage(
        name=f"check_{scale}",
        command="simulate",
        needs=(),
        settings={"files": file_manifest(given, _DATA_FILES), **_settings(config, "data.fields", "data.context")},
        outputs=(folder.checked(scale),),
        work=partial(work.check_data, scale=scale),
    )


def _simulation_stage(config: Config, folder: RunFolder, campaign: str) -> Stage:
    from probtokens.simulate.campaign import campaign_settings

    settings = campaign_settings(config.simulate.campaigns[campaign])
    return Stage(
        name=f"simulate_{campaign}",
        command="simulate",
        needs=(),
        settings={**_settings(config, "simulate.physics", "seed"), f"simulate.{campaign}": settings},
        outputs=(folder.data(campaign),),
        work=partial(work.simulate, campaign=campaign),
        reusable=partial(work.reusable_simulations, config, folder, campaign),
    )


def _training_stages(config: Config, folder: RunFolder, data: Mapping[Scale, str]) -> list[Stage]:
    common = _settings(config, *_FRAMES, "data.symmetry", "seed")
    if config.data.micro_tokens is None:
        micro = _training(folder, "micro", (data["micro"],), common | _settings(config, "micro"), work.train_micro)
    else:
        digest = file_digest(config.data.micro_tokens)
        settings = _settings(config, *_FRAMES) | {"data.micro_tokens": digest}
        micro = _training(folder, "micro", (), settings, partial(work.take_micro, digest=digest))
        _require_outside(config.data.micro_tokens, folder.training("micro"))
    stages = [micro]
    if "meso" in data:
        learned_from: tuple[Scale, ...] = () if config.meso.n_simulations == 0 else ("micro", "meso") if config.replays else ("meso",)
        needs = ("train_micro", *(data[scale] for scale in learned_from))
        settings = common | _settings(config, "meso") | _declared_ratios(config)
        stages.append(_training(folder, "meso", needs, settings, work.train_meso))
    if "meso" in data and "parc" in config.rollout.models and config.meso.n_simulations != 0:
        stages.append(_training(folder, "parc", (data["meso"],), common | _settings(config, "parc", "meso.n_simulations"), work.train_parc))
    return stages


def _training(folder: RunFolder, model: str, needs: tuple[str, ...], settings: dict[str, Any], do: Work) -> Stage:
    return Stage(f"train_{model}", f"train {model}", needs, settings, (folder.training(model),), do)


def _require_outside(given: Path, own: Path) -> None:
    if given.resolve().is_relative_to(own.resolve()):
        raise ValueError(f"data.micro_tokens: {given}: expected a file outside {own}, which the run replaces; copy it elsewhere first")


def _rollout_stages(config: Config, folder: RunFolder, data: str, trained: Collection[str]) -> list[Stage]:
    sources = {
        "tokens": "train_meso",
        "micro_tokens": "train_micro",
        "parc": "train_parc",
        "persistence": data,
    }
    stages = []
    for model, entry in config.rollout.names.items():
        source = sources.get(entry, data)
        if source not in (*trained, data):  # which a recipe that is asked about its forecasts does not name
            continue
        stages.append(
            Stage(
                name=f"rollout_{model}",
                command="rollout",
                needs=tuple(dict.fromkeys((source, data))),
                settings=_settings(config, *_FRAMES, "rollout.members", "rollout.scale", "seed")
                | (_declared_ratios(config) if entry == "micro_tokens" and config.rollout.scale == "meso" else {})
                | ({} if entry in OWN_MODELS else {"code": code_of(entry), "meso.n_simulations": config.meso.n_simulations}),
                outputs=tuple(folder.rollout(model, split) for split in work.forecast_splits(config)),
                work=partial(work.rollout, model=model),
            )
        )
    return stages


def _declared_ratios(config: Config) -> dict[str, Any]:
    """Ratios of meso data to micro data that a recipe declares; none where they are alike."""
    return {key: value for key, value in _settings(config, "data.meso_cell_width", "data.meso_steps_per_frame").items() if value != 1}


def _settings(config: Config, *keys: str) -> dict[str, Any]:
    """Parts of the configuration as JSON-like values, by dotted key."""
    dumped = config.model_dump(mode="json")
    found = {}
    for key in keys:
        value: Any = dumped
        for part in key.split("."):
            value = value[part]
        found[key] = value
    return found
