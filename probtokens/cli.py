"""Command line: reads arguments, calls the pipeline, turns errors into one line and an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from probtokens import __version__
from probtokens.memory import keep_freed_memory

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Probabilistic surrogates of shocked porous energetic materials: simulate, train, forecast, score, report.",
)

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe, a YAML file.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Run folder; an existing one is continued.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY.SUBKEY=VALUE", help="Override one setting; may be repeated.")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, max=10_000, metavar="N", help="Processes at work at once; simulate.jobs.")]
Submitit = Annotated[bool, typer.Option("--submitit", help="Send each file as a SLURM job, with simulate.cluster's settings.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _keys(incomplete: str) -> list[str]:
    """Keys of a recipe that begin as what was typed, for the shell's completion."""
    from probtokens.pipeline.settings import names

    return [name for name in names() if name.startswith(incomplete)]


@app.command()
def run(recipe: Recipe, out: Out, overrides: Overrides = None, debug: Debug = False) -> None:
    """Do everything, from simulations to the report; skip what is up to date."""
    with _errors_reported(debug):
        from probtokens.pipeline.commands import run_all

        run_all(recipe, out, overrides or ())


@app.command()
def simulate(
    recipe: Recipe,
    out: Out,
    preview: Annotated[bool, typer.Option("--preview", help="Only draw the microstructures, to DIR/preview.")] = False,
    overrides: Overrides = None,
    jobs: Jobs = None,
    submitit: Submitit = False,
    debug: Debug = False,
) -> None:
    """Run the micro and meso campaigns, or check the files that the recipe names instead."""
    if preview:
        with _errors_reported(debug):
            from probtokens.pipeline.commands import preview_simulations

            preview_simulations(recipe, out, overrides or ())
        return
    execution = [f"simulate.jobs={jobs}"] * (jobs is not None) + ["simulate.cluster.submit=true"] * submitit
    _run_stages("simulate", recipe, out, [*(overrides or ()), *execution], debug)


@app.command()
def train(
    model: Annotated[Literal["micro", "meso", "parc"], typer.Argument(help="What to train.")],
    recipe: Recipe,
    out: Out,
    overrides: Overrides = None,
    debug: Debug = False,
) -> None:
    """Train micro tokens, adapt them to meso simulations, or train the PARC baseline."""
    _run_stages(f"train {model}", recipe, out, overrides, debug)


@app.command()
def rollout(recipe: Recipe, out: Out, overrides: Overrides = None, debug: Debug = False) -> None:
    """Forecast the validation and test simulations with every model."""
    _run_stages("rollout", recipe, out, overrides, debug)


@app.command()
def evaluate(recipe: Recipe, out: Out, overrides: Overrides = None, debug: Debug = False) -> None:
    """Score the test forecasts, recalibrated on the validation forecasts."""
    _run_stages("evaluate", recipe, out, overrides, debug)


@app.command()
def report(
    recipe: Recipe,
    out: Out,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write its figures as PDF and the animation as GIF, to DIR/figures.")
    ] = False,
    overrides: Overrides = None,
    debug: Debug = False,
) -> None:
    """Write the self-contained HTML report."""
    _run_stages("report", recipe, out, overrides, debug, figures=figures)


@app.command()
def benchmark(
    recipe: Recipe,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of results; what is there is not computed again.")],
    cell: Annotated[
        list[str] | None, typer.Option("--cell", metavar="MODEL-N-SEED", help="Compute this cell only; may be repeated.")
    ] = None,
    overrides: Overrides = None,
    debug: Debug = False,
) -> None:
    """Train and score models on growing numbers of meso simulations, and compare them."""
    with _errors_reported(debug):
        from probtokens.pipeline.benchmark import run_benchmark

        run_benchmark(recipe, out, overrides or (), cell or ())


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or scores.json.")],
    reference: Annotated[Path, typer.Argument(metavar="RUN", help="Another one, that it is compared with.")],
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", help="Draw it, as .png, .pdf or .svg.")] = None,
    debug: Debug = False,
) -> None:
    """Compare the scores of two runs: skill of the first over the second, with intervals where both forecast the same simulations."""
    with _errors_reported(debug):
        from probtokens.pipeline.compare import compare_runs

        compare_runs(run, reference, picture)


