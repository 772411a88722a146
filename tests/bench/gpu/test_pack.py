"""One archive holds what an hour came to, and stays small enough to carry."""

import random
import tarfile

from bench.gpu.pack import pack, slug


def folder(path):
    path.mkdir()
    (path / "evidence.jsonl").write_text("{}\n")
    (path / "survey-forest.png").write_bytes(random.Random(0).randbytes(50_000))
    (path / ".evidence.lock").write_text("")
    (path / "measurements").mkdir()
    (path / "measurements" / "blocks.bin").write_bytes(b"large")
    return path


def names(archive):
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_evidence_and_plots_are_packed_and_what_only_this_machine_can_use_is_not(tmp_path):
    folders = {"gpu": folder(tmp_path / "results"), "hour": tmp_path / "absent"}
    assert pack(folders, tmp_path / "a.tar.xz") == ()
    assert names(tmp_path / "a.tar.xz") == {"gpu/evidence.jsonl", "gpu/survey-forest.png"}


def test_plots_are_left_out_first(tmp_path):
    left = pack({"gpu": folder(tmp_path / "results")}, tmp_path / "a.tar.xz", most=10_000)
    assert left == ["gpu/survey-forest.png"]
    assert names(tmp_path / "a.tar.xz") == {"gpu/evidence.jsonl"}


def test_a_cards_name_can_stand_in_a_file_and_a_key():
    assert slug("NVIDIA GeForce RTX 4090 (D)") == "NVIDIA-GeForce-RTX-4090-D"
