"""Tests the page of `lrscan app` in headless Chromium: a picture is dropped, explained and corrected.

Without the browser these tests are skipped, or fail if `LRSCAN_REQUIRE_BROWSER=1` is set.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.app.server import free_port
from tests.report.test_in_browser import DESKTOP, PHONE, STICKS_OUT, browser, needed, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

for name in ("PIL", "onnxruntime", "rapidocr", "uvicorn", "starlette", "multipart", "matplotlib"):
    pytest.importorskip(name, exc_type=ImportError)

__all__ = ["browser"]

KTRAIN = Path(__file__).parents[1] / "data" / "ktrain_runs" / "reuters_pretrained_maxep1.csv"
PATIENCE = 120


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Runs the page in a process of its own, and yields its address."""
    port = free_port("127.0.0.1", 0)
    code = "import sys; from keras_lrscan.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "app", "--port", str(port), "--no-browser"]
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    found = f"http://127.0.0.1:{port}/"
    for _ in range(10 * PATIENCE):
        try:
            with urllib.request.urlopen(found, timeout=5):
                break
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None
            time.sleep(0.1)
    yield found
    server.terminate()
    server.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns ktrain's plot of a pretrained encoder as a JPEG, drawn with the calls of its `plot_loss`."""
    from matplotlib.figure import Figure

    with KTRAIN.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[10:-5]
    figure = Figure()
    ax = figure.subplots()
    ax.plot([float(row["lr"]) for row in rows], [float(row["ktrain_loss"]) for row in rows])
    ax.set(xscale="log", xlabel="learning rate (log scale)", ylabel="loss")
    path = tmp_path_factory.mktemp("pictures") / "ktrain.jpeg"
    figure.savefig(path, dpi=100)
    return path


def send(browser: Any, address: str, file: Path, *, width: int = DESKTOP, dark: bool = False) -> None:
    by = needed("selenium.webdriver.common.by").By
    browser.set_page_load_timeout(PATIENCE)
    visit(browser, address, width=width, dark=dark)
    browser.find_element(by.ID, "file").send_keys(str(file))
    press(browser, "form.ask button")


def press(browser: Any, button: str) -> None:
    """Presses a button and waits for the page that answers, since a click may return before it is there."""
    conditions = needed("selenium.webdriver.support.expected_conditions")
    wait = needed("selenium.webdriver.support.wait").WebDriverWait(browser, PATIENCE)
    pressed = browser.find_element("css selector", button)
    pressed.click()
    wait.until(conditions.staleness_of(pressed))
    wait.until(lambda browser: browser.execute_script("return document.readyState") == "complete")


def text_of(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def violations(browser: Any) -> list[tuple[str, str]]:
    result = needed("axe_core_python.selenium").Axe().run(browser)
    assert len(result["passes"]) > 10
    return [(rule["id"], node["html"][:200]) for rule in result["violations"] for node in rule["nodes"]]


def test_a_picture_of_ktrain_is_explained_wide_and_on_a_phone(browser: Any, address: str, picture: Path) -> None:
    for width, dark in ((DESKTOP, False), (PHONE, True)):
        send(browser, address, picture, width=width, dark=dark)
        first = text_of(browser, "p.lead")
        assert "nothing about overfitting" in first
        assert "losses in it are averages" in first
        assert "ktrain or keras_lr_finder" in text_of(browser, "main")
        assert browser.execute_script("return document.querySelector('img.overlay').naturalWidth") > 0
        assert browser.execute_script(STICKS_OUT) == []
        assert violations(browser) == []
        folder = os.environ.get("LRSCAN_SCREENSHOTS")
        if folder:
            browser.save_screenshot(str(Path(folder, f"answer-{width}.png")))


def test_the_form_has_no_barriers_wide_or_on_a_phone(browser: Any, address: str) -> None:
    for width, dark in ((DESKTOP, False), (PHONE, True)):
        visit(browser, address, width=width, dark=dark)
        assert browser.execute_script(STICKS_OUT) == []
        assert violations(browser) == []


def test_a_range_is_corrected_without_sending_the_picture_again(browser: Any, address: str, picture: Path) -> None:
    by = needed("selenium.webdriver.common.by").By
    send(browser, address, picture)
    for name, value in (("lr_low", "1e-8"), ("lr_high", "1e-1")):
        field = browser.find_element(by.NAME, name)
        field.clear()
        field.send_keys(value)
    press(browser, "form:has([name=lr_low]) button")
    assert "given as 1e-8 to 0.1" in text_of(browser, "main")


def test_a_file_that_is_no_plot_gets_one_sentence(browser: Any, address: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    send(browser, address, path)
    assert "cannot be decoded" in text_of(browser, "[role=alert]")