@app.command()
def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Run folder, recipe, HDF5 file or folder of them, rollout .zarr, model .pt, or scores.json."),
    ],
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Say whether a run's micro data cover the states of its meso data; write PATH/coverage.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what is at PATH, and for a run folder what is done and what to do next."""
    with _errors_reported(debug):
        if coverage:
            from probtokens.pipeline.inspect_coverage import describe_coverage

            describe_coverage(path)
        else:
            from probtokens.pipeline.inspect import describe

            describe(path)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="File or folder of simulations in another layout.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to make; an interrupted conversion is continued.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what was understood, and draw it to DIR/preview.png.")] = False,
    layout: Annotated[
        str | None, typer.Option(metavar="NAME", help="parc, parctorch, pdebench, the_well, scimitar3d or arrays; else recognised.")
    ] = None,
    spacing: Annotated[str | None, typer.Option(metavar="LENGTH", help="Edge of a cell, such as '50 nm'.")] = None,
    time_step: Annotated[str | None, typer.Option(metavar="TIME", help="Time between frames, such as '0.79 ns'.")] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=UNIT", help="Unit of a field or scalar, of length or time, or of all others (*); may be repeated."),
    ] = None,
    into: Annotated[
        list[str] | None,
        typer.Option(
            "--in", metavar="NAME=UNIT", help="Unit to turn a field, scalar, length or time into, or 'ours' for all; else they stay."
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="New name of a field, scalar, axis or numbered channel; may be repeated.")
    ] = None,
    value_range: Annotated[
        list[str] | None, typer.Option("--range", metavar="NAME=LOW:HIGH", help="What 0 and 1 in the file stand for; may be repeated.")
    ] = None,
    dims: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Axes of NumPy arrays in order: simulation, time, field, y, x, or some of them.")
    ] = None,
    boundary: Annotated[
        list[str] | None, typer.Option(metavar="[SIDE=]KIND", help="WALL, OPEN or PERIODIC; of left, right, bottom or top, or of all.")
    ] = None,
    splits: Annotated[
        str | None, typer.Option(metavar="TRAIN/VALID/TEST", help="Numbers of simulations, in the order of the files, such as 25/8/9.")
    ] = None,
    obstacle: Annotated[
        bool, typer.Option("--obstacle", help="Make cells that are NaN in every frame the constant field 'obstacle', not an error.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write simulations of another layout as the folder that recipes read."""
    with _errors_reported(debug):
        from probtokens.pipeline.convert import convert_files, parse_given, preview_files

        given = parse_given(
            layout=layout,
            spacing=spacing,
            time_step=time_step,
            units=unit or (),
            wanted=into or (),
            names=name or (),
            ranges=value_range or (),
            dims=dims,
            boundary=boundary or (),
            splits=splits,
            obstacle=obstacle,
        )
        (preview_files if dry_run else convert_files)(source, to, given)


@app.command()
def forecast(
    image: Annotated[Path, typer.Option("--image", metavar="FILE", help="Grey micrograph (PNG, PGM or npy).")],
    pressure: Annotated[
        str, typer.Option("--pressure", metavar="PRESSURE", help="Behind the shock [GPa], or '90 kbar'; it comes from the left.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for ensemble, curves, page and record.")],
    scale: Annotated[
        str | None, typer.Option("--scale", metavar="LENGTH", help="Edge of a pixel [µm], or '20 nm'; has to be given.")
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Trained tokens: a name or a file.")] = "hmx-standard",
    threshold: Annotated[str, typer.Option("--threshold", metavar="VALUE", help="Between voids and crystal: otsu, or 0 … 1.")] = "otsu",
    pores: Annotated[Literal["dark", "bright"], typer.Option("--pores", help="Whether voids are dark or bright.")] = "dark",
    least_diameter: Annotated[
        str, typer.Option("--least-diameter", metavar="LENGTH", help="Smaller voids are filled [µm], or '60 nm'.")
    ] = "0",
    steps: Annotated[int, typer.Option("--steps", min=1, max=100_000, metavar="N", help="Frames after the first.")] = 20,
    draws: Annotated[int, typer.Option("--draws", min=1, max=100_000, metavar="N", help="Members of the ensemble.")] = 50,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, metavar="N", help="What all draws follow from.")] = 0,
    debug: Debug = False,
) -> None:
    """Forecast an own microstructure from its micrograph: an ensemble, bands of hot spots and a page."""
    with _errors_reported(debug):
        from probtokens.pipeline.forecast import ImageForecast, forecast_image
        from probtokens.units import quantity

        behind = quantity(pressure, "GPa", "--pressure")
        forecast_image(ImageForecast(image, behind, scale, threshold, pores, least_diameter, model, steps, draws, seed), out)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder whose test forecasts are there.")],
    recalibrated: Annotated[bool, typer.Option("--recalibrated", help="Take the spreads after recalibration.")] = False,
    debug: Debug = False,
) -> None:
    """Write the test forecasts of every probabilistic model for ArviZ, to RUN/arviz/MODEL.nc."""
    with _errors_reported(debug):
        from probtokens.pipeline.export import export_run

        export_run(path, recalibrated=recalibrated)


