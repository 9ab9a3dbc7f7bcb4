import json
import os

from probtokens.pipeline.record import finished, read_record, started, write_record


def test_a_record_is_read_back_as_written(tmp_path):
    path = tmp_path / "stages" / "train.json"
    for record in (started("train", "abc"), finished("train", "abc", 1.5, {"model.pt": 10})):
        write_record(path, record)
        assert read_record(path) == record
    assert [p.name for p in path.parent.iterdir()] == ["train.json"]


def test_what_is_not_a_record_counts_as_none(tmp_path):
    path = tmp_path / "train.json"
    assert read_record(path) is None
    os.mkfifo(tmp_path / "waits.json")  # whoever opens it waits for ever
    assert read_record(tmp_path / "waits.json") is None
    for text in ("", "{", json.dumps({"stage": "train"}), json.dumps({"status": "done", "unknown": 1})):
        path.write_text(text, encoding="utf-8")
        assert read_record(path) is None
