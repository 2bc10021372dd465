"""The reading page with photographs: what stands on it, what it may load, and what a reader can do with it."""

import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw
from typer.testing import CliRunner

from tcmstruct.cli import app
from tcmstruct.errors import UsageError
from tcmstruct.image.crop import crop_tongue
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.recipes.view import view
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.report import write_view
from tcmstruct.report.photo import shown_photo

TEXT = "便血三月。舌红，苔黄腻，脉弦。"
NESTED = [Mention("症状体征", 0, 2, "有"), Mention("舌质", 5, 7), Mention("舌苔", 99, 101), Mention("舌苔", 8, 11), Mention("舌苔", 9, 10)]
"""The third lies outside of the text: the numbers of entities and of marks part there."""
HOSTILE = "a\"'><script>alert(1)</script>\u202e.jpg"


def record(id="1", image="1.jpg", **more):
    tongue = {"image": image, "quality": "ok", "measures": {"body_L": 52.1, "body_a": 24.0, "body_b": 12.5, "coating_L": None,
                                                            "length_width_ratio": 1.2},
              "conflicts": [{"field": "舌色", "text": ["红"], "image": "淡白", "confidence": 0.9}],
              "attributes": {"苔色": {"value": "黄", "confidence": 0.93, "status": "answered"}}}
    return StructuredRecord(id, TEXT, NESTED, {"舌色": FieldValue(["红"], "舌红", 5, 7, review=True)}, tongue=tongue, **more)


def written(folder, *records):
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(r.to_dict(), ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def drawn(attention=True):
    pixels, mask = draw(DrawnTongue(320, 240, lean_deg=-15.0))
    middle = np.full((7, 7), 0.5 / 48)
    middle[5, 3] = 0.5
    maps = {number: list(middle.ravel()) for number in (1, 2, 3, 4)} if attention else {}
    return shown_photo(pixels, mask, crop_tongue(pixels, mask), maps, {1: 0.43, 3: 0.2})


def page_of(folder, photos, *records):
    return write_view(written(folder, *records or (record(),)), folder / "page.html", photos=photos, identified=True).read_text("utf-8")


def policy(page):
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_a_page_without_photos_knows_nothing_of_pictures(tmp_path):
    page = page_of(tmp_path, None)
    assert "img-src" not in page and "<img" not in page and "class=\"pane photo\"" not in page and ".cells" not in page


def test_photo_outline_answers_measures_conflict_and_maps_stand_on_the_page(tmp_path):
    page = page_of(tmp_path, lambda _: drawn())
    assert page.count("data:image/jpeg;base64,") == 1 and 'alt="舌象照片' in page and 'loading="lazy"' in page
    assert len(re.findall(r'<polygon class="edge[^"]*" points="[\d., ]+"/>', page)) == 2
    assert re.search(r'class="cells" transform="matrix\((-?[\d.]+ ?){6}\)"', page)
    assert "52.1 / 24.0 / 12.5" in page and "黄 (0.93)" in page
    assert page.count("照片: 淡白") == 1, "the conflict is told once"
    looks = json.loads(re.search(r'<script type="application/json" class="looks">(.*?)</script>', page)[1])
    assert set(looks) == {"1", "2", "3"}, "numbers of the marks, the entity outside of the text has none"
    assert (looks["1"]["gate"], looks["2"]["gate"], looks["3"]["gate"]) == (0.43, 0.2, None)
    assert looks["1"]["top"] == 0.5 and looks["1"]["w"].index(99) == 5 * 7 + 3


def test_without_attention_there_is_no_map_to_switch(tmp_path):
    page = page_of(tmp_path, lambda _: drawn(attention=False))
    assert 'data-hides="outline"' in page and 'data-hides="map"' not in page and "application/json" not in page


def test_a_photo_that_is_gone_is_named_and_the_rest_goes_on(tmp_path):
    def photos(one):
        if one.id == "1":
            raise ImageRefused("not_found")
        return drawn() if one.id == "2" else None

    page = page_of(tmp_path, photos, record("1"), record("2"), record("3"))
    assert "照片现在打不开" in page and "no such file" in page
    assert page.count("<img ") == 1 and page.count('class="pane photo"') == 2


def test_hostile_names_and_values_stay_text(tmp_path):
    hostile = record(image=HOSTILE)
    hostile.tongue["measures"] = {"</script><img src=x onerror=alert(1)>": 1.0, "body_L": "<b>"}
    hostile.tongue["attributes"] = {"<svg onload=alert(1)>": {"value": "<i>", "confidence": 0.5, "status": "answered"}}
    page = page_of(tmp_path, lambda _: drawn(), hostile)
    found = Elements(page).found
    assert [attrs.get("type") for tag, attrs in found if tag == "script"] == ["application/json", None]
    assert sum(tag == "img" for tag, _ in found) == 1 and "\u202e" not in page
    assert not [name for _, attrs in found for name in attrs if name.startswith("on") or name == "style"]


def test_the_policy_admits_pictures_that_are_in_the_page_and_nothing_else(tmp_path):
    with_photo, without = policy(page_of(tmp_path, lambda _: drawn())), policy(page_of(tmp_path, None))
    hashes = re.compile("'sha256-[^']+'")
    assert hashes.sub("#", with_photo).replace("img-src data:; ", "") == hashes.sub("#", without)
    assert hashes.sub("#", without) == "default-src 'none'; style-src #; script-src #; base-uri 'none'; form-action 'none'"


def test_no_address_outside_of_the_page(tmp_path):
    page = page_of(tmp_path, lambda _: drawn())
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) == {"http://www.w3.org/2000/svg"}, "the name of SVG, never fetched"
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for _, attrs in Elements(page).found if "src" in attrs)


