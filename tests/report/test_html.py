import html
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich.console

from probtokens.evaluate import load_scores
from probtokens.fields import HotSpot
from probtokens.pipeline.table import score_table
from probtokens.report import hero_figure, write_figures, write_report

SECTIONS = ("verdict", "scores", "fields", "cases", "animation", "hotspots", "physics", "reliability", "details")


@pytest.fixture(scope="module")
def progress() -> list[tuple[int, int]]:
    """Return pictures done and in all, as they are told while the report is made."""
    return []


@pytest.fixture(scope="module")
def report(run_folder: Path, progress: list[tuple[int, int]]) -> str:
    return write_report(run_folder, progress=lambda done, total, _: progress.append((done, total))).read_text(encoding="utf-8")


def test_is_one_self_contained_file(report: str, run_folder: Path) -> None:
    markup = re.sub(r"[A-Za-z0-9+/=]{200,}", "", report)
    assert "http" not in markup
    assert not re.search(r"<link|@import|src=\"(?!data:)|url\(", markup)
    assert [path.name for path in run_folder.glob("*report*")] == ["report.html"]
    assert len(report) < 12e6


@pytest.mark.parametrize("section", SECTIONS)
def test_has_every_section_and_its_link(report: str, section: str) -> None:
    assert f'<section id="{section}">' in report
    assert f'href="#{section}"' in report


def test_prints_no_absolute_path(report: str, run_folder: Path) -> None:
    assert "/somewhere" not in report
    assert "…/micro-set" in report
    assert str(run_folder) not in report


def test_states_run_and_timings(report: str) -> None:
    for text in ("2 of 24 × 16 cells", "13.5 to 17.5 GPa", "6 draws", "probtokens 0.1.0", "x86_64, 2 cores", "20 min 03 s", "3.4 s a draw"):
        assert text in report


def test_every_picture_has_a_description(report: str) -> None:
    images = re.findall(r"<img [^>]*>", report)
    assert len(images) == 11
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)


def test_progress_counts_the_pictures(report: str, progress: list[tuple[int, int]]) -> None:
    done = [number for number, _ in progress]
    assert done == sorted(done)
    assert len(done) == report.count("data:image/png") + 1
    (total,) = {total for _, total in progress}
    assert 0.5 * total < done[-1] <= total


def test_deterministic_models_alone(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path, models=("parc", "persistence"), fields=("temperature", "pressure"), n_simulations=1, n_times=4)
    config = folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("animation: true", "animation: false"), encoding="utf-8")
    report = write_report(folder).read_text(encoding="utf-8")
    assert "PARC is deterministic" in report
    assert "no reliability to show" in report
    assert "bands: nominal" not in report
    assert 'id="animation"' not in report


def test_too_few_validation_simulations_are_told(report: str) -> None:
    assert "recalibrated on 3 validation simulations. That is too few" in report


def test_the_verdict_is_three_sentences_and_a_picture(report: str) -> None:
    section = report.split('<section id="verdict">')[1].split("</section>")[0]
    assert len(re.findall("<li>", section)) == 3
    assert len(re.findall("<img", section)) == 1


def test_the_code_opens_the_forecasts(
    report: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = html.unescape(re.findall("<pre>(.*?)</pre>", report, flags=re.DOTALL)[0])
    monkeypatch.chdir(run_folder)
    names: dict[str, Any] = {}
    exec(code, names)
    members = names["rollout"]["prediction"].values[:, 0, -1, 0]
    np.testing.assert_allclose(names["probability"].isel(time=-1), (members > 875).mean(axis=0))
    assert capsys.readouterr().out


def test_figures_are_vectors_with_texts_and_a_gif(run_folder: Path, tmp_path: Path) -> None:
    written = {path.name: path.read_bytes() for path in write_figures(run_folder, tmp_path / "figures")}
    assert {"verdict.pdf", "forecast_temperature.pdf", "best_to_worst.pdf", "physics.pdf", "animation.gif"} < set(written)
    assert all(content.startswith(b"%PDF" if name.endswith("pdf") else b"GIF8") for name, content in written.items())
    assert b"/FontFile2" in written["verdict.pdf"], "text is TrueType, not outlines"


def test_tokens_have_a_section_where_the_model_has_them(token_run_folder: Path) -> None:
    report = write_report(token_run_folder).read_text(encoding="utf-8")
    assert '<section id="tokens">' in report
    assert 'href="#tokens"' in report
    for title in ("Sources of uncertainty", "Reconstruction", "Token maps", "Latent traversal", "How much it changes"):
        assert f"<h3>{title}" in report
    assert "http" not in re.sub(r"[A-Za-z0-9+/=]{200,}", "", report)


@pytest.mark.slow
def test_the_same_run_has_the_same_report(token_run_folder: Path) -> None:
    report = write_report(token_run_folder).read_text(encoding="utf-8")
    assert write_report(token_run_folder).read_text(encoding="utf-8") == report


@pytest.mark.parametrize("models", [("persistence",), ("parc", "persistence")])
def test_models_without_tokens_have_no_such_section(make_run: Callable[..., Path], tmp_path: Path, models: tuple[str, ...]) -> None:
    folder = make_run(tmp_path, models=models, n_simulations=1, n_times=3, overrides=("report.tokens=true", "report.animation=false"))
    assert "#tokens" not in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_missing_or_damaged_model_is_named(token_run_folder: Path, damage: str) -> None:
    path = token_run_folder / "checkpoints" / "micro" / "model.pt"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"{path}: expected a micro model"):
        write_report(token_run_folder)
    assert not (token_run_folder / "report.html").exists()


