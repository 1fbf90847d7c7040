"""Tests the page of `lrscan app`: answers, errors in one sentence, limits, and that nothing is kept."""

from __future__ import annotations

import base64
import re
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan import InvalidOptionError
from keras_lrscan.app.answer import Question, answer, form_page
from keras_lrscan.app.server import HEADERS, build_app, free_port
from keras_lrscan.pictures.image import MAX_BYTES
from tests.pictures.test_reader import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

for needed in ("multipart", "jinja2", "matplotlib", "httpx", "PIL"):
    pytest.importorskip(needed, exc_type=ImportError)
testclient: Any = pytest.importorskip("starlette.testclient", exc_type=ImportError)

RECORDED = Path(__file__).parents[2] / "docs" / "curves" / "fresh-classifier.json"
COLUMNS = "lr loss\n" + "\n".join(f"{10 ** (-6 + 0.1 * step):.3g}\t{2.3 - 0.02 * step}" for step in range(60))


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with testclient.TestClient(build_app()) as client:
        yield client


def one_sentence(text: str) -> str:
    return "".join(re.findall(r'role="alert">(.*?)</p>', text, re.DOTALL))


def test_the_empty_form_has_labels_and_no_scripts() -> None:
    text = form_page()
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert 'for="file"' in text


def test_a_json_file_gets_an_explanation_and_a_report_to_download() -> None:
    status, text = answer(Question(name="scan.json", data=RECORDED.read_bytes()))
    assert status == 200
    report = base64.b64decode(re.findall(r"data:text/html;base64,([^\"]+)", text)[0]).decode()
    assert report.startswith("<!DOCTYPE html>")
    assert "What was read from the picture" not in text


@pytest.mark.parametrize("pasted", [COLUMNS, COLUMNS.split("\n", 1)[1], COLUMNS.replace("\t", ", ")])
def test_two_pasted_columns_get_an_explanation(pasted: str) -> None:
    assert answer(Question(pasted=pasted))[0] == 200


@pytest.mark.parametrize(
    "question",
    [
        Question(),
        Question(pasted="1 2 3"),
        Question(pasted="a\nb"),
        Question(pasted="1e-3 1\n1e-3 x"),
        Question(name="a.exe", data=b"MZ\0\0"),
        Question(name="a.json", data=b"{}"),
        Question(name="a.json", data=b"[" * 100_000),
        Question(name="a.csv", data=b"\xff\xfe\0\0"),
        Question(name="<b>.csv", data=b"lr,loss\n1,<script>"),
        Question(name="a.png", data=b"\x89PNG\r\n\x1a\n"),
        Question(kept="not base64"),
        Question(kept="\ufffd\udcff"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(question: Question) -> None:
    status, text = answer(question)
    assert status == 400
    assert 0 < len(one_sentence(text)) < 700
    assert "Traceback" not in text
    assert "<script" not in text


def test_a_picture_without_numbers_is_shown_with_fields_for_its_ranges() -> None:
    pytest.importorskip("rapidocr", exc_type=ImportError)
    data = drawn(labels=False)
    status, text = answer(Question(data=data))
    assert status == 400
    assert "Type the learning rates at the left and the right end of the line below" in one_sentence(text)
    kept = base64.b64encode(data).decode()
    assert f'src="data:image/png;base64,{kept}"' in text
    assert f'name="kept" value="{kept}"' in text
    status, text = answer(Question(kept=kept, ranges=("1e-7", "0.4", "", "")))
    assert status == 400
    assert "Type the losses at the lowest and the highest point of the line below" in one_sentence(text)
    assert 'name="lr_low" inputmode="text" value="1e-7"' in text
    assert answer(Question(kept=kept, ranges=("1e-7", "0.4", "0.6", "7.5")))[0] == 200


def test_nothing_that_was_sent_is_left_on_disk() -> None:
    before = set(Path(tempfile.gettempdir()).glob("lrscan-*"))
    answer(Question(name="scan.json", data=RECORDED.read_bytes()))
    answer(Question(name="a.csv", data=b"nothing"))
    assert set(Path(tempfile.gettempdir()).glob("lrscan-*")) <= before


def test_the_server_answers_over_http(page: Any) -> None:
    reply = page.post("/", files={"file": ("scan.json", RECORDED.read_bytes())})
    assert reply.status_code == 200
    assert HEADERS.items() <= {name.title(): value for name, value in reply.headers.items()}.items()


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 5 * MAX_BYTES])
def test_a_file_that_is_too_large_is_refused(page: Any, size: int) -> None:
    reply = page.post("/", files={"file": ("large.png", b"\0" * size)})
    assert reply.status_code == 413
    assert "at most 5 MB" in one_sentence(reply.text)


def test_a_request_that_is_no_form_gets_the_form_again(page: Any) -> None:
    reply = page.post("/", content=b"{}", headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert "Received: nothing" in one_sentence(reply.text)


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidOptionError, match=f"must be a free port of 127.0.0.1. Received: port={port}"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port


@pytest.mark.parametrize("host", ["no host", "192.0.2.1", "a" * 70])
def test_a_host_that_is_not_this_computer_is_refused_by_its_name(host: str) -> None:
    with pytest.raises(
        InvalidOptionError, match=f"`host` must be an address of this computer. Received: host='{host}'"
    ):
        free_port(host, 0)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(InvalidOptionError, match="must be a number from 0 to 65535"):
        free_port("127.0.0.1", port)