def test_200_photos_make_less_than_12_mb(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)  # the worst that a photo can be
    mask = np.zeros((512, 512), bool)
    mask[100:400, 150:350] = True
    photo = shown_photo(noise, mask, crop_tongue(noise, mask), {i: [1 / 49] * 49 for i in range(5)}, {})
    page = write_view(written(tmp_path, *(record(str(i)) for i in range(200))), tmp_path / "page.html", photos=lambda _: photo)
    assert page.stat().st_size < 12e6 and page.stat().st_mode & 0o777 == 0o600


def test_view_reads_photos_from_the_image_folder_only(tmp_path):
    pixels, _ = draw(DrawnTongue(480, 480))
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.jpg"), pixels[..., ::-1])
    cv2.imwrite(str(tmp_path / "secret.jpg"), pixels[..., ::-1])
    (folder / "page.jpg").write_text("<html>")
    no_photo = record("6")
    no_photo.tongue = None
    out = written(tmp_path, record("1"), record("2", "../secret.jpg"), record("3", "gone.jpg"), record("4", "page.jpg"),
                  record("5", ["1.jpg"]), no_photo)
    ran = CliRunner().invoke(app, ["view", str(out), "-o", str(tmp_path / "page.html"), "--image-root", str(folder)])
    assert ran.exit_code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<img ") == 1 and page.count("<polygon") == 2 and page.count("照片现在打不开") == 4
    for reason in ("leads upward", "no such file", "not a JPEG", "path is empty"):
        assert reason in page
    assert str(tmp_path) not in page
    plain = view(out, tmp_path / "plain.html").read_text("utf-8")
    assert "<img" not in plain and "照片现在打不开" not in plain


