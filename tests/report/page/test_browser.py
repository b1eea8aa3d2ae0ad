"""The page in a real browser: pictures load, nothing is fetched, nothing is complained of, telephones and paper fit."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from detkit.report.page.build import sections, write_page

CHROMIUM = shutil.which("chromium")
LOADED = "Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
TELEPHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
PAPER = {"width": 680, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
"""What the margins leave of a sheet of A4, in the pixels of 1/96 inch that browsers print with."""
TWELVE = ("AP", "AP50", "AP75", *(f"A{kind}{size}" for kind in "PR" for size in ("small", "medium", "large")))
TWELVE += ("AR1", "AR10", "AR100")
"""COCO's numbers, the widest table."""


class Browser:
    """Chromium without a window, spoken to over a pair of pipes.

    Args:
        folder: for its profile.
    """

    def __init__(self, folder):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run")
        line = f'exec "$@" 3<&{commands} 4>&{answers}'
        words = ["bash", "-c", line, "bash", CHROMIUM, *options, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(words, pass_fds=(commands, answers), stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.rest, self.numbers, self.events, self.session = b"", itertools.count(1), [], None

    def do(self, method, **params):
        """What the browser answers to a command; events that come before are kept."""
        number = next(self.numbers)
        asked = {"id": number, "method": method, "params": params}
        os.write(
            self.commands, json.dumps(asked | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        )
        return self.until(lambda one: one.get("id") == number)["result"]

    def until(self, is_it):
        """The next message that is the one."""
        while True:
            message, found, rest = self.rest.partition(b"\0")
            if found:
                self.rest = rest
                self.events.append(json.loads(message))
                if is_it(self.events[-1]):
                    return self.events[-1]
            else:
                more = os.read(self.answers, 65536)
                assert more, "the browser has ended"
                self.rest += more

    def value(self, expression):
        """What an expression is in the page."""
        return self.do("Runtime.evaluate", expression=expression, awaitPromise=True)["result"].get("value")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def test_the_page_opens_without_a_request_or_a_complaint(browser, inputs, tmp_path):
    page, wide = tmp_path / "report.html", replace(inputs, metrics={"COCO": dict.fromkeys(TWELVE, 0.1234)})
    write_page(page, wide, sections(wide))
    target = browser.do("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Runtime", "Log"):
        browser.do(f"{domain}.enable")
    browser.do("Emulation.setDeviceMetricsOverride", **TELEPHONE)
    browser.do("Page.navigate", url=page.as_uri())
    browser.until(lambda one: one.get("method") == "Page.loadEventFired")
    assert browser.value(LOADED) == page.read_text(encoding="utf-8").count("<img ")
    assert browser.value("document.documentElement.scrollWidth") == TELEPHONE["width"]
    browser.do("Emulation.setDeviceMetricsOverride", **PAPER)
    browser.do("Emulation.setEmulatedMedia", media="print")
    assert browser.value("document.documentElement.scrollWidth") <= PAPER["width"]
    asked = [
        one["params"]["request"]["url"] for one in browser.events if one.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    complaints = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Network.loadingFailed")
    assert [one for one in browser.events if one.get("method") in complaints] == []
