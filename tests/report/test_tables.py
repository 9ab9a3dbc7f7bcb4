import math
from typing import Any

import pytest

from probtokens.fields import field_spec
from probtokens.report.tables import DASH, format_score, score_tables
from probtokens.report.wording import Quantity, Wording


def scores(rmse: float | None, ratio: float | None, coverage: float | None) -> dict[str, Any]:
    return {"rmse": rmse, "crps": rmse, "spread_skill": ratio, "coverage_50": coverage, "coverage_90": coverage}


def document(**models: dict[str, Any]) -> dict[str, Any]:
    entries = {name: {"n_meso": 2, "fields": {"temperature": s}, "hotspot": {"area": s, "temperature": s}} for name, s in models.items()}
    units = {"fields": {"temperature": "K"}, "hotspot": {"area": "µm²", "temperature": "K"}}
    return {"hotspot": {"field": "temperature", "threshold": 875.0}, "units": units, "models": entries}


FIELD = Quantity("temperature", "K", "fields", "temperature")


def column(table: Any, index: int) -> list[Any]:
    return [cells[index] for _, _, cells in table.lines]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (math.nan, DASH),
        (0.0, "0"),
        (233.6, "234"),
        (1234.6, "1230"),
        (0.04567, "0.0457"),
        (5.0, "5.00"),
        (3e-9, "3e-09"),
        (-2.0, "-2.00"),
    ],
)
def test_format_score(value: float | None, text: str) -> None:
    assert format_score(value) == text


def test_best_is_lowest_error_and_ratio_nearest_one() -> None:
    (table,) = score_tables(document(a=scores(200.0, 0.5, 0.6), b=scores(300.0, 1.15, 0.88), c=scores(400.0, None, None)), [FIELD])
    assert [cell.best for cell in column(table, 0)] == [True, False, False]
    assert [cell.best for cell in column(table, 2)] == [False, True, False]
    assert [cell.best for cell in column(table, 4)] == [False, True, False]
    assert [cell.text for cell in column(table, 4)] == ["60 %", "88 %", DASH]


def test_the_best_of_a_bad_lot_is_not_marked() -> None:
    (table,) = score_tables(document(a=scores(200.0, 0.7, 0.6), b=scores(300.0, 1.6, 0.8)), [FIELD])
    assert not any(cell.best for index in (2, 3, 4) for cell in column(table, index))
    assert [cell.best for cell in column(table, 0)] == [True, False]


def test_half_and_double_spread_are_equally_wrong() -> None:
    (table,) = score_tables(document(a=scores(1.0, 1 / 1.1, 0.5), b=scores(1.0, 1.12, 0.5)), [FIELD])
    assert [cell.best for cell in column(table, 2)] == [True, False]


def test_titles_carry_units() -> None:
    found = document(a=scores(1.0, 1.0, 0.5))
    tables = score_tables(found, Wording.of(found).quantities([field_spec("temperature")]))
    assert [table.title for table in tables] == ["temperature [K]", "hot-spot area [µm²]", "hot-spot temperature [K]"]


def test_no_best_where_nothing_is_defined() -> None:
    (table,) = score_tables(document(a=scores(None, None, None)), [FIELD])
    assert not any(cell.best for cell in table.lines[0][2])
