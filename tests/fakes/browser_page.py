"""A page in real Chromium, and what a person does with it."""

import json
import shutil
import time
from importlib.resources import files
from importlib.util import find_spec

import pytest

SIZES = {"desk": (1366, 768), "phone": (390, 844)}


def chromium():
    """A driver of a Chromium without a window; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not chromedriver:
        pytest.skip("no Chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "accept")  # a page that is left with changes asks whether to
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))


class Page:
    """What a person does with a page, at the size of a desk or of a phone."""

    def __init__(self, driver, size="desk", dark=False):
        self.driver = driver
        width, height = SIZES[size]
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                               {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.leave()

    def leave(self):
        """Leaves what is shown; what that says (a page with changes asks, and nobody is here to answer) is not the next page's."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")

    def open(self, address):
        self.leave()
        self.driver.get(address)
        self.until("return document.documentElement.dataset.ready === 'yes'")

    def until(self, script, *arguments):
        for _ in range(200):
            if found := self.driver.execute_script(script, *arguments):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never came true: {script} · {self.driver.get_log('browser')}")

    def keys(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        self.still()
        ActionChains(self.driver).send_keys(*keys).perform()
        self.still()

    def still(self):
        """Waits until the page has answered."""
        self.until("return !document.body.hasAttribute('aria-busy')")

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def quiet(self):
        assert self.driver.get_log("browser") == [], "nothing was blocked or failed"

    def accessible(self):
        """No serious fault that axe finds in what is shown now; skips where axe is not installed."""
        if find_spec("axe_core_python") is None:
            pytest.skip("axe-core-python is not installed")
        self.js((files("axe_core_python") / "axe.min.js").read_text("utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
            ".then(r => done(r.violations.map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])))")
        faults = [one for one in found if one[1] in ("serious", "critical")]
        assert faults == [], json.dumps(faults, ensure_ascii=False, indent=1)


class ReviewPage(Page):
    """The review page of `tcmstruct serve`."""

    @property
    def id(self):
        return self.js("return document.querySelector('.rec h2').textContent")

    @property
    def chosen(self):
        return self.js("return document.querySelector('.item.on')?.dataset.name")

    @property
    def decided(self):
        return self.js("return [...document.querySelectorAll('tr.item .dec:not(.open)')].map(d => "
                       "[d.closest('tr').dataset.name, d.className])")

    def edit_to_another(self):
        """Gives the chosen value another of its values, by keyboard; returns the new one."""
        from selenium.webdriver.common.keys import Keys

        self.keys("e")
        self.until("return document.querySelector('#editor').open")
        boxes = self.js("return [...document.querySelectorAll('#editor input[name=ed-value]')].map(b => b.value)")
        was = self.js("return [...document.querySelectorAll('#editor input:checked')].map(b => b.value)")
        new = next(one for one in boxes if one not in was)
        if self.js("return document.querySelector('#editor input[name=ed-value]').type") == "checkbox":
            for old in was:
                self.keys(str(boxes.index(old) + 1))  # takes the old one away
        self.keys(str(boxes.index(new) + 1), Keys.ENTER)
        self.until("return !document.querySelector('#editor').open")
        return new
