"""Progress over shards that several processes compute."""

import logging

import pytest

from probtokens.simulate.quality import FailedRun
from probtokens.simulate.tally import Tally, note, read_note, remove_note
from tests.simulate.campaigns import CAMPAIGN, tasks_of


@pytest.fixture
def tasks(tmp_path):
    return tasks_of(CAMPAIGN, tmp_path)  # of 2, 1, 1 and 1 simulations with two frames to compute


def test_notes_are_read_back_and_hidden(tasks):
    assert read_note(tasks[0]) is None
    write = note(tasks[0])
    assert read_note(tasks[0]) == 0
    write(3, "")
    assert read_note(tasks[0]) == 3
    write(4, "")  # too soon
    assert read_note(tasks[0]) == 3
    assert not [path for path in tasks[0].shard.path.parent.iterdir() if not path.name.startswith(".")]
    remove_note(tasks[0])
    assert read_note(tasks[0]) is None


def test_a_note_that_cannot_be_written_is_no_error(tasks):
    tasks[0].shard.path.parent.write_text("a file where a folder should be")
    note(tasks[0])(1, "")
    assert read_note(tasks[0]) is None


def test_frames_of_all_shards_add_up_and_never_go_back(tasks):
    reports = []
    tally = Tally(tasks, tasks[:1], lambda *report: reports.append(report))
    note(tasks[1])(1, "")
    note(tasks[2])
    tally.at_work_elsewhere(tasks[1:])
    remove_note(tasks[1])
    tally.at_work_elsewhere(tasks[1:])
    tally.finished(tasks[1], ())
    assert [report[:2] for report in reports] == [(4, 10), (5, 10), (5, 10), (6, 10)]
    assert reports[1][2] == "1 of 4 shards done, 2 at work"


def test_failed_runs_are_warned_of(tasks, caplog):
    with caplog.at_level(logging.WARNING, "probtokens"):
        Tally(tasks, [], None).finished(tasks[0], [FailedRun(1, 11.25, "frame 3: no stable step")])
    assert caplog.messages == ["micro train/shard_0000: left out run 1 (11.25 GPa): frame 3: no stable step"]
