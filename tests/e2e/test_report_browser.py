"""report.html in a real browser: filter, figures saved as SVG and PNG, phone width, accessibility, and that nothing of a record runs."""

import json
import time
from xml.etree import ElementTree

import pytest
from browser_page import SIZES, Page

from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.report import make_report, write_private

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.ran=1</script><img src=x onerror=window.ran=1>"
TEXT = "舌红，脉弦。证属肝胃不和证。"


def record(n, hostile=""):
    found = {f"咳嗽{hostile}": FieldValue("有" if n % 3 else "无", "舌红", 0, 2, confidence=0.97),
             f"舌色{hostile}": FieldValue([("红", "暗", f"淡{hostile}")[n % 3]], "舌红", 0, 2, confidence=0.97),
             "脉象": FieldValue(["弦", "数"][: 1 + n % 2], "脉弦", 3, 5, confidence=0.85, review=True),
             "体温": FieldValue(36.5 + n % 20 / 10, "脉弦", 3, 5, unit=f"℃{hostile}", confidence=0.97)}
    code = {"system": "GB/T 16751.2-2021", "code": "1", "name": f"肝胃不和证{hostile}", "start": 8, "end": 13}
    return StructuredRecord(f"{n:04}{hostile}", TEXT, [Mention("证候", 8, 13, None, 0.9, codes=(code,))], found,
                            ("内科", "外科")[n % 2] + hostile, extra={"就诊日期": f"2025-{n % 6 + 1:02}-05"})


def write(folder, hostile="", n=120):
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record(k, hostile).to_dict(), ensure_ascii=False) + "\n" for k in range(n))
    manifest = {"fields": {f"general{hostile}": [f"咳嗽{hostile}", f"舌色{hostile}", "脉象", "体温"]}, "review_threshold": 0.9}
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    return write_private(folder / "report.html", make_report(folder, n_sample=5, identified=bool(hostile)).html)


def show(driver, page, size="desk", dark=False):
    shown = Page(driver, size, dark)
    driver.get(page.as_uri())
    return shown


def until(path, seconds=10):
    for _ in range(int(seconds / 0.05)):
        if path.exists():
            return path.read_bytes()
        time.sleep(0.05)
    raise AssertionError(f"{path.name} was never saved")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"))


def test_a_figure_is_saved_as_svg_and_png_in_its_own_colours(driver, page, tmp_path):
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    show(driver, page, dark=True)
    for kind in ("svg", "png"):
        driver.execute_script("document.querySelector(`[data-file='field-舌色'] [data-save=${arguments[0]}]`).click()", kind)
    svg = ElementTree.fromstring(until(tmp_path / "field-舌色.svg"))
    assert svg[2].get("class") == "paper" and svg[2].get("fill") == "#ffffff", "a file has the light theme's ground"
    assert any(one.text == "红" for one in svg.iter())
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    png = cv2.imdecode(np.frombuffer(until(tmp_path / "field-舌色.png"), np.uint8), cv2.IMREAD_COLOR)
    width, height = driver.execute_script(
        "const svg = document.querySelector(`[data-file='field-舌色']`).closest('.fig').querySelector('svg');"
        "return [svg.width.baseVal.value, svg.height.baseVal.value]")
    assert png.shape == (2 * height, 2 * width, 3) and (png[0, 0] == 255).all(), "white, though the page is dark"
    assert ((png == (0x57, 0x61, 0x0B)).all(axis=2).sum()) > 1000, "bars in the accent of the light theme"
    assert driver.get_log("browser") == [], "nothing was blocked or failed"


def test_the_filter_finds_a_field_and_lets_go(driver, page):
    show(driver, page)
    all_figures = driver.execute_script("return document.querySelectorAll('.fig').length")
    driver.execute_script("const b = document.querySelector('#find'); b.value = '体温'; b.dispatchEvent(new Event('input'))")
    shown = driver.execute_script("return [...document.querySelectorAll('#values .fig:not([hidden])')].map(f => f.dataset.name)")
    assert shown == ["体温"] and driver.execute_script("return document.querySelector('#found').textContent").startswith("2 "), \
        "its distribution, and the figure of coverage that names it"
    rows = driver.execute_script("return [...document.querySelectorAll('#fields tr[data-name]:not([hidden])')].length")
    assert rows == 1
    driver.execute_script("const b = document.querySelector('#find'); b.value = ''; b.dispatchEvent(new Event('input'))")
    assert driver.execute_script("return document.querySelectorAll('.fig:not([hidden])').length") == all_figures
    driver.execute_script("document.querySelector('[data-all=shut]').click()")
    assert not driver.execute_script("return document.querySelectorAll('.pack[open]').length")


def test_figures_and_their_tables_are_reached_by_keyboard(driver, page):
    show(driver, page)
    orphans = driver.execute_script("""
        return [...document.querySelectorAll('.fig')].filter(f => !(f.querySelector('.scroll[tabindex="0"]') && f.querySelector('summary')
            && f.querySelectorAll('button[data-save]').length === 2 && f.querySelector('table tbody tr'))).length""")
    assert orphans == 0
    driver.execute_script("document.querySelector('.fig summary').focus()")
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(driver).send_keys(Keys.ENTER).perform()
    assert driver.execute_script("return document.querySelector('.fig details').open")


def test_paper_has_every_figure_and_no_buttons(driver, page):
    show(driver, page)
    driver.execute_script("document.querySelector('[data-all=shut]').click()")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    hidden = driver.execute_script("return [...document.querySelectorAll('.fig svg')].filter(s => !s.getClientRects().length).length")
    buttons = driver.execute_script("return [...document.querySelectorAll('.save,.tools')].filter(s => s.getClientRects().length).length")
    driver.execute_script("dispatchEvent(new Event('afterprint'))")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert (hidden, buttons) == (0, 0)
    assert not driver.execute_script("return document.querySelectorAll('.pack[open]').length"), "closed again afterwards"


def test_nothing_of_a_record_ever_runs(driver, tmp_path):
    show(driver, write(tmp_path, HOSTILE))
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    driver.execute_script("const b = document.querySelector('#find'); b.value = '<script>'; b.dispatchEvent(new Event('input'))")
    driver.execute_script("document.querySelector('.fig:not([hidden]) [data-save=png]').click()")
    time.sleep(0.3)
    assert driver.execute_script("return [window.ran === undefined, document.scripts.length, document.images.length]") == [True, 1, 0]
    assert HOSTILE in driver.execute_script("return document.querySelector('#values').textContent")
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("size", SIZES)
def test_no_width_needs_scrolling_sideways(driver, page, size):
    show(driver, page, size)
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= SIZES[size][0]


@pytest.mark.parametrize(("size", "dark"), [("desk", False), ("desk", True), ("phone", False)])
def test_axe_finds_no_serious_fault(driver, page, size, dark):
    shown = show(driver, page, size, dark)
    shown.js("for (const d of document.querySelectorAll('details')) d.open = true")
    shown.accessible()