def test_tokens_that_are_not_asked_for_need_no_model(token_run_folder: Path) -> None:
    (token_run_folder / "checkpoints" / "micro" / "model.pt").unlink()
    config = token_run_folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("  tokens: true\n", "  tokens: false\n"), encoding="utf-8")
    assert "#tokens" not in write_report(token_run_folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def other_physics(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of given simulations without a temperature."""
    return make_run(
        tmp_path_factory.mktemp("other"),
        fields=("inhibitor", "activator", "velocity_x"),
        hotspot=HotSpot("activator", 0.25),
        context="feed_rate",
        given=True,
    )


def test_other_physics_in_its_own_words(other_physics: Path) -> None:
    report = write_report(other_physics).read_text(encoding="utf-8")
    shown = re.sub(r"<pre>.*</pre>|[A-Za-z0-9+/=]{200,}", "", report, flags=re.DOTALL)
    for text in (
        "<h1>How activator evolves and where it exceeds 0.25: a forecast with its uncertainty</h1>",
        "From the first frame of a simulation and its feed rate, the models of this run forecast inhibitor, activator and velocity along x",
        "13.5 to 17.5 in the tests",
        "meso_000 · feed rate 13.5",
        "the best activator forecast is that of",
        "Area of activator &gt; 0.25: the RMSE of meso tokens is",
        "Mean activator above 0.25: the RMSE of meso tokens is",
        "area of activator &gt; 0.25 [µm²]",
    ):
        assert text in shown
    for word in ("HMX", "hock", "emperature", "ot spot", "875", "GPa", " K "):
        assert word not in shown
    assert len(re.findall(r"<img [^>]*>", report)) == 10, "velocities have no film strip of their own"


def test_other_physics_has_a_picture_and_a_table(other_physics: Path, tmp_path: Path) -> None:
    assert hero_figure(other_physics, tmp_path / "hero.png").stat().st_size > 10_000
    stream = io.StringIO()
    rich.console.Console(file=stream, width=80).print(score_table(load_scores(other_physics / "scores.json")))
    assert "F: activator; hs: where F > 0.25" in stream.getvalue()
    assert "micro_tokens" in stream.getvalue()


def test_without_context_a_simulation_is_its_name(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path, models=("parc",), fields=("temperature",), n_simulations=1, n_times=3, context="")
    report = write_report(folder).read_text(encoding="utf-8")
    assert "Test simulation meso_000." in report
    assert "From the first frame of a shocked porous HMX crystal, the models" in report
    assert "Shock pressure" not in report


def test_scored_model_without_rollout_keeps_its_scores(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path, models=("tokens", "parc"), fields=("temperature",), n_simulations=2, n_times=4)
    (folder / "rollouts" / "parc_test.zarr").rename(tmp_path / "elsewhere")
    assert "PARC" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["scores.json", "config.yaml"])
def test_missing_file_is_named(run_folder: Path, tmp_path: Path, missing: str) -> None:
    for name in {"scores.json", "config.yaml"} - {missing}:
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    with pytest.raises(ValueError, match=missing):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_missing_rollouts_are_an_error(run_folder: Path, tmp_path: Path) -> None:
    for name in ("scores.json", "config.yaml"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    with pytest.raises(ValueError, match="expected a test rollout of one of"):
        write_report(tmp_path)


def test_unknown_simulation_is_an_error(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path, models=("parc",), fields=("temperature",), n_simulations=1, n_times=3)
    config = folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("simulation: 0", "simulation: 5"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"report.simulation: expected 0..0, got 5"):
        write_report(folder)


def test_undefined_score_is_a_dash(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path, models=("parc",), fields=("temperature",), n_simulations=1, n_times=3)
    document = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    document["models"]["parc"]["fields"]["temperature"]["rmse"] = None
    (folder / "scores.json").write_text(json.dumps(document), encoding="utf-8")
    report = write_report(folder).read_text(encoding="utf-8")
    assert "<td>–</td>" in report
    assert "None" not in report.split("<pre>")[0]
    assert not re.search(r"\bnan\b", report.split("<pre>")[0])


#: Writes a long number into every cell of scores, then says by how much each table is wider than its box.
_MEASURED = """<iframe src="page.html" style="width: 390px; height: 900px; border: 0"></iframe><pre></pre><script>
document.querySelector("iframe").onload = function () {
  const tables = [...this.contentDocument.querySelectorAll("table.scores")];
  tables.forEach(table => table.querySelectorAll("td:nth-child(n + 3):nth-child(-n + 5)").forEach(cell => cell.textContent = "0.00238"));
  document.querySelector("pre").textContent = tables.map(table => table.scrollWidth - table.parentElement.clientWidth).join(" ");
};
</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_tables_of_scores_fit_a_telephone(report: str, tmp_path: Path) -> None:
    def beyond(page: str) -> list[int]:
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        (tmp_path / "frame.html").write_text(_MEASURED, encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--virtual-time-budget=5000"]
        command = ["chromium", *options, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", (tmp_path / "frame.html").as_uri()]
        found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
        return [int(number) for number in found.partition("<pre>")[2].partition("</pre>")[0].split()]

    widths = beyond(report)
    assert widths
    assert max(widths) <= 0
    assert max(beyond(re.sub(r"@media \(max-width: 430px\).*\n", "", report))) > 0
