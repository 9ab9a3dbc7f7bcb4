"""Calibration of an ensemble as ArviZ draws it; the same calls with arviz_plots 0.8 and 1.x."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import xarray as xr
from matplotlib.figure import Figure

Kind = Literal["pit", "coverage", "reliability"]

#: What the axes of each diagram are.
_LABELS = {
    "pit": ("probability integral transform", "share of truths below − uniform"),
    "coverage": ("central interval [%]", "share of truths inside − nominal"),
    "reliability": ("forecast probability of {event}", "observed frequency"),
}


def calibration_plot(tree: xr.DataTree, kind: Kind, field: str, *, threshold: float | None = None, band: float = 0.99) -> Figure:
    """One diagram of one field of an ensemble.

    Parameters
    ----------
    tree
        As :func:`probtokens.to_arviz` returns it, with ``observed_data``.
    kind
        ``"pit"``: distribution of the truth's ranks among the members, less the uniform one. ``"coverage"``: the same of how central the
        truth is. ``"reliability"``: how often an event came about against how often it was forecast (Dimitriadis, Gneiting and Jordan,
        PNAS 118, 2021).
    field
        Name of the field.
    threshold
        The event is that a value exceeds it, in the field's unit; of ``"reliability"`` alone.
    band
        Probability of a band in which a calibrated ensemble stays (arviz_plots 0.8), or of its test of uniformity (1.x).

    Returns
    -------
    Figure
        A figure of matplotlib.

    Raises
    ------
    ValueError
        If the tree lacks the field or its truth, the kind is unknown, or a threshold is missing or has no meaning.

    Examples
    --------
    >>> from probtokens import rollout, to_arviz
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> tree = to_arviz(rollout(micro_tokens(), frames[:, 0], context, steps=3, draws=20), frames)
    >>> calibration_plot(tree, "pit", "temperature").savefig("/dev/null", format="png")
    """
    import arviz_plots

    for group in ("posterior_predictive", "observed_data"):
        if group not in tree.children or field not in tree[group].data_vars:
            found = list(tree[group].data_vars) if group in tree.children else "no such group"
            raise ValueError(f"{group}: expected a variable {field!r}, got {found}")
    if kind not in ("pit", "coverage", "reliability"):
        raise ValueError(f"kind: expected 'pit', 'coverage' or 'reliability', got {kind!r}")
    if (threshold is None) is (kind == "reliability"):
        raise ValueError(f"threshold: expected one of 'reliability' and none of others, got {threshold} of {kind!r}")
    if threshold is not None:
        drawn = arviz_plots.plot_ppc_pava(_events(tree, field, threshold), data_type="binary", backend="matplotlib", ci_prob=band)
    else:
        # 0.8 draws a band of all ranks at once, 1.x marks the ranks that are suspicious by a test that holds for dependent ones too.
        known = inspect.signature(arviz_plots.plot_ppc_pit).parameters
        name: dict[str, Any] = {"envelope_prob" if "envelope_prob" in known else "ci_prob": band}
        drawn = arviz_plots.plot_ppc_pit(tree, var_names=[field], coverage=kind == "coverage", backend="matplotlib", **name)
    figure: Figure = drawn.viz["figure"].item()
    x, y = _LABELS[kind]
    figure.axes[0].set(xlabel=x if threshold is None else x.format(event=f"{field} > {threshold:g}"), ylabel=y)
    figure.set_layout_engine("constrained")
    return figure


def _events(tree: xr.DataTree, field: str, threshold: float) -> xr.DataTree:
    """Members and truth as 1 where a value exceeds the threshold and 0 elsewhere."""
    groups = ("posterior_predictive", "observed_data")
    return xr.DataTree.from_dict({group: (tree[group].to_dataset()[[field]] > threshold).astype(int) for group in groups})
