from importlib import import_module
from itertools import product

import numpy as np
import pytest
from scipy import stats

from probtokens.evaluate import compare, compare_documents, compare_models, sign_flip_test
from probtokens.fields import HotSpot
from tests.report.made_up import document


def enumerated(differences):
    values = np.asarray(differences, dtype=float)
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))])
    return np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 11])
@pytest.mark.parametrize("kind", ["normal", "shifted", "integer", "zeros among"])
def test_sign_flip_is_exact(n, kind):
    values = np.random.default_rng(n).normal(size=n)
    values = {"normal": values, "shifted": values + 1, "integer": np.rint(2 * values), "zeros among": values * (np.arange(n) % 2)}[kind]
    assert sign_flip_test(values) == enumerated(values)
    assert sign_flip_test(-values) == sign_flip_test(values), "two-sided"
    assert sign_flip_test(1e6 * values) == sign_flip_test(values)


def test_sign_flip_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, size=10), rng.normal(size=10)
    reference = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(a - b) == pytest.approx(reference.pvalue)


def test_smallest_p_value():
    assert sign_flip_test(np.arange(1.0, 7.0)) == 2 / 2**6
    assert sign_flip_test(np.ones(30)) == 2 / 2**30
    assert sign_flip_test(np.zeros(5)) == 1


def test_sampled_above_the_limit_agrees_with_the_exact_value(monkeypatch):
    values = np.random.default_rng(0).normal(0.3, size=20)
    exact = sign_flip_test(values)
    monkeypatch.setattr(import_module("probtokens.evaluate.compare"), "EXACT_LIMIT", 19)
    sampled = sign_flip_test(values, seed=3)
    assert abs(sampled - exact) < 4 * np.sqrt(exact / 200_000)
    assert sampled == sign_flip_test(values, seed=3)
    assert 0 < sign_flip_test(np.ones(50)) < 1e-5, "never 0: the observed signs are one of the patterns"


def test_false_alarms_are_as_rare_as_promised():
    values = np.random.default_rng(0).normal(size=(1000, 12))
    rate = np.mean([sign_flip_test(row) < 0.05 for row in values])
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("bad", [[], [np.nan, 1.0], [[1.0, 2.0]]])
def test_sign_flip_refuses_what_it_cannot_count(bad):
    with pytest.raises(ValueError, match="expected a finite array of length >= 1"):
        sign_flip_test(bad)


def test_bootstrap_intervals_cover_as_promised():
    """Percentile intervals of 25 simulations are known to cover a few points less than promised."""
    rng = np.random.default_rng(0)
    inside = np.zeros(2)
    trials = 300
    for trial in range(trials):
        difficulty = rng.gamma(8.0, 1 / 8.0, size=25)
        model, reference = difficulty * rng.gamma(50, 0.8 / 50, size=25), difficulty * rng.gamma(50, 1 / 50, size=25)
        result = compare(model, reference, level=0.9, n_resamples=500, seed=trial)
        inside += result.difference_low <= -0.2 <= result.difference_high, result.skill_low <= 0.2 <= result.skill_high
    assert np.all(inside / trials > 0.9 - 0.03 - 3 * np.sqrt(0.09 / trials)), inside / trials
    assert np.all(inside / trials < 0.9 + 3 * np.sqrt(0.09 / trials)), inside / trials


def test_comparison_by_hand():
    result = compare([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], level=0.8, seed=1)
    assert (result.n, result.level) == (3, 0.8)
    assert result.difference == -2
    assert result.skill == result.skill_low == result.skill_high == 0.5, "the ratio is the same in every resample"
    assert result.difference_low < -2 < result.difference_high
    assert result.p_value == 2 / 8
    assert result == compare([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], level=0.8, seed=1)
    same = compare([1.0, 2.0], [1.0, 2.0])
    assert (same.skill, same.difference, same.p_value) == (0, 0, 1)


def test_skill_against_a_reference_without_error_is_undefined():
    result = compare([1.0, 0.0, 2.0], [0.0, 0.0, 0.0])
    assert np.isnan([result.skill, result.skill_low, result.skill_high]).all()
    assert result.difference == 1
    result = compare([1.0, 0.0, 2.0], [1.0, 0.0, 0.0])
    assert result.skill == -2
    assert np.isnan([result.skill_low, result.skill_high]).all(), "some resamples have a reference without error"


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, None], [1.0, 2.0])])
def test_scores_must_be_finite_and_paired(a, b):
    with pytest.raises(ValueError, match="two finite arrays of one length >= 2"):
        compare(a, b)


def _document(**crps):
    names = ["a", "b", "c"]
    entry = {name: {"fields": {"temperature": {"by_simulation": {"simulation": names, "crps": list(v)}}}} for name, v in crps.items()}
    return {"models": entry}


