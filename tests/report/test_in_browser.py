"""Checks the report in headless Chromium, driven by selenium.

Without the browser these tests are skipped; with `LRSCAN_REQUIRE_BROWSER=1` they fail instead.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import shutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan import Analysis, LRCurve, analyze

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).parents[2] / "docs" / "curves"
REQUIRED = os.environ.get("LRSCAN_REQUIRE_BROWSER") == "1"
SCANS = ("fresh-classifier", "frozen-layers")
PAGES = (*SCANS, "odd")
DESKTOP, PHONE, SMALLEST = 1200, 360, 320

CONTRASTS = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const found = [];
for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (own && !e.closest('svg')) found.push([e.tagName + ': ' + e.textContent.trim().slice(0, 40),
        ratio(rgb(getComputedStyle(e).color), ground(e))]);
}
for (const e of document.querySelectorAll('svg [id*="text_"] use'))
    found.push(['letters of the plot', ratio(rgb(getComputedStyle(e).fill), ground(e.closest('figure')))]);
return found;
"""

STICKS_OUT = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, pre') && e.checkVisibility()
    && e.getBoundingClientRect().right > width + 0.5).map(e => e.tagName + ': ' + e.textContent.slice(0, 60));
"""


@cache
def recorded(name: str) -> Analysis:
    return analyze(LRCurve.from_json(RECORDED / f"{name}.json"))


def odd(analysis: Analysis) -> Analysis:
    """Returns an analysis with text in its context that could break a page."""
    long = "sparse_categorical_crossentropy_" * 5
    notes = ("<script>document.title = 'taken'</script>", f"`{long}`", f"https://example.org/{long}")
    context = dataclasses.replace(analysis.curve.context, optimizer="<img src=x onerror=alert(1)>", loss_name=long)
    context = dataclasses.replace(context, notes=notes)
    return dataclasses.replace(analysis, curve=dataclasses.replace(analysis.curve, context=context))


def needed(name: str) -> Any:
    if REQUIRED:
        return import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = needed("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        assert not REQUIRED, f"Expected chromium and chromedriver. Received: {programs}."
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reports(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Writes several reports and returns their URLs."""
    assert browser
    needed("jinja2")
    folder = tmp_path_factory.mktemp("reports")
    found = {
        name: analyze(LRCurve.from_json(RECORDED / f"{name}.json")) for name in ("fresh-classifier", "frozen-layers")
    }
    found["odd"] = odd(found["fresh-classifier"])
    return {name: analysis.report(folder / f"{name}.html").as_uri() for name, analysis in found.items()}


def visit(browser: Any, address: str, *, width: int = DESKTOP, dark: bool = False, media: str = "") -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width <= PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


def unfold(browser: Any) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")


@pytest.mark.parametrize("name", PAGES)
def test_a_report_opens_without_a_complaint_and_asks_for_nothing_else(
    browser: Any, reports: dict[str, str], name: str
) -> None:
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    visit(browser, reports[name])
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked == [reports[name]]
    assert browser.get_log("browser") == []
    assert browser.title.endswith("learning-rate scan")


@pytest.mark.parametrize("width", [PHONE, SMALLEST])
@pytest.mark.parametrize("name", PAGES)
def test_a_phone_never_scrolls_sideways(browser: Any, reports: dict[str, str], name: str, width: int) -> None:
    visit(browser, reports[name], width=width)
    unfold(browser)
    assert browser.execute_script(STICKS_OUT) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_letter_stands_out(browser: Any, reports: dict[str, str], name: str, *, dark: bool) -> None:
    visit(browser, reports[name], dark=dark)
    unfold(browser)
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 100
    assert [(what, ratio) for what, ratio in found if ratio < 4.5] == []
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (not dark)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_axe_finds_no_barrier(browser: Any, reports: dict[str, str], width: int, *, dark: bool) -> None:
    axe = needed("axe_core_python.selenium").Axe()
    visit(browser, reports["fresh-classifier"], width=width, dark=dark)
    unfold(browser)
    result = axe.run(browser)
    assert len(result["passes"]) > 15
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in result["violations"]] == []


@pytest.mark.parametrize(("width", "shown"), [(DESKTOP, "on-screen"), (PHONE, "on-phone")])
def test_one_picture_is_shown_at_each_width_and_is_as_wide_as_there_is_room(
    browser: Any, reports: dict[str, str], width: int, shown: str
) -> None:
    visit(browser, reports["fresh-classifier"], width=width)
    pictures = browser.execute_script(
        "return [...document.querySelectorAll('svg')].filter(e => e.checkVisibility())"
        ".map(e => [e.parentElement.className, e.getBoundingClientRect().width, e.getAttribute('aria-label').length])"
    )
    ((where, across, described),) = pictures
    assert shown in where
    assert across > min(700, 0.85 * width)
    assert described > 300


def test_the_picture_has_ink_in_it_and_turns_dark(browser: Any, reports: dict[str, str]) -> None:
    imread = needed("matplotlib.image").imread
    shots = []
    for dark in (False, True):
        visit(browser, reports["fresh-classifier"], dark=dark)
        shots.append(imread(io.BytesIO(browser.find_element("css selector", "figure").screenshot_as_png))[..., :3])
    light, dim = shots
    assert light.mean() > 0.8
    assert dim.mean() < 0.3
    assert min(light.std(), dim.std()) > 0.05


def test_a_print_is_light_and_unfolds_what_is_folded(browser: Any, reports: dict[str, str]) -> None:
    visit(browser, reports["fresh-classifier"], dark=True, media="print")
    seen = "return document.querySelector('.formulas li').checkVisibility({contentVisibilityAuto: true})"
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(20, 24, 29)"
    assert browser.execute_script("return document.querySelector('.formulas').getBoundingClientRect().height") > 300
    assert browser.execute_script(seen)
    visit(browser, reports["fresh-classifier"])
    assert not browser.execute_script(seen)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") > 3


def test_the_recording_in_the_page_can_be_saved_and_read(browser: Any, reports: dict[str, str], tmp_path: Path) -> None:
    visit(browser, reports["fresh-classifier"])
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.find_element("css selector", "a[download]").click()
    wait = import_module("selenium.webdriver.support.ui").WebDriverWait(browser, 10)
    wait.until(lambda _: (tmp_path / "curve.json").exists())
    curve = LRCurve.from_json(tmp_path / "curve.json")
    assert curve.to_dict() == LRCurve.from_json(RECORDED / "fresh-classifier.json").to_dict()


def test_two_cards_of_a_notebook_do_not_disturb_each_other(
    browser: Any, reports: dict[str, str], tmp_path: Path
) -> None:
    assert reports
    cards = [
        analyze(LRCurve.from_json(RECORDED / f"{name}.json"))._repr_html_()
        for name in ("fresh-classifier", "frozen-layers")
    ]
    (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><p>before</p>{''.join(cards)}", encoding="utf-8")
    visit(browser, (tmp_path / "notebook.html").as_uri(), width=800)
    names = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(names) == len(set(names)) > 20
    plain = browser.execute_script("return getComputedStyle(document.querySelector('p')).fontFamily")
    assert "system-ui" not in plain
    assert browser.execute_script("return document.documentElement.scrollWidth") == 800
