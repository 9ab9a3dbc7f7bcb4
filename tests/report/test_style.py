"""Figures do not depend on what the user's matplotlib is told elsewhere, and text in them is not markup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from probtokens.report.style import figure_style, label_powers, new_figure, png_bytes, with_unit

#: Settings of people who write papers, draw sketches, or are at a screen.
SETTINGS = {
    "text.usetex": True,
    "font.family": ["serif"],
    "font.size": 20.0,
    "axes.grid": True,
    "axes.prop_cycle": matplotlib.cycler(color=["red"]),
    "axes.formatter.use_mathtext": True,
    "axes.unicode_minus": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 300.0,
    "image.cmap": "jet",
    "image.interpolation": "bicubic",
    "image.origin": "lower",
    "path.sketch": (1.0, 100.0, 2.0),
    "savefig.transparent": True,
    "xtick.direction": "in",
}


def drawn(text: str = "a label") -> Figure:
    figure = new_figure(3.0, 2.0)
    axes = figure.subplots(1, 2)
    axes[0].plot([0.0, 1.0], [-1e-5, 1e-5], label=text)
    axes[0].set_title(text)
    axes[0].legend()
    axes[1].imshow(np.arange(6.0).reshape(2, 3))
    axes[1].set_xlabel(with_unit(text, text))
    return figure


def picture(text: str = "a label") -> bytes:
    with figure_style():
        return png_bytes(drawn(text), 60)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_picture_is_the_same_whatever_the_users_settings_are(name: str) -> None:
    expected = picture()
    with matplotlib.rc_context({name: SETTINGS[name]}):
        before = dict(matplotlib.rcParams)
        assert picture() == expected
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("text", ["$", "$/kg", "a$b$c", "$\\frac$", "$\\alpha$", "x_y^z", "{}", "\\n", "100 %"])
def test_names_and_units_are_no_formulas(text: str) -> None:
    assert picture(text)
    with figure_style():
        assert not any(label.get_parse_math() for label in drawn(text).findobj(Text))


def test_powers_of_ten_are_plain_text() -> None:
    with figure_style():
        figure = new_figure(3.0, 2.0)
        axes = figure.subplots()
        axes.plot([0.0, 1.0], [1e-5, 1e12])
        axes.set_yscale("log")
        label_powers(axes.yaxis)
        png_bytes(figure, 60)
        labels = [label.get_text() for label in axes.yaxis.get_ticklabels()]
    assert {"10⁻⁶", "10⁰", "10¹²"} & set(labels)
    assert not [label for label in labels if "$" in label]


PREVIEW = """
simulate:
  micro: &micro {ny: 16, nx: 24, n_times: 2, n_train: 1, n_valid: 0, n_test: 0,
    microstructure: {n_pores: [1, 1], kinds: [ellipse], diameter: {low: 0.25, high: 0.3}, margin: 0.08, gap: 0.04}}
  meso: *micro
"""


@pytest.mark.parametrize(
    "backend", ["module://nowhere.backend_inline", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nonsense", ""))]
)
def test_a_command_draws_whatever_backend_the_user_has_chosen(backend: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(PREVIEW, encoding="utf-8")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: qtagg\nno.such.key: 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "probtokens.cli", "simulate", "recipe.yaml", "--out", "run", "--preview"]
    environment = {**os.environ, "MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "preview" / "micro.png").is_file()


def test_a_command_draws_for_a_user_without_a_home(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(PREVIEW, encoding="utf-8")
    program = """
import pwd
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
from probtokens.cli import main
main()
"""
    command = [sys.executable, "-c", program, "simulate", "recipe.yaml", "--out", "run", "--preview"]
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "preview" / "micro.png").is_file()


@pytest.mark.parametrize(
    ("backend", "kept"),
    [("nonsense", "None"), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("svg", "svg"), ("", "None")))],
    ids=["unknown", "known", "empty"],
)
def test_the_backend_of_a_users_own_program_stays(backend: str, kept: str) -> None:
    program = (
        "import probtokens.report, matplotlib, os; print(os.environ['MPLBACKEND'], matplotlib.get_backend(auto_select=False), sep=',')"
    )
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"{backend},{kept}\n", done.stderr


def test_a_backend_that_was_chosen_before_stays() -> None:
    program = "import matplotlib; matplotlib.use('pdf'); import os; os.environ['MPLBACKEND'] = 'svg'; import probtokens.report; "
    program += "print(matplotlib.get_backend())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "pdf\n", done.stderr