def test_models_of_a_scores_file():
    document = _document(tokens=(1, 2, 4), parc=(2, 4, 5))
    found = compare_models(document, "tokens", "parc", "fields", "temperature", level=0.5)
    assert found == compare([1, 2, 4], [2, 4, 5], level=0.5)


def test_models_that_cannot_be_compared():
    document = _document(tokens=(1, 2, 4), parc=(2, 4, 5))
    document["models"]["parc"]["fields"]["temperature"]["by_simulation"]["simulation"] = ["a", "c", "b"]
    with pytest.raises(ValueError, match="tokens and parc: expected the same simulations"):
        compare_models(document, "tokens", "parc", "fields", "temperature")
    with pytest.raises(ValueError, match=r"mld: expected one of \['tokens', 'parc'\], got 'mld'"):
        compare_models(document, "mld", "parc", "fields", "temperature")
    with pytest.raises(ValueError, match=r"tokens: expected one of \['temperature'\], got 'pressure'"):
        compare_models(document, "tokens", "parc", "fields", "pressure")
    with pytest.raises(ValueError, match=r"got 'brier'"):
        compare_models(document, "tokens", "parc", "fields", "temperature", score="brier")


FIELDS, HOT = {"temperature": "K", "pressure": "GPa"}, HotSpot("temperature", 875.0)


def two_runs(n_simulations=8):
    """Scores of two runs on the same simulations: the first has half the CRPS of the second, simulation by simulation."""
    first, second = document(FIELDS, HOT, n_simulations=n_simulations), document(FIELDS, HOT, n_simulations=n_simulations)
    worse = second["models"]["tokens"]["fields"]["pressure"]
    values = np.random.default_rng(0).uniform(5, 15, size=n_simulations)
    first["models"]["tokens"]["fields"]["pressure"]["by_simulation"]["crps"] = values.tolist()
    worse["by_simulation"]["crps"] = (2 * values).tolist()
    worse["crps"] = 2 * values.mean()
    return first, second, values


def found_in(pairs, name="pressure"):
    return next(pair for pair in pairs if (pair.model, pair.part, pair.name) == ("tokens", "fields", name))


def test_runs_with_the_same_simulations_are_paired():
    first, second, values = two_runs()
    pair = found_in(compare_documents(first, second))
    assert pair.paired == compare(values, 2 * values)
    assert (pair.first, pair.second) == pytest.approx((values.mean(), 2 * values.mean()))
    assert pair.paired.skill == pytest.approx(0.5)
    models = [pair.model for pair in compare_documents(first, second)]
    assert models == sorted(models, key=["tokens", "persistence"].index)


def test_only_simulations_of_one_truth_are_paired():
    """Names alone say nothing: every campaign has its meso_000."""
    first, second, values = two_runs()
    for entry in second["models"].values():
        for curve in entry["hotspot"].values():
            for number in (0, 3):
                curve["curves"]["truth"][number] = [2 * value + 1 for value in curve["curves"]["truth"][number]]
    kept = np.delete(values, [0, 3])
    assert found_in(compare_documents(first, second)).paired == compare(kept, 2 * kept)
    reordered = {**second, "models": {name: reversed_simulations(entry) for name, entry in second["models"].items()}}
    assert found_in(compare_documents(first, reordered)).paired == compare(kept, 2 * kept)


def reversed_simulations(node):
    """Scores with the simulations in the opposite order."""
    if not isinstance(node, dict):
        return node
    turned = {key: reversed_simulations(value) for key, value in node.items()}
    if "simulation" in node:
        n = len(node["simulation"])
        turned |= {key: value[::-1] for key, value in node.items() if isinstance(value, list) and key != "time" and len(value) == n}
    return turned


def test_runs_without_common_simulations_have_no_interval():
    first, second, _ = two_runs()
    for entry in second["models"].values():
        for scores in entry["hotspot"].values():
            scores["curves"]["simulation"] = [f"other_{name}" for name in scores["curves"]["simulation"]]
    pair = found_in(compare_documents(first, second))
    assert pair.paired is None
    assert pair.second == second["models"]["tokens"]["fields"]["pressure"]["crps"]


@pytest.mark.parametrize("fault", ["hot spots", "units", "models"])
def test_runs_that_cannot_be_compared_are_refused(fault):
    first, second, _ = two_runs()
    if fault == "hot spots":
        second["hotspot"]["threshold"] = 900.0
    elif fault == "units":
        second["units"]["fields"]["pressure"] = "Pa"
    else:
        second["models"] = {"parc": second["models"]["tokens"]}
    with pytest.raises(ValueError, match=f"{fault}: expected"):
        compare_documents(first, second)