@app.command()
def closure(
    path: Annotated[Path | None, typer.Argument(metavar="[RUN|DATA]", help="Run folder, or with --model a folder of HDF5 files.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to; RUN/closure by default.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Trained tokens that forecast, by name or file.")] = None,
    pressure: Annotated[
        list[str] | None,
        typer.Option("--pressure", metavar="PRESSURE", help="Shock pressure [GPa], or '90 kbar'; may be repeated; 6, 8 and 10 by default."),
    ] = None,
    porosity: Annotated[
        list[float] | None, typer.Option("--porosity", metavar="SHARE", help="Porosity; may be repeated; 0.04 and 0.08 by default.")
    ] = None,
    diameter: Annotated[
        list[float] | None, typer.Option("--diameter", metavar="UM", help="Median pore diameter; may be repeated; 0.6 by default.")
    ] = None,
    microstructures: Annotated[int, typer.Option("--microstructures", min=1, max=100_000, metavar="N", help="Drawn of each kind.")] = 2,
    draws: Annotated[int, typer.Option("--draws", min=2, max=100_000, metavar="N", help="Draws of a forecast with --model.")] = 16,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**63 - 1, metavar="N", help="Seed of microstructures and draws with --model.")
    ] = 0,
    debug: Debug = False,
) -> None:
    """Ignition times, growth rates and burnt fractions for a macro-scale code, of every draw.

    RUN: its test forecasts beside its test simulations. DATA with --model: forecasts of these simulations. Neither: drawn microstructures.
    """
    with _errors_reported(debug):
        from probtokens.pipeline.closure import Drawn, closure_of_model, closure_of_run
        from probtokens.units import quantity

        if (path is not None or model is None) and (pressure or porosity or diameter):
            raise ValueError("closure: expected --pressure, --porosity and --diameter with --model alone, which draws microstructures")
        if model is None:
            if path is None:
                raise ValueError("closure: expected a run folder, or --model with a folder of simulations or --pressure; got neither")
            closure_of_run(path, out)
            return
        if out is None:
            raise ValueError("closure: expected --out with --model, got none")
        pressures = tuple(quantity(one, "GPa", "--pressure") for one in pressure) if pressure else (6.0, 8.0, 10.0)
        drawn = Drawn(pressures, tuple(porosity or (0.04, 0.08)), tuple(diameter or (0.6,)), microstructures)
        closure_of_model(model, out, path or drawn, draws=draws, seed=seed)


@app.command()
def verify(
    part: Annotated[Literal["simulator", "inference"], typer.Argument(help="What to verify.")],
    case: Annotated[list[str] | None, typer.Option("--case", metavar="NAME", help="Run this case only; may be repeated.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Write all numbers to this file.")] = None,
    debug: Debug = False,
) -> None:
    """Compare with exact and independent references; fails if any check does."""
    with _errors_reported(debug):
        from importlib import import_module

        from probtokens.verify.run import choose, run_cases

        cases = import_module(f"probtokens.verify.{part}").CASES
        passed = run_cases(choose(cases, case or ()), json)
    if not passed:
        raise typer.Exit(1)


@app.command()
def settings(
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Dotted key or section, such as micro.tokens; all by default.", autocompletion=_keys),
    ] = None,
    debug: Debug = False,
) -> None:
    """Print keys of a recipe, with defaults and meanings."""
    with _errors_reported(debug):
        from probtokens.pipeline.settings import describe_settings

        describe_settings(key)


