"""What crystals look like inside: drawn pores or pieces of a micrograph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from probtokens.config.base import Count, Interval, NonNegative, Positive, Strict

PoreKind = Literal["ellipse", "v", "crack", "cluster"]


class ImageConfig(Strict):
    """Grey image (PNG, PGM or npy) of a section. Lengths in µm.

    Pixels darker (``pores: dark``) or brighter (``bright``) than ``threshold``, a fraction of the full
    range or Otsu's, are voids. Voids whose area is less than that of a disc of ``least_diameter`` are noise and filled.
    ``random_orientation`` turns the image by quarter turns and mirrors it: only for textures without direction.
    With ``separate_splits`` training, validation and test simulations come from parts of the image of their own.
    """

    path: Path
    pixel_size: Positive
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["otsu"] = "otsu"
    pores: Literal["dark", "bright"] = "dark"
    least_diameter: NonNegative = 0.0
    random_orientation: bool = False
    separate_splits: bool = True


class MicrostructureConfig(Strict):
    """Random pores. Lengths in µm.

    ``n_pores`` of them are drawn, or with ``porosity`` (area fraction of voids) as many as come
    nearest to a target from that range. ``diameter`` is that of a disc of about the area of an
    ellipse; a crack is 1.6 times as long, the arms of a V once. It is uniform, or log-normal with ``diameter_median`` (by
    default the geometric centre of the range) and standard deviation ``diameter_log_sd`` of its
    logarithm, both before it is truncated to the range. Kinds are drawn with ``kind_weights``, 1 where none is given.

    With ``image`` random pieces of it take the place of drawn pores; ``porosity`` is then the range that a piece must be in.
    """

    kinds: Annotated[tuple[PoreKind, ...], Field(min_length=1)] = ("ellipse", "v", "crack", "cluster")
    kind_weights: dict[PoreKind, Positive] | None = None
    diameter: Interval = Interval(low=0.3, high=0.8)
    diameter_distribution: Literal["uniform", "log_normal"] = "uniform"
    diameter_median: Positive | None = None
    diameter_log_sd: Positive = 0.4
    n_pores: tuple[Count, Count] = (1, 1)
    porosity: Interval | None = None
    margin: NonNegative = 0.25
    gap: NonNegative = 0.15
    image: ImageConfig | None = None

    @model_validator(mode="after")
    def _ranges(self) -> MicrostructureConfig:
        if self.n_pores[0] > self.n_pores[1]:
            raise ValueError(f"n_pores: expected low <= high, got {self.n_pores[0]} > {self.n_pores[1]}")
        if self.diameter.low <= 0.0:
            raise ValueError(f"diameter: expected low > 0, got {self.diameter.low}")
        if self.porosity is not None and not 0.0 < self.porosity.low <= self.porosity.high < 1.0:
            raise ValueError(f"porosity: expected a range inside 0..1, got {self.porosity.low}..{self.porosity.high}")
        median = self.diameter_median
        if median is not None and not self.diameter.low <= median <= self.diameter.high:
            raise ValueError(f"diameter_median: expected it in diameter {self.diameter.low}..{self.diameter.high}, got {median}")
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> MicrostructureConfig:
        if unknown := sorted(set(self.kind_weights or ()) - set(self.kinds)):
            raise ValueError(f"kind_weights: expected kinds among {list(self.kinds)}, got {unknown}")
        if self.diameter_distribution == "uniform" and self._changed("diameter_median", "diameter_log_sd"):
            raise ValueError("diameter_median, diameter_log_sd: expected diameter_distribution log_normal with them, got uniform")
        if self.porosity is not None and self._changed("n_pores"):
            raise ValueError("expected one of n_pores and porosity, got both")
        drawn = ("kinds", "kind_weights", "diameter", "diameter_distribution", "diameter_median", "diameter_log_sd", "n_pores", "gap")
        if self.image is not None and (changed := self._changed(*drawn)):
            raise ValueError(f"image: expected no settings of drawn pores beside it, got {changed}")
        return self

    def _changed(self, *keys: str) -> list[str]:
        """Keys that have another value than their default: a saved recipe names them all."""
        return [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
