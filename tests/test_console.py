import io
import logging
import warnings
from functools import partial
from pathlib import Path

import pytest
import rich.console

from probtokens import console
from probtokens.console import Console, format_seconds
from probtokens.time_left import TimeLeft


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60.0, "1 min 0 s"), (3725.4, "62 min 5 s")])
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown(terminal, monkeypatch):
    monkeypatch.setattr("probtokens.console._PLAIN_INTERVAL", 0.0)
    stream = io.StringIO()
    with Console(rich.console.Console(file=stream, force_terminal=terminal, width=100)).stage("train micro") as progress:
        progress(0, 20)
        progress(5, 20, "rollout")
    text = stream.getvalue()
    assert "train micro" in text
    assert "5/20" in text
    assert "rollout" in text
    assert "train micro: done in" in text


def test_a_bar_without_progress_yet_counts_nothing():
    stream = io.StringIO()
    with Console(rich.console.Console(file=stream, force_terminal=True, width=100)).stage("report"):
        pass
    assert "0/?" not in stream.getvalue()


def test_plain_lines_are_rare():
    stream = io.StringIO()
    with Console(rich.console.Console(file=stream)).stage("simulate") as progress:
        for done in range(1000):
            progress(done, 1000)
    assert stream.getvalue().count("\n") == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_the_time_left_is_shown(terminal, monkeypatch):
    monkeypatch.setattr("probtokens.console._PLAIN_INTERVAL", 0.0)
    monkeypatch.setattr("probtokens.time_left._ENOUGH", 0.0)
    monkeypatch.setattr("probtokens.console.TimeLeft", partial(TimeLeft, clock=iter([0.0, 60.0]).__next__))
    stream = io.StringIO()
    with Console(rich.console.Console(file=stream, force_terminal=terminal, width=140)).stage("simulate micro") as progress:
        progress(30, 90)  # 30 were there before
        progress(50, 90, "train/shard_0001")
    assert "about 2 min left" in stream.getvalue()


def test_a_log_that_cannot_be_written_does_not_hide_what_went_wrong(capfd):
    stream = io.StringIO()
    with Console(rich.console.Console(file=stream)).logging_to(Path("/dev/full")):
        logging.getLogger("probtokens.somewhere").warning("attention")
    assert stream.getvalue() == "attention\n"
    assert capfd.readouterr().err == ""


def test_the_log_file_gets_everything_and_the_screen_the_warnings(tmp_path):
    stream = io.StringIO()
    own = logging.getLogger("probtokens.somewhere")
    with Console(rich.console.Console(file=stream)).logging_to(tmp_path / "log"):
        own.info("detail")
        own.warning("attention")
        with warnings.catch_warnings(action="always"):
            warnings.warn("from a library", stacklevel=1)
            warnings.warn_explicit("compiling failed", RuntimeWarning, str(Path(console.__file__).parent / "simulate" / "run.py"), 7)
    own.warning("later")
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "detail" in log
    assert "attention" in log
    assert "from a library" in log
    assert "later" not in log
    assert "compiling failed" in log
    shown = stream.getvalue()
    assert shown.startswith("attention\n")
    assert shown.splitlines() == ["attention", "compiling failed"]  # where in the code is for the file
    assert "from a library" not in shown