def test_an_image_folder_that_is_none_is_said_at_once(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        view(written(tmp_path, record()), tmp_path / "page.html", image_root=tmp_path / "nowhere")
    assert not (tmp_path / "page.html").exists()


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1366,768"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


OPACITIES = "return [...document.querySelectorAll('.rec.on .cells rect')].map(c => Number(c.getAttribute('fill-opacity')))"


@pytest.mark.browser
def test_a_reader_chooses_a_mention_and_sees_where_the_model_looked(browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    photo = drawn()
    long = record("1")
    long.fields = {f"字段{i}": FieldValue(["红"], "舌红", 5, 7, review=True) for i in range(60)}
    write_view(written(tmp_path, long, record("2", HOSTILE)), tmp_path / "page.html", photos=lambda _: photo, identified=True)
    browser.get_log("browser")
    browser.get((tmp_path / "page.html").as_uri())
    one = lambda css: browser.find_element(By.CSS_SELECTOR, f".rec.on {css}")  # noqa: E731
    decoded = "const i = document.querySelector('.rec.on img'); return i.decode().then(() => i.naturalWidth)"
    assert browser.execute_script(decoded) == photo.width
    assert browser.execute_script(OPACITIES) == [] and "not a diagnosis" not in one(".looked").text

    overflow = "return document.documentElement.scrollHeight - document.documentElement.clientHeight"
    assert browser.execute_script(overflow) == 0, "panes scroll, the page does not: nothing slides under its edge"

    one('.seg[data-m="1"]').click()
    cells = browser.execute_script(OPACITIES)
    assert len(cells) == 49 and cells.index(max(cells)) == 5 * 7 + 3
    assert "注意力 attention · 门 gate 0.43" in one(".looked").text and "不是诊断" in one(".looked").text
    assert one(".ask").get_attribute("value") == "1"

    # The strongest cell lies where grid_to_photo says, on the picture as the browser scales it.
    a, b, c, d, e, f = photo.grid_to_photo
    told = browser.execute_script("""
      const box = document.querySelector('.rec.on .stage').getBoundingClientRect(), [w, h] = arguments;
      const k = Math.min(box.width / w, box.height / h);
      const left = box.left + (box.width - k * w) / 2, top = box.top + (box.height - k * h) / 2;
      const cell = document.querySelectorAll('.rec.on .cells rect')[38].getBoundingClientRect();
      return [((cell.left + cell.right) / 2 - left) / k, ((cell.top + cell.bottom) / 2 - top) / k]""", photo.width, photo.height)
    assert np.allclose(told, [a * 3.5 + c * 5.5 + e, b * 3.5 + d * 5.5 + f], atol=1.0)

    inner = one('.seg[data-m="2 3"]')
    inner.click()
    assert one(".ask").get_attribute("value") == "3" and "门" not in one(".looked b").text
    inner.click()
    assert one(".ask").get_attribute("value") == "2", "a second click goes outward"

    one(".ask").send_keys(Keys.UP)
    assert one(".ask").get_attribute("value") == "1" and len(browser.execute_script(OPACITIES)) == 49
    one('button[data-hides="map"]').send_keys(Keys.ENTER)
    assert not one(".cells").is_displayed() and one("button[data-hides=map]").get_attribute("aria-pressed") == "false"
    one('button[data-hides="outline"]').send_keys(Keys.SPACE)
    assert not one("polygon").is_displayed()
    one("button[data-hides=outline]").send_keys(Keys.ESCAPE)
    assert browser.execute_script(OPACITIES) == []

    one(".next").click()
    assert one("h2").text == "2" and browser.execute_script(OPACITIES) == []
    one('.seg[data-m="1"]').click()
    assert len(browser.execute_script(OPACITIES)) == 49 and one(".cells").is_displayed(), "choosing shows the map again"
    assert browser.get_log("browser") == [], "nothing was blocked or failed"


@pytest.mark.browser
def test_a_phone_shows_the_picture_while_the_text_is_read(browser, tmp_path):
    from selenium.webdriver.common.by import By

    write_view(written(tmp_path, record()), tmp_path / "page.html", photos=lambda _: drawn())
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 700, "deviceScaleFactor": 1, "mobile": True})
    try:
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        browser.find_element(By.CSS_SELECTOR, '.seg[data-m="1"]').click()
        browser.execute_script("document.querySelector('.words').scrollIntoView({block: 'end', behavior: 'instant'})")
        top = browser.execute_script("return document.querySelector('.stage').getBoundingClientRect().top")
        assert 0 <= top < 350
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
