import hashlib
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import rich.console
from filelock import Timeout

from probtokens.config import CampaignConfig, Config, SimulateConfig, load_config
from probtokens.console import Console
from probtokens.pipeline.engine import at_work, execute, states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.pipeline.record import read_record, write_record
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, hidden

ALL = ["data: first half", "data", "model: first half", "model", "scores: first half", "scores"]


class Stop(Exception):
    """Stands for a kill: nothing after it runs."""


def test_a_second_call_does_nothing(fake_run):
    assert fake_run.execute() == ALL
    assert fake_run.execute() == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("data", ALL), ("model", ALL[2:]), ("scores", ALL[4:])],
)
def test_a_changed_setting_reruns_what_depends_on_it(fake_run, changed, expected):
    fake_run.execute()
    fake_run.settings[changed] = 2
    assert fake_run.execute() == expected
    assert fake_run.text(changed) == "2"
    assert f"{changed}: settings have changed; the old results stay until the new ones are there" in fake_run.stream.getvalue()
    assert hidden(fake_run.folder.root) == [".lock"]


def test_a_campaign_that_grows_keeps_its_simulations(tmp_path):
    folder = RunFolder(tmp_path)

    def simulate(campaign: CampaignConfig) -> int:
        config = Config(simulate=SimulateConfig(micro=campaign, physics=PHYSICS))
        console = Console(rich.console.Console(file=io.StringIO()))
        execute(folder, config, build_stages(config, folder), console, only={"simulate_micro"})
        return (folder.data("micro") / "train" / "shard_0000.hdf5").stat().st_mtime_ns

    written = simulate(CAMPAIGN)
    assert simulate(CAMPAIGN.model_copy(update={"n_train": 4})) == written
    assert simulate(CAMPAIGN.model_copy(update={"n_times": 2})) > written


def test_settings_changed_and_restored_in_between_need_no_work(fake_run):
    fake_run.execute()
    fake_run.settings["model"] = 2
    assert states(fake_run.folder, fake_run.stages()) == {"data": "done", "model": "outdated", "scores": "outdated"}
    fake_run.settings["model"] = 1
    assert fake_run.execute() == []


def test_an_interrupted_stage_goes_on_from_its_partial_output(fake_run):
    _interrupt(fake_run, "model")
    assert states(fake_run.folder, fake_run.stages()) == {"data": "done", "model": "partial", "scores": "absent"}
    assert fake_run.execute() == ["model", "scores: first half", "scores"]


def test_partial_output_of_other_settings_is_not_used(fake_run):
    _interrupt(fake_run, "model")
    fake_run.settings["model"] = 2
    assert fake_run.execute() == ALL[2:]
    assert fake_run.text("model") == "2"


def test_old_results_stay_until_the_new_ones_are_there(fake_run):
    fake_run.execute()
    fake_run.settings["model"] = 2
    _interrupt(fake_run, "model")
    assert fake_run.text("model") == "1"
    assert states(fake_run.folder, fake_run.stages()) == {"data": "done", "model": "partial", "scores": "outdated"}
    fake_run.settings["model"] = 1
    assert fake_run.execute() == []
    fake_run.settings["model"] = 2
    assert fake_run.execute() == ["model", *ALL[4:]]
    assert fake_run.text("model") == "2"
    assert hidden(fake_run.folder.root) == [".lock"]


def test_half_of_other_settings_is_not_gone_on_from(fake_run):
    fake_run.execute()
    fake_run.settings["model"] = 2
    _interrupt(fake_run, "model")
    fake_run.settings["model"] = 3
    assert fake_run.execute() == ALL[2:]
    assert fake_run.text("model") == "3"


@pytest.mark.parametrize("calls", range(4))
def test_a_kill_while_results_change_places_loses_neither(fake_run, monkeypatch, calls):
    """Old and new change places in three renames: of the old, of the new, and of the record."""
    fake_run.execute()
    fake_run.settings["scores"] = 2
    done = []
    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            known = getattr(Path, name)

            def rename(self, target, known=known):
                if self.name.startswith((".scores.", "scores")):
                    if len(done) == calls:
                        raise Stop
                    done.append(self)
                return known(self, target)

            patch.setattr(Path, name, rename)
        if calls < 3:
            with pytest.raises(Stop):
                fake_run.execute()
        else:
            fake_run.execute()
    assert fake_run.execute() == []
    assert fake_run.text("scores") == "2"
    assert hidden(fake_run.folder.root) == [".lock"]


def test_results_without_a_record_stay_until_new_ones_are_there(fake_run):
    fake_run.execute()
    fake_run.folder.record("model").write_text("{", encoding="utf-8")
    _interrupt(fake_run, "model")
    assert fake_run.text("model") == "1"
    assert fake_run.execute() == ["model"]
    assert "expected a record in" in fake_run.stream.getvalue()


def test_a_record_cannot_name_files_outside_the_run(fake_run, tmp_path):
    fake_run.execute()
    outside = tmp_path / "precious.txt"
    outside.write_text("mine", encoding="utf-8")
    record = read_record(fake_run.folder.record("model"))
    for name in ("../precious.txt", str(outside)):
        write_record(fake_run.folder.record("model"), record.model_copy(update={"outputs": record.outputs | {name: "0"}}))
        with pytest.raises(ValueError, match="expected the name of something inside"):
            fake_run.execute()
    assert outside.read_text(encoding="utf-8") == "mine"


