"""Scores of the test rollouts, and the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from probtokens import __version__
from probtokens.config import Config
from probtokens.config.forecast import OWN_MODELS
from probtokens.models.foreign import code_of
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.folder import RunFolder, Split
from probtokens.pipeline.stage import Job
from probtokens.pipeline.tokens_of_run import TOKEN_MODELS, load_tokens
from probtokens.pipeline.work.simulations import duplicates, open_split

if TYPE_CHECKING:
    import xarray as xr

    from probtokens.predict import Recalibration

#: Test simulations whose evidence is bounded: each takes seconds.
_BOUNDED = 8


def evaluate(job: Job) -> None:
    """Score every model; recalibration is fitted on its validation rollout alone."""
    from probtokens.evaluate import score_rollout, write_scores
    from probtokens.predict import open_rollout

    settings, models = job.config.evaluate, job.config.rollout.names
    n_meso = _n_meso(job)
    n_own = n_meso.get("tokens", 0)  # own models are given the same simulations
    entries: dict[str, dict[str, Any]] = {}
    progress = _by_frame(job)
    for model, entry in models.items():
        with ExitStack() as stack:
            rollout = stack.enter_context(open_rollout(job.folder.rollout(model, "test")))
            validation = stack.enter_context(open_rollout(job.folder.rollout(model, "valid"))) if settings.recalibrate else None
            entries[model] = score_rollout(
                rollout,
                hotspot=settings.hotspot,
                coverage_levels=settings.coverage,
                recalibration=None if validation is None else _recalibrate(job, model, validation, progress(model, "valid")),
                validation=validation,
                progress=progress(model, "test"),
            )
            entries[model]["n_meso"] = n_meso.get(model, n_own)
            n_test = rollout.sizes["simulation"]
        if entry in TOKEN_MODELS:
            entries[model]["evidence_bound"] = _evidence_bound(job, model)
    write_scores(job.folder.scores, entries, settings.hotspot, job.config.rollout.members, n_test, provenance(job.config, job.folder))


def report(job: Job) -> None:
    """Write the HTML report."""
    from probtokens.report import write_report

    write_report(job.folder.root, job.folder.report, progress=job.progress)


def _by_frame(job: Job) -> Callable[[str, Split], Callable[[int, int], None]]:
    """Progress of the frames of one rollout as progress of all that are read."""
    from probtokens.predict import open_rollout

    total, before = 0, {}
    splits: tuple[Split, ...] = ("valid", "test") if job.config.evaluate.recalibrate else ("test",)
    for model in job.config.rollout.names:
        for split in splits:
            before[model, split] = total
            with open_rollout(job.folder.rollout(model, split)) as rollout:
                total += rollout.sizes["simulation"] * (rollout.sizes["time"] - 1)

    def progress(model: str, split: Split) -> Callable[[int, int], None]:
        return lambda done, _: job.progress(before[model, split] + done, total, f"{model}, frames of {split} simulations")

    return progress


def _recalibrate(job: Job, model: str, validation: xr.Dataset, progress: Callable[[int, int], None]) -> Recalibration:
    """Fit on the validation rollout; what was fitted is kept for forecasts to come."""
    from probtokens.predict import fit_recalibration

    recalibration = fit_recalibration(validation, progress)
    recalibration.save(job.folder.recalibration(model))
    return recalibration


def _evidence_bound(job: Job, model: str) -> dict[str, Any]:
    """How probable a token model finds the beginning of test simulations."""
    from probtokens.evaluate.global_sites import evidence_bound

    tests = open_split(job.config, job.folder, job.config.rollout.scale, "test")
    tokens = load_tokens(model, job.folder.model, job.config)
    return evidence_bound(tokens, tests.subset(range(min(_BOUNDED, len(tests)))), seed=job.config.seed)


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
    if own := {name: code_of(entry) for name, entry in config.rollout.names.items() if entry not in OWN_MODELS}:
        found["own models"] = own
    if again := duplicates(config, folder):
        found["duplicates"] = again
    return found
