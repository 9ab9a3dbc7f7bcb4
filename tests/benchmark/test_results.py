"""What cells of a benchmark say: tables, comparisons that were written down before, and a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import suite
from probtokens.benchmark import results, statistics, tables
from probtokens.config.benchmark import CoreHours

QUANTITIES = ("cells", "area", "temperature")
ENDPOINTS = ((("tokens", 4), ("parc", 16)), (("tokens", 4), ("micro_tokens", 0)), (("tokens", 0), ("parc", 16)))


def made_up(model: str, n: int, seed: int, crps: list[float], **more: object) -> dict:
    """A cell with one lead whose quantities have the same scores."""
    table = {"crps": [[value] for value in crps], "error_square": [[4.0]] * len(crps)}
    if model.endswith("tokens"):
        table |= {"spread_square": [[1.0]] * len(crps), "coverage_90": [[0.9]] * len(crps)}
    scores = dict.fromkeys(QUANTITIES, table)
    document = {"cell": {"model": model, "n": n, "seed": seed}, "scores": scores, "training_minutes": 1.0}
    return document | {"simulations": list("abcdefgh"), "leads": [5], "draws": 4, "hardware": {"instructions": "avx2"}} | more


def test_page_compares_what_was_written_down(tmp_path: Path) -> None:
    better, worse = [1.0, 2.0, 1.5, 2.5, 1.2, 2.2, 1.1, 2.1], [2.0, 4.0, 3.0, 5.0, 2.4, 4.4, 2.2, 4.2]
    dressed = {"crps": [[2 * value] for value in worse]} | dict.fromkeys(("error_square", "spread_square"), [[4.0]] * 8)
    dressed |= {"coverage_90": [[0.5]] * 8}
    cells = [
        made_up("tokens", 4, 0, better),
        made_up("tokens", 4, 1, [3 * value for value in better]),
        made_up("micro_tokens", 0, 0, [4 * value for value in better]),
        made_up("parc", 16, 0, worse, with_errors=dict.fromkeys(QUANTITIES, dressed)),
    ]
    found = {(ours, theirs, quantity): comparison for ours, theirs, quantity, comparison, _ in statistics.comparisons(cells, ENDPOINTS)}
    assert len(found) == 2 * len(QUANTITIES)  # what has no cell yet is left out
    against_micro = found[("tokens", 4), ("micro_tokens", 0), "cells"]
    assert against_micro.skill == pytest.approx(0.5)  # seeds are averaged first
    assert found[("tokens", 4), ("parc", 16), "cells"].skill == pytest.approx(0.5)  # PARC with its errors: 4 times
    assert against_micro.p_value == pytest.approx(2 / 2**8)
    valid = [made_up("parc_half", 16, 0, [3.0] * 8), made_up("parc", 16, 0, [2.9] * 8), cells[0]]
    page = results.write_results(cells, ENDPOINTS, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "| PARC | 16 | 0 | – |" in text
    assert "| meso tokens | 4 | 2 | – | 3.4 | 0.50 | 0.90 | 3.4, 0.90 | 3.4, 0.90 |" in text  # two seeds: 1.7 and three times that
    assert "Hot-spot area:\n\n| model | N | lead 5 |" in text
    assert "| PARC | 16 | 6.8 |" in text
    assert "Not computed yet: meso tokens, N = 0, against PARC, N = 16." in text
    assert "| PARC with errors | 16 | 0 | – | 6.8 | 1.00 | 0.50 | 6.8, 0.50 | 6.8, 0.50 | 1 |" in text
    assert "| meso tokens | 4 | 0.50, 0.90 |" in text
    assert "| meso tokens, N = 4 | PARC, N = 16 | temperature | 0.50 | 0.50 to 0.50 |" in text
    told = tables.convergence(valid)
    assert told.endswith("| PARC, half the steps | 16 | 0 | 2 | 3 | 3 | 3 |\n| PARC | 16 | 0 | 2 | 2.9 | 2.9 | 2.9 |")
    assert (tmp_path / "learning_curves.png").stat().st_size > 1000


def test_where_a_reference_is_better_is_told() -> None:
    def cell(model: str, n: int, crps: list[float]) -> dict:
        tables_ = {name: {"crps": [crps] * 8, "error_square": [[4.0] * 3] * 8} for name in QUANTITIES}
        return made_up(model, n, 0, [1.0] * 8, leads=[2, 5, 10]) | {"scores": tables_}

    ours, theirs = cell("tokens", 4, [2.0, 3.0, 5.0]), cell("parc", 16, [1.0, 4.0, 4.0])
    theirs["scores"]["area"] = ours["scores"]["area"]
    told = tables.parts([ours, theirs], ENDPOINTS)["lost"].splitlines()
    assert told == ["- PARC, N = 16, against meso tokens, N = 4: temperature at leads 2, 10; hot-spot temperature at leads 2, 10."]
    every = tables.parts([cell("tokens", 4, [2.0, 3.0, 5.0]), cell("parc", 16, [1.0, 2.0, 3.0])], ENDPOINTS)["lost"]
    assert every.startswith("- PARC, N = 16, against meso tokens, N = 4: temperature at all leads; hot-spot area at all leads;")
    assert tables.parts([ours, cell("parc", 16, [9.0, 9.0, 9.0])], ENDPOINTS)["lost"] == "- Nowhere."


def test_what_simulations_add_is_told_seed_by_seed() -> None:
    cells = [made_up("tokens", 4, 0, [1.0] * 8), made_up("tokens", 4, 1, [3.0] * 8), made_up("micro_tokens", 0, 0, [4.0] * 8)]
    told = tables.parts(cells, ENDPOINTS)["gain"].splitlines()
    assert told[0].startswith("| meso runs | RMSE, temperature | CRPS, temperature | CRPS, hot-spot area |")
    assert told[2] == "| 4 | 1.00 (1.00, 1.00) |" + " 0.50 (0.25, 0.75) |" * 3
    assert tables.parts(cells[:2], ENDPOINTS)["gain"] == "There is no cell of micro tokens as they are."


def test_a_reference_is_told_by_how_much_it_needs() -> None:
    cells = [
        made_up("tokens", 4, 0, [2.0] * 8),
        made_up("parc", 4, 0, [8.0] * 8),
        made_up("parc", 16, 0, [4.0] * 8),
        made_up("parc", 16, 1, [2.0] * 8),
    ]
    cells += [made_up("tokens", 1, 0, [4.0] * 8)]
    for cell in cells:
        cell["hardware"]["cores"] = "2"
    hours = CoreHours(micro=1.5, tokens=5, meso=0.5)
    endpoints = [(("tokens", n), ("parc", 16)) for n in (4, 1)]
    found = {(one.ours, one.quantity): one for one in statistics.equivalences(cells, endpoints, hours)}
    far, near = found[("tokens", 4), "cells"], found[("tokens", 1), "area"]
    assert (str(far.meso_runs), far.beyond) == ("> 16 (> 16 to > 16)", True)
    assert near.meso_runs.n == pytest.approx(4 * 4 ** (np.log(2) / np.log(8 / 3)))
    assert far.hours == pytest.approx(1.5 + 5 + 4 * 0.5 + 2 / 60)
    assert far.reference_hours == pytest.approx(16 * 0.5 + 2 / 60)
    text = tables.parts(cells, endpoints, hours)["equivalences"]
    assert "| meso tokens, N = 4 | PARC | temperature | > 16 (> 16 to > 16) | 8.53 | > 8.03 |" in text
    assert "core-hours" not in tables.parts(cells, endpoints)["equivalences"]


def test_sets_of_shifts_tell_whether_spread_grows_with_error() -> None:
    cell = made_up("tokens", 4, 0, [1.0] * 8)
    errors = np.arange(1.0, 9)[:, None]
    for order, told in ((errors, "1.00"), (errors[::-1], "-1.00")):
        cell["scores"] = {
            name: table | {"spread_square": order.tolist(), "error_square": errors.tolist()} for name, table in cell["scores"].items()
        }
        table = tables.shift_table({"higher_pressure": [cell, made_up("parc", 16, 0, [1.0] * 8)]})
        assert "| higher pressure | meso tokens | 4 | 1 | – | 1 | 1.00 | 0.90 |" in table
        assert f"correlation of spread and error: {told} for meso tokens, N = 4, over 8 simulations." in table


def test_sets_without_ensembles_say_so() -> None:
    assert tables.shift_table({"higher_pressure": [made_up("parc", 16, 0, [1.0] * 8)]}) == "No model is an ensemble."


def test_large_numbers_of_tables_have_no_exponent() -> None:
    table = tables._table([made_up("persistence", 0, 0, [1484.0] * 8)])
    assert "| 1480 | – | – | 1480, – | 1480, – |" in table
    assert "e+" not in table


def test_cells_of_own_models_are_named_as_they_are_and_other_simulations_are_refused() -> None:
    own, other = made_up("mine:Model", 4, 0, [1.0] * 8), made_up("tokens", 4, 0, [1.0] * 8, simulations=list("hgfedcba"))
    assert "| mine:Model | 4 | 0 |" in tables._table([own])
    with pytest.raises(ValueError, match="expected the simulations .'a', 'b'"):
        statistics.by_simulation([own, other], "tokens", 4, "cells")


def test_holm_corrects_for_tests_that_are_not_made_yet() -> None:
    # Holm's own example of three tests: multiply the smallest by 3, the next by 2, never below the one before.
    assert statistics.holm([0.02, 0.01, 0.03], of=3) == pytest.approx([0.04, 0.03, 0.04])
    assert statistics.holm([0.02, 0.01], of=4) == pytest.approx([0.06, 0.04])
    assert statistics.holm([], of=4) == []


def test_readme_has_the_table_of_the_cells() -> None:
    cells = statistics.read_cells(suite.CELLS / "test")
    assert tables.short_table(cells) in Path("README.md").read_text(encoding="utf-8")
    assert tables.short_table(cells) in Path("docs/meso_results.md").read_text(encoding="utf-8")
