from probtokens.pipeline import outputs


def test_sizes_list_visible_files(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "a.hdf5").write_bytes(b"12")
    (tmp_path / "data" / "train" / ".b.hdf5.1.tmp").write_bytes(b"1")
    (tmp_path / "scores.json").write_bytes(b"123")
    found = outputs.sizes(tmp_path, [tmp_path / "data", tmp_path / "scores.json"])
    assert found == {"data/train/a.hdf5": 2, "scores.json": 3}
    assert outputs.damaged(tmp_path, found) == []
    assert outputs.damaged(tmp_path, {"scores.json": 4, "gone": 0}) == [tmp_path / "scores.json", tmp_path / "gone"]


def test_remove_takes_files_folders_and_nothing(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    outputs.remove([tmp_path / "folder", tmp_path / "file", tmp_path / "absent"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_inside_a_zarr_array_stands_for_the_array(tmp_path):
    array = tmp_path / "rollouts" / "tokens_test.zarr"
    assert outputs.enclosing_array(array / "prediction" / "c" / "0") == array
    assert outputs.enclosing_array(tmp_path / "model.pt") == tmp_path / "model.pt"
