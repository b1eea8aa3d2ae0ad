"""VOC's archives, from a server of the test's own."""

import functools
import hashlib
import http.server
import io
import ssl
import tarfile
import threading

import pytest

from detkit.data import download
from detkit.data.download import Archive, archives, get
from detkit.errors import ConfigError, DataError


def tar(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return data.getvalue()


TAR = tar({"VOCdevkit/VOC2007/Annotations/1.xml": b"x" * 5000})


class Ranged(http.server.BaseHTTPRequestHandler):
    """Serves one archive; ``cut`` ends the first answers early, ``asked`` keeps the ranges."""

    def __init__(self, state, *rest):
        self.state = state
        super().__init__(*rest)

    def do_GET(self):
        wanted = self.headers.get("Range", "")
        self.state["asked"].append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.state["ranges"] else 0
        if start >= len(TAR):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(TAR) - start))
        self.end_headers()
        self.wfile.write(TAR[start : start + self.state["cut"].pop(0)] if self.state["cut"] else TAR[start:])

    def log_message(self, *rest):
        pass


@pytest.fixture
def server(monkeypatch):
    state = {"asked": [], "cut": [], "ranges": True}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranged, state)) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}/trainval.tar"
        archive = Archive(url, "trainval.tar", hashlib.md5(TAR).hexdigest(), "VOCdevkit/VOC2007")
        monkeypatch.setattr(download, "archives", lambda: {"voc2007": (archive,)})
        yield state
        running.shutdown()


def test_archives_are_those_of_torchvision():
    assert [one.name for one in archives()["voc2007"]] == ["VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar"]
    assert archives()["voc2012"][0].folder == "VOCdevkit/VOC2012"


def test_it_is_fetched_once_and_unpacked(server, tmp_path):
    root = get("voc2007", tmp_path / "data")
    assert (root / "Annotations/1.xml").read_bytes() == b"x" * 5000
    assert get("voc2007", tmp_path / "data") == root and server["asked"] == [""]


def test_it_goes_on_where_it_broke_off(server, tmp_path):
    server["cut"] = [3000]
    with pytest.raises(
        DataError, match=r"cannot be fetched: .*; run the command again to go on, or bring trainval.tar"
    ):
        get("voc2007", tmp_path)
    assert get("voc2007", tmp_path).is_dir()
    assert server["asked"] == ["", "bytes=3000-"]


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    server.update(cut=[3000], ranges=False)
    with pytest.raises(DataError):
        get("voc2007", tmp_path)
    assert get("voc2007", tmp_path).is_dir()


def test_another_content_is_refused(server, tmp_path):
    (tmp_path / "trainval.tar").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"trainval.tar: its MD5 is .*, expected .*; remove it"):
        get("voc2007", tmp_path)
    assert server["asked"] == []


def test_without_network_it_says_what_to_bring_where_to(server, tmp_path, monkeypatch):
    (one,) = download.archives()["voc2007"]
    closed = Archive("http://127.0.0.1:9/trainval.tar", one.name, one.md5, one.folder)
    monkeypatch.setattr(download, "archives", lambda: {"voc2007": (closed,)})
    with pytest.raises(DataError) as caught:
        get("voc2007", tmp_path)
    assert f"bring trainval.tar (MD5 {one.md5}, {closed.url}) to {tmp_path} and run it again" in str(caught.value)
    (tmp_path / "trainval.tar").write_bytes(TAR)
    assert (get("voc2007", tmp_path) / "Annotations").is_dir()


def test_a_connection_that_breaks_in_any_way_is_told_in_one_line(server, tmp_path, monkeypatch):
    def broken(*given, **more):
        raise ssl.SSLError("record layer failure")

    monkeypatch.setattr(download.urllib.request, "urlopen", broken)
    with pytest.raises(DataError, match=r"cannot be fetched: .*record layer failure"):
        get("voc2007", tmp_path)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"no data set 'voc2010' to fetch. Did you mean voc20\d\d\? There is: voc2007, voc2012"
    ):
        get("voc2010", "nowhere")
