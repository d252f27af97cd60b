"""A watched folder takes whole files and loses none."""

from __future__ import annotations

import pytest

from citygate.link.folder import NoFolderError, WatchedFolder


def test_a_file_is_taken_when_it_has_stopped_growing(tmp_path):
    folder = WatchedFolder(tmp_path)
    path = tmp_path / "a.csv"
    path.write_text("1")
    (tmp_path / "b.csv.part").write_text("1")
    (tmp_path / ".c.csv").write_text("1")
    (tmp_path / "readme.md").write_text("1")
    assert folder.complete() == []
    path.write_text("12")
    assert folder.complete() == []
    assert folder.complete() == [path]


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    folder = WatchedFolder(tmp_path)
    places = []
    for text in "abc":
        path = tmp_path / "x.csv"
        path.write_text(text)
        places.append(folder.put_aside(path, "done"))
    assert [place.name for place in places] == ["x.csv", "x.1.csv", "x.2.csv"]
    assert [place.read_text() for place in places] == ["a", "b", "c"]


def test_only_folders_are_watched(tmp_path):
    with pytest.raises(NoFolderError):
        WatchedFolder(tmp_path / "none")