@app.command()
def doctor(debug: Debug = False) -> None:
    """Check the installation: versions, processor, threads, compiler, and a forecast of half a minute; fails if that is wrong."""
    with _errors_reported(debug):
        from probtokens.pipeline.doctor import examine

        sound = examine()
    if not sound:
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"probtokens {__version__}")
        raise typer.Exit
    keep_freed_memory()
    _let_matplotlib_load()


def main() -> None:
    """Entry point of the ``probtokens`` command."""
    app(prog_name="probtokens")


def _let_matplotlib_load() -> None:
    """Commands inherit the backend of a notebook, which may not be installed here, and users of containers may have no home."""
    os.environ["MPLBACKEND"] = "agg"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/nonexistent"  # matplotlib then keeps its cache in a temporary folder


def _run_stages(command: str, recipe: Path, out: Path, overrides: list[str] | None, debug: bool, *, figures: bool = False) -> None:
    with _errors_reported(debug):
        from probtokens.pipeline.commands import run_stages

        run_stages(command, recipe, out, overrides or (), figures=figures)


#: Signals that ask a command to end: from schedulers before time is up, from containers, from a terminal that closes, from ``kill``.
_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class _Stopped(BaseException):
    """A signal came that asks the command to end."""

    def __init__(self, number: int) -> None:
        self.number = number


#: What torch's errors say where memory runs out.
_NO_MEMORY = re.compile("can't allocate memory|out of memory")


@contextmanager
def _errors_reported(debug: bool) -> Iterator[None]:
    """One line on standard error; exit code 2 for bad input and files that cannot be used, 1 for what should not happen.

    130 stands for Ctrl-C and 128 + n for another signal, as in a shell.
    """
    try:
        with _signals_raised():
            yield
    except (KeyboardInterrupt, SystemExit, _Stopped) as stop:
        # Lightning's trainer answers Ctrl-C with sys.exit(1).
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        typer.echo("probtokens: interrupted; the same command goes on from here", err=True)
        raise typer.Exit(128 + (stop.number if isinstance(stop, _Stopped) else signal.SIGINT)) from None
    except (ValueError, OSError) as error:
        from probtokens.data.the_well.faults import fault

        if isinstance(error, OSError) and error.filename is not None:  # of the system: a name may be of any length
            error = fault(error.filename, "a path that can be used", error.strerror)
        _show(_with_notes(error), debug)
        raise typer.Exit(2) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it is becomes one line
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            _show(f"memory: expected more than there is ({str(error) or 'none was got':.150}); try fewer draws, cells or jobs", debug)
            raise typer.Exit(2) from None
        _show(f"unexpected {type(error).__name__}: {_with_notes(error)} (--debug shows where)", debug)
        raise typer.Exit(1) from None


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise :class:`_Stopped` where a signal comes, so that files and processes are cleared up as after Ctrl-C; a second one kills.

    An answer of someone else's to a signal stays, as that of ``nohup``.
    """
    came: _Stopped | None = None
    owner = os.getpid()

    def stop(number: int, frame: object) -> None:
        nonlocal came
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != owner:  # a forked process of a training, which has nothing to clear up
            os.kill(os.getpid(), number)
        came = _Stopped(number)
        raise came

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _STOPPING if signal.getsignal(number) is signal.SIG_DFL]
    known = sys.unraisablehook

    def unraised(problem: sys.UnraisableHookArgs) -> None:
        if not isinstance(problem.exc_value, _Stopped):
            known(problem)
            return
        # It came while an object was being cleared away, where Python ignores exceptions: try again a moment later.
        number = problem.exc_value.number
        signal.signal(number, stop)
        threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, number)).start()

    sys.unraisablehook = unraised
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    except BaseException:
        if came is not None:  # whatever it has become on its way: Lightning's trainer makes an exit without a code of it
            raise came from None
        raise
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = known


def _with_notes(error: Exception) -> str:
    """What an error says, and what was noted where it came by."""
    return ", ".join([str(error), *getattr(error, "__notes__", ())])


def _show(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc(file=sys.stderr)
    typer.echo(f"probtokens: error: {' '.join(filter(None, map(str.strip, message.splitlines())))}", err=True)


if __name__ == "__main__":
    main()
