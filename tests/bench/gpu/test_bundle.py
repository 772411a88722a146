"""What is carried to a machine without a package index or a hub, and how it gets where it is looked for."""

import hashlib

import pytest

from bench.gpu import bundle
from bench.gpu.parts import join
from models.data.assets import Asset, fetch
from models.data.embedded import SMOLLM2, WIKIPEDIA
from models.errors import InputError


@pytest.fixture
def asset(tmp_path, monkeypatch):
    """A pinned file that is in the cache of this machine."""
    content = b"weights" * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("LM_COMPRESSION_BENCH_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / sha256[:16]
    place.mkdir(parents=True)
    (place / "model.gguf").write_bytes(content)
    return Asset("project", "none.whl", "0" * 64, 1, "inside/model.gguf", sha256)


def test_a_carried_file_is_found_without_a_network(asset, tmp_path):
    bundle.gather({}, [asset], tmp_path / "parts")
    join(tmp_path / "parts", tmp_path / "open")
    other = tmp_path / "other-machine"
    bundle.fill(tmp_path / "open" / "assets", other)
    assert fetch(asset, other, url="file:///nowhere").read_bytes() == b"weights" * 1000


def test_a_file_that_is_there_already_stays(asset, tmp_path):
    folder = tmp_path / "assets" / asset.sha256[:16]
    folder.mkdir(parents=True)
    (folder / asset.name).write_bytes(b"another")
    bundle.fill(tmp_path / "assets")
    assert fetch(asset, url="file:///nowhere").read_bytes() == b"weights" * 1000


def test_every_pinned_file_is_known():
    assert {SMOLLM2, WIKIPEDIA} <= set(bundle.known_assets())


def test_assumed_packages_and_what_they_bring_are_not_carried():
    beyond = bundle.missing(bundle.ASSUMED)
    assert {"gguf", "lm-eval", "datasets", "mwparserfromhell", "pytest"} <= set(beyond)
    assert not {"torch", "numpy", "transformers", "safetensors", "tokenizers", bundle.PROJECT} & set(beyond)


def test_a_package_that_is_assumed_besides_is_left_out_too():
    assert "pyarrow" not in bundle.missing([*bundle.ASSUMED, "datasets"])


def test_an_extra_of_a_package_that_is_left_is_followed():
    """What `datasets` asks for as `fsspec[http]`: the machine has fsspec, by torch, and not what the extra brings."""
    assert "aiohttp" in bundle.missing(bundle.ASSUMED)
    assert "fsspec" not in bundle.missing(bundle.ASSUMED)


def test_a_package_that_is_not_installed_here_is_named():
    with pytest.raises(InputError, match="no-such-package is not installed here; make the environment first"):
        bundle.required(["no-such-package"])


def test_wheels_that_pip_does_not_give_are_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match=r"pip does not give the wheels \(.*no-such-package"):
        bundle.gather({"no-such-package": "1.0"}, [], tmp_path / "parts")
