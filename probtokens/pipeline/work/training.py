"""Training: micro tokens, meso tokens, and PARC on the same meso simulations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from probtokens.config import Config, MesoConfig, MicroConfig, ParcConfig
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.stage import Job
from probtokens.pipeline.work.simulations import open_split
from probtokens.precision import Precision
from probtokens.weights import resolved

if TYPE_CHECKING:
    from torch import nn

    from probtokens.data import TrajectorySet
    from probtokens.models.micro import MicroTokens


def train_micro(job: Job) -> dict[str, Precision]:
    """Learn micro tokens from the single-pore simulations; told is the precision of every training stage."""
    import torch

    from probtokens.models.micro import MicroTokens
    from probtokens.report.model_card import write_card
    from probtokens.train.loop import n_frames

    trajectories = open_split(job.config, job.folder, "micro", "train")
    _reads(job, job.config.micro)
    torch.manual_seed(job.config.seed)
    model = MicroTokens.untrained(trajectories, job.config.micro.tokens)
    precisions = _fit(job, "micro", job.config.micro, model, trajectories, job.config.micro.devices)
    model.save(job.folder.model("micro"))
    write_card(
        job.folder.model("micro"),
        model,
        _training_facts(job, job.config.micro, n_frames(trajectories), precisions, {"micro simulations": len(trajectories)}),
    )
    return precisions


def take_micro(job: Job, *, digest: str | None) -> None:
    """Use the trained micro tokens that the recipe names; ``digest`` is of the file as it was when the run began.

    Raises
    ------
    ValueError
        If they are not there, do not fit the recipe or have changed since.
    """
    from probtokens.models.files import copy_model

    given_micro(job.config)
    source, copy = job.config.data.micro_tokens, job.folder.model("micro")
    assert source is not None
    copy_model(source, copy)
    if file_digest(copy) != digest:
        copy.unlink()
        raise ValueError(f"{source}: expected the file to stay as it was when the run began, found it changed; run again")


def given_micro(config: Config) -> MicroTokens:
    """Trained micro tokens that the recipe names.

    Raises
    ------
    ValueError
        If they are not there or do not fit the recipe's fields, context or symmetry.
    """
    from probtokens.models.micro import MicroTokens

    data = config.data
    assert data.micro_tokens is not None
    source = resolved(data.micro_tokens)
    model = MicroTokens.load(source)
    found = {"fields": [spec.name for spec in model.fields], "context": list(model.normalizer.context_names)}
    for key, names in found.items():
        if names != (expected := list(getattr(data, key))):
            raise ValueError(f"{source}: expected micro tokens of data.{key} {expected}, got {names}")
    if model.tokens.views != "one" and not data.mirrored:
        raise ValueError(f"{source}: expected tokens with views 'one' without mirror_y in data.symmetry, got {model.tokens.views!r}")
    return model


def train_meso(job: Job) -> dict[str, Precision]:
    """Adapt trained micro tokens to few meso simulations, or to none; told is the precision of every training stage."""
    import torch

    from probtokens.data import subset_order
    from probtokens.models.meso import MesoTokens
    from probtokens.models.micro import MicroTokens
    from probtokens.report.model_card import write_card
    from probtokens.train.loop import n_frames

    micro = MicroTokens.load(job.folder.model("micro"))
    micro = micro.on(job.config.data.meso_grid(micro.grid))
    if job.config.meso.n_simulations == 0:
        model = MesoTokens.of_prior(micro, job.config.meso)
        model.save(job.folder.model("meso"))
        write_card(job.folder.model("meso"), model, {"meso simulations": "0", "seed": str(job.config.seed)})
        return {}
    trajectories = meso_training_set(job)
    torch.manual_seed(job.config.seed)
    model = MesoTokens.untrained(micro, trajectories, job.config.meso)
    replayed = None
    if job.config.replays:
        replayed = open_split(job.config, job.folder, "micro", "train")
        replayed = replayed.subset(subset_order(len(replayed), job.config.seed)[: job.config.meso.replay])
    precisions = _fit(job, "meso", job.config.meso, model, trajectories, job.config.meso.devices, replayed)
    model.save(job.folder.model("meso"))
    facts = _training_facts(job, job.config.meso, n_frames(trajectories, replayed), precisions, {"meso simulations": len(trajectories)})
    write_card(job.folder.model("meso"), model, facts)
    return precisions


def train_parc(job: Job) -> dict[str, Precision]:
    """Learn PARC from the simulations that meso tokens learn from, and from no others; told is each stage's precision."""
    import torch

    from probtokens.baselines import Parc
    from probtokens.data.atomic import replacing

    trajectories = meso_training_set(job)
    _reads(job, job.config.parc)
    torch.manual_seed(job.config.seed)
    model = Parc.untrained(trajectories, job.config.parc, mirrored=job.config.data.mirrored)
    precisions = _fit(job, "parc", job.config.parc, model, trajectories)
    with replacing(job.folder.model("parc")) as temporary:
        torch.save(model.state_dict(), temporary)
    return precisions


def meso_training_set(job: Job) -> TrajectorySet:
    """The first ``meso.n_simulations`` training simulations in the nested order of the seed; all if not set.

    Raises
    ------
    ValueError
        If there are fewer.
    """
    from probtokens.data import subset_order

    trajectories = open_split(job.config, job.folder, "meso", "train")
    wanted = job.config.meso.n_simulations
    if wanted is None:
        return trajectories
    if wanted > len(trajectories):  # fewer than planned where runs have failed
        raise ValueError(f"meso.n_simulations: expected at most the {len(trajectories)} training simulations, got {wanted}")
    return trajectories.subset(subset_order(len(trajectories), job.config.seed)[:wanted])


def _training_facts(
    job: Job, settings: MicroConfig | MesoConfig, n_times: int, precisions: Mapping[str, str], data: Mapping[str, int]
) -> dict[str, str]:
    """What a model card says of a training."""
    stages = "; ".join(
        f"{stage.name} ({stage.objective}, {stage.steps} steps, horizon {stage.within(n_times).horizon}, {precisions[stage.name]})"
        for stage in settings.stages
    )
    return {name: str(number) for name, number in data.items()} | {"stages": stages, "seed": str(job.config.seed)}


def _fit(
    job: Job,
    name: str,
    settings: MicroConfig | MesoConfig | ParcConfig,
    model: nn.Module,
    trajectories: TrajectorySet,
    devices: int = 1,
    replayed: TrajectorySet | None = None,
) -> dict[str, Precision]:
    """Train in the model's own folder, from which an interrupted training goes on; the precision of every stage."""
    from probtokens.train import train_stages
    from probtokens.train.stages import over_all_stages

    told = train_stages(
        model,
        trajectories,
        settings.stages,
        weight_decay=settings.weight_decay,
        seed=job.config.seed,
        out_dir=job.folder.training(name),
        reflect=job.config.data.mirrored,
        devices=devices,
        progress=over_all_stages(settings.stages, job.progress),
        encoding=lambda stage, done, total: job.progress(done, total, f"simulations encoded for {stage}"),
        replay=replayed,
    )
    return {name: stage.precision for name, stage in told.items()}


def _reads(job: Job, settings: MicroConfig | ParcConfig) -> None:
    """Tell that all simulations are read first: models begin with means and scales of the data."""
    job.progress(0, sum(stage.steps for stage in settings.stages), "training simulations are read")
