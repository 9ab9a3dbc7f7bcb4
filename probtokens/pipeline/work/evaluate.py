"""Scores of the test rollouts, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probtokens import __version__
from probtokens.config import Config
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.stage import Job
from probtokens.pipeline.work.simulations import duplicates, open_split

if TYPE_CHECKING:
    from probtokens.predict import Recalibration


def evaluate(job: Job) -> None:
    """Score every model; recalibration is fitted on its validation rollout alone."""
    from probtokens.evaluate import score_rollout, write_scores
    from probtokens.predict import open_rollout

    settings, models = job.config.evaluate, job.config.rollout.models
    n_meso = _n_meso(job)
    entries: dict[str, dict[str, Any]] = {}
    for done, model in enumerate(models):
        job.progress(done, len(models), model)
        with open_rollout(job.folder.rollout(model, "test")) as rollout:
            entries[model] = score_rollout(
                rollout,
                hotspot=settings.hotspot,
                coverage_levels=settings.coverage,
                recalibration=_recalibrate(job, model) if settings.recalibrate else None,
            )
            entries[model]["n_meso"] = n_meso[model]
            n_test = rollout.sizes["simulation"]
    write_scores(job.folder.scores, entries, settings.hotspot, job.config.rollout.members, n_test, provenance(job.config, job.folder))


def report(job: Job) -> None:
    """Write the HTML report."""
    from probtokens.report import write_report

    write_report(job.folder.root, job.folder.report)


def _recalibrate(job: Job, model: str) -> Recalibration:
    """Fit on the validation rollout; what was fitted is kept for forecasts to come."""
    from probtokens.predict import fit_recalibration, open_rollout

    with open_rollout(job.folder.rollout(model, "valid")) as rollout:
        recalibration = fit_recalibration(rollout)
    recalibration.save(job.folder.recalibration(model))
    return recalibration


def _n_meso(job: Job) -> dict[str, int | None]:
    """Meso simulations that each model learned from; ``None`` for one that does not learn."""
    if job.config.rollout.scale == "micro":
        return {"micro_tokens": 0, "persistence": None}
    wanted = job.config.meso.n_simulations
    used = len(open_split(job.config, job.folder, "meso", "train")) if wanted is None else wanted
    return {"tokens": used, "micro_tokens": 0, "parc": used, "persistence": None}


def provenance(config: Config, folder: RunFolder) -> dict[str, Any]:
    """What the scores come from; the same for the same run, whenever and wherever it was made."""
    sources: dict[str, str] = {scale: "given" if getattr(config.data, scale) else "simulated" for scale in config.scales}
    if config.data.micro_tokens is not None:
        sources["micro_tokens"] = f"given, sha256 {file_digest(folder.model('micro'))}"
    found: dict[str, Any] = {"version": __version__, "name": config.name, "seed": config.seed, "data": sources}
    if again := duplicates(config, folder):
        found["duplicates"] = again
    return found
