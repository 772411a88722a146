"""A file is there as a whole or not at all."""

import pytest

from compress.files import written_aside


def test_a_file_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with written_aside(path) as beside:
        beside.write_text("first")
    with pytest.raises(RuntimeError, match="midway"), written_aside(path) as beside:
        beside.write_text("second")
        raise RuntimeError("midway")
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]
