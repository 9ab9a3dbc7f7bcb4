"""Rollouts of every model on the validation and the test simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probtokens.config.forecast import OWN_MODELS
from probtokens.pipeline.stage import Job
from probtokens.pipeline.work.simulations import forecast_splits, open_split
from probtokens.pipeline.work.training import meso_training_set

if TYPE_CHECKING:
    from probtokens.data import TrajectorySet
    from probtokens.models.base import Forecaster


def rollout(job: Job, *, model: str) -> dict[str, str]:
    """Forecast the splits that there are; one that an interrupted call has finished is kept. Told is the precision of the model."""
    from probtokens.predict import write_rollout

    precision: dict[str, str] = {}
    for split in forecast_splits(job.config):
        path = job.folder.rollout(model, split)
        if path.exists():
            continue
        trajectories = open_split(job.config, job.folder, job.config.rollout.scale, split)
        forecaster = _forecaster(job, model, trajectories)
        precision[split] = getattr(forecaster, "precision", "float32")
        write_rollout(
            forecaster,
            trajectories,
            path,
            members=job.config.rollout.members,
            seed=job.config.seed,
            progress=job.progress,
        )
    return precision


def _forecaster(job: Job, model: str, trajectories: TrajectorySet) -> Forecaster:
    """Load a trained model, or make one that needs no training or sees to it itself."""
    entry = job.config.rollout.names[model]
    if entry not in OWN_MODELS:
        from probtokens.models.foreign import make_forecaster

        scale = job.config.rollout.scale
        return make_forecaster(entry, meso_training_set(job) if scale == "meso" else open_split(job.config, job.folder, scale, "train"))
    if model == "persistence":
        from probtokens.baselines import Persistence

        return Persistence(trajectories)
    if model == "parc":
        return _parc(job)
    from probtokens.pipeline.tokens_of_run import load_tokens

    return load_tokens(model, job.folder.model, job.config)


def _parc(job: Job) -> Forecaster:
    """PARC as the recipe describes it, with the trained weights and normalisation, and fields and grid of its training simulations."""
    from probtokens.baselines import Parc
    from probtokens.data import Normalizer
    from probtokens.models.files import load_stage

    trajectories = open_split(job.config, job.folder, "meso", "train")
    normalizer = Normalizer(trajectories.fields, trajectories.context_names, trajectories.context_units)
    model = Parc(job.config.parc, normalizer, trajectories.grid, mirrored=job.config.data.mirrored)
    load_stage(job.folder.model("parc"), model)
    return model.eval()
