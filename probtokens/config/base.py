"""What sections are made of: bounded numbers, ranges, strictness."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _a_number(value: Any) -> Any:
    """Python counts true and false as 1 and 0; in a recipe they are a slip."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Real = Annotated[float, BeforeValidator(_a_number)]
Int = Annotated[int, BeforeValidator(_a_number)]
Positive = Annotated[Real, Field(gt=0)]
Share = Annotated[Real, Field(gt=0, le=1)]
NonNegative = Annotated[Real, Field(ge=0)]
Finite = Annotated[Real, Field(allow_inf_nan=False)]
#: Counts beyond this are slips, and their products would exceed what arrays can have.
MOST = 10_000_000
Count = Annotated[Int, Field(ge=1, le=MOST)]
Frames = Annotated[Int, Field(ge=2)]
Whole = Annotated[Int, Field(ge=0)]
Seed = Annotated[Int, Field(ge=0, le=2**63 - 1)]
#: Part of a file's name, or an option of a scheduler: nothing that a path or a shell would take for more.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,@:+=-]*$", max_length=100)]


class Strict(BaseModel):
    """Base of all sections: unknown keys and numbers that are not finite are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Strict):
    """Closed range ``low..high`` of a uniformly drawn quantity."""

    low: Real = Field(description="Lower end.")
    high: Real = Field(description="Upper end.")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.low > self.high:
            raise ValueError(f"expected low <= high, got {self.low} > {self.high}")
        return self
