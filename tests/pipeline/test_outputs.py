import hashlib

import pytest

from probtokens.pipeline import outputs
from probtokens.pipeline.folder import RunFolder, new_of


def digest(content):
    return hashlib.sha256(content).hexdigest()


def test_digests_are_of_visible_files_wherever_they_are_made(tmp_path):
    folder = RunFolder(tmp_path)
    made = [tmp_path / "data", tmp_path / "scores.json"]
    for data, scores in ((made[0], made[1]), map(new_of, made)):
        (data / "train").mkdir(parents=True)
        (data / "train" / "a.hdf5").write_bytes(b"12")
        (data / "train" / ".b.hdf5.1.tmp").write_bytes(b"1")
        scores.write_bytes(b"123")
    expected = {"data/train/a.hdf5": digest(b"12"), "scores.json": digest(b"123")}
    assert outputs.digests(folder, made) == outputs.digests(folder.making(made), made) == expected
    assert outputs.damaged(folder, expected) == []
    assert outputs.damaged(folder, {"scores.json": digest(b"124"), "gone": ""}) == [tmp_path / "scores.json", tmp_path / "gone"]
    assert outputs.damaged(folder, {"scores.json": 3, "data/train/a.hdf5": 3}) == [tmp_path / "data/train/a.hdf5"]


@pytest.mark.parametrize("name", ["../other", "data/../../other", "/etc/passwd", "", ".", "a\0b"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected the name of something inside"):
        RunFolder(tmp_path).inside(name)


def test_of_a_link_the_link_alone_is_removed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    outputs.remove([tmp_path / "data"])
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_remove_takes_files_folders_and_nothing(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    outputs.remove([tmp_path / "folder", tmp_path / "file", tmp_path / "absent"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_inside_a_zarr_array_stands_for_the_array(tmp_path):
    array = tmp_path / "rollouts" / "tokens_test.zarr"
    assert outputs.enclosing_array(array / "prediction" / "c" / "0") == array
    assert outputs.enclosing_array(tmp_path / "model.pt") == tmp_path / "model.pt"