def test_results_of_another_version_stay_and_are_told(fake_run):
    fake_run.execute()
    record = read_record(fake_run.folder.record("model"))
    other = record.model_copy(
        update={"versions": record.versions | {"torch": "1.0"}, "hardware": record.hardware | {"instructions": "none"}}
    )
    write_record(fake_run.folder.record("model"), other)
    assert fake_run.execute() == []
    shown = fake_run.stream.getvalue()
    assert f"model: made with torch 1.0, here {record.versions['torch']}; the results stay" in shown
    assert "model: made with instructions none, here" in shown
    assert "data: made with" not in shown


def test_files_that_an_older_version_recorded_are_known_by_their_size(fake_run):
    fake_run.execute()
    record = read_record(fake_run.folder.record("model"))
    write_record(fake_run.folder.record("model"), record.model_copy(update={"outputs": dict.fromkeys(record.outputs, 1)}))
    assert fake_run.execute() == []
    (fake_run.folder.root / "model" / "out.txt").write_text("11", encoding="utf-8")
    assert fake_run.execute() == ["model"]


@pytest.mark.parametrize("harm", ["removed", "truncated", "other"])
def test_a_damaged_output_is_made_again_and_nothing_else(fake_run, harm):
    fake_run.execute()
    path = fake_run.folder.root / "model" / "out.txt"
    before = path.stat()
    path.unlink() if harm == "removed" else path.write_text({"truncated": "", "other": "7"}[harm], encoding="utf-8")
    if harm == "other":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fake_run.execute() == ["model"]
    assert "has changed since it was made" in fake_run.stream.getvalue()


def test_files_of_others_in_an_output_folder_are_left_alone(fake_run):
    fake_run.execute()
    (fake_run.folder.root / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    assert fake_run.execute() == []


def test_a_stage_that_makes_less_than_it_promised_is_not_done(fake_run):
    def forget(name):
        if name == "model":
            fake_run.folder.root.joinpath("model", "half.txt").unlink()

    fake_run.before = forget
    with pytest.raises(FileNotFoundError, match=r"half\.txt"):
        fake_run.execute()
    assert states(fake_run.folder, fake_run.stages())["model"] == "partial"


def test_one_stage_alone_needs_the_others_done(fake_run):
    with pytest.raises(ValueError, match="'model' expected the results of 'data', found none; make them with: probtokens data"):
        fake_run.execute(only={"model"})
    assert fake_run.execute(only={"data"}) == ALL[:2]
    assert fake_run.execute(only={"model"}) == ALL[2:4]


def test_one_stage_alone_does_not_build_on_outdated_results(fake_run):
    fake_run.execute()
    fake_run.settings["data"] = 2
    with pytest.raises(ValueError, match="made with other settings"):
        fake_run.execute(only={"scores"})


def test_the_record_says_what_was_made_with_what(fake_run):
    fake_run.execute()
    record = read_record(fake_run.folder.record("model"))
    assert record.status == "done"
    assert record.outputs == dict.fromkeys(("model/half.txt", "model/out.txt"), hashlib.sha256(b"1").hexdigest())
    assert record.seconds >= 0
    assert {"python", "torch", "probtokens"} <= record.versions.keys()
    assert "cores" in record.hardware


def test_config_and_log_are_in_the_run_folder(fake_run):
    fake_run.execute()
    assert load_config(fake_run.folder.config) == load_config()
    log = fake_run.folder.log.read_text(encoding="utf-8")
    assert log.index("data: begin") < log.index("scores: done in")


def test_a_failure_leaves_its_traceback_in_the_log(fake_run):
    _interrupt(fake_run, "model")
    log = fake_run.folder.log.read_text(encoding="utf-8")
    assert "model: failed" in log
    assert "Traceback" in log
    assert "Traceback" not in fake_run.stream.getvalue()


def test_a_folder_with_other_files_is_refused_untouched(fake_run):
    root = fake_run.folder.root
    (root / "data").mkdir(parents=True)
    (root / "data" / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="expected an empty folder or a run folder"):
        fake_run.execute()
    assert (root / "data" / "precious.txt").read_text(encoding="utf-8") == "mine"
    assert not (root / "stages").exists()


def test_a_file_in_place_of_the_folder_is_refused(fake_run):
    fake_run.folder.root.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a folder for the run, found a file"):
        fake_run.execute()


def test_a_folder_left_by_a_kill_at_once_is_taken_up(fake_run):
    fake_run.folder.stages.mkdir(parents=True)
    assert fake_run.execute() == ALL


def test_two_processes_do_not_share_a_run(fake_run):
    fake_run.folder.stages.mkdir(parents=True)
    script = textwrap.dedent(
        """
        import sys
        from filelock import FileLock
        with FileLock(sys.argv[1]):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fake_run.folder.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="expected no other process at work"):
            fake_run.execute()
        assert at_work(fake_run.folder)
        other.kill()
    assert not at_work(fake_run.folder)
    assert fake_run.execute() == ALL


def _interrupt(fake_run, at):
    def stop(name):
        if name == at:
            raise Stop

    fake_run.before = stop
    with pytest.raises(Stop):
        fake_run.execute()
    fake_run.before = lambda name: None


def test_a_folder_that_another_process_is_making_stays_when_this_one_is_refused(fake_run, monkeypatch):
    """Both began before there was a folder, and the other one was first to claim it."""

    def lose(lock, timeout):
        raise Timeout(lock.lock_file)

    monkeypatch.setattr("probtokens.pipeline.engine.FileLock.acquire", lose)
    with pytest.raises(ValueError, match="expected no other process at work"):
        fake_run.execute()
    assert fake_run.folder.stages.is_dir()
