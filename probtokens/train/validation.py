"""How good forecasts are while a model learns."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from probtokens.data.trajectories import TrajectorySet
from probtokens.evaluate import scores
from probtokens.models.base import told
from probtokens.predict.rollout import check_rollout_request, simulation_seed

#: Simulations and members of a score: enough to see whether forecasts become better, at the cost of some steps.
_SIMULATIONS = 8
_MEMBERS = 8


def forecast_score(model: Any, trajectories: TrajectorySet, n_steps: int, *, seed: int = 0) -> float:
    """Fair CRPS of forecasts from first frames, in standard units, mean over forecast fields, cells, leads and up to 8 simulations.

    Parameters
    ----------
    model
        A :class:`~probtokens.models.base.Forecaster` with a ``normalizer``; 8 members are drawn.
    trajectories
        Simulations that the model has not learned from, with the model's fields in its order.
    n_steps
        Leads 1 … ``n_steps`` are scored.
    seed
        Seed of all draws: the same ones whenever it is called.

    Raises
    ------
    ValueError
        If fields or numbers of frames do not fit.
    """
    check_rollout_request(model, trajectories, _MEMBERS)
    where, scale = model.normalizer.field_scale.device, model.normalizer.field_scale.cpu().numpy()[:, None, None]
    forecast_fields = [number for number, spec in enumerate(trajectories.fields) if not spec.constant]
    found = []
    for number in range(min(_SIMULATIONS, len(trajectories))):
        truth = trajectories.frames(number, 0, n_steps + 1)
        with told():
            forecast = model.forecast(
                torch.tensor(truth[:1]).to(where),
                torch.tensor(trajectories.context[number : number + 1]).to(where),
                grid=trajectories.grid,
                n_steps=n_steps,
                n_draws=_MEMBERS,
                seed=simulation_seed(seed, number),
            )
        with torch.no_grad():
            for lead, frame in enumerate(forecast, start=1):
                members = frame[:, 0].cpu().numpy() / scale
                found.append(scores.crps(members, truth[lead] / scale)[forecast_fields].mean())
    return float(np.mean(found))


class Validation(Callback):
    """Keeps the score of forecasts every so many steps, and after the last."""

    def __init__(self, trajectories: TrajectorySet, horizon: int, every: int) -> None:
        self.trajectories = trajectories
        self.n_steps = max(1, min(horizon, trajectories.grid.n_times - 1))
        self.every = every
        self.scores: list[tuple[int, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What is kept in checkpoints."""
        return {"scores": list(self.scores)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.scores = list(state_dict["scores"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Score forecasts if it is time."""
        step = trainer.global_step
        if trainer.is_global_zero and (step % self.every == 0 or step == pl_module.stage.steps):
            pl_module.model.eval()
            self.scores.append((step, forecast_score(pl_module.model, self.trajectories, self.n_steps)))
            pl_module.model.train()
