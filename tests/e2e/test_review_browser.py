"""The review page in a real browser: keys, corrections, widths, and that nothing of a record ever runs."""

import time
from dataclasses import replace

import pytest
from browser_page import SIZES, ReviewPage
from drawn_tongue import DrawnTongue, draw
from fake_structurers import Fake
from review_folders import HOSTILE, structured, write_folder

from tcmstruct.image.crop import crop_tongue
from tcmstruct.record import Mention
from tcmstruct.report.photo import shown_photo
from tcmstruct.schema import load_schema
from tcmstruct.serve import review as review_module
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.review import open_review, review_router
from tcmstruct.serve.store import default_url
from tcmstruct.serve.workers import Workers

pytestmark = pytest.mark.browser

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def schema():
    return load_schema("all")


@pytest.fixture
def served(tmp_path, schema, serve_app):
    """Serves a folder of records; gives the address."""
    def start(records, token=None, image_root=None):
        out = write_folder(tmp_path / "OUT", records)
        review = open_review(out, default_url(out), schema, "甲")
        review.start()
        review.wait()
        gate, workers = Gate(token), Workers(Fake, 0)
        return serve_app(workers, gate, [review_router(review, workers, gate, image_root)], review)

    return start


def test_keys_move_accept_undo_and_help(served, page):
    from selenium.webdriver.common.keys import Keys

    page.open(served(map(structured, range(60))))
    assert page.id == "r000000"
    page.keys("j", "j", "k")
    assert page.id == "r000001", "keys that come faster than the server answers are not lost"
    page.keys("n")
    name = page.chosen
    page.keys("a")
    assert [name, "dec accept"] in page.decided
    page.keys("u")
    assert page.decided == [] and page.chosen == name
    page.keys(Keys.ARROW_DOWN)
    assert page.chosen != name
    page.keys("?")
    assert page.js("return document.querySelector('#help').open")
    page.keys("a")
    assert page.decided == [], "keys do nothing behind a window"
    page.keys(Keys.ESCAPE)
    page.keys("l")
    page.until("return document.querySelector('.rec-link .meta').textContent.includes('0.60')")
    page.quiet()


def test_single_keys_can_be_switched_off(served, page):
    page.open(served(map(structured, range(3))))
    page.js("document.querySelector('#keys-on').click()")
    page.keys("n")
    assert page.chosen is None
    page.open(page.driver.current_url)
    page.keys("n")
    assert page.chosen is None, "it is remembered"


def test_what_was_missed_is_added_from_selected_words(served, page):
    from selenium.webdriver.common.keys import Keys

    page.open(served(map(structured, range(3))))
    page.js("""const s = document.querySelector('.words .seg'), r = document.createRange();
               r.setStart(s.firstChild, 2); r.setEnd(s.firstChild, 4); getSelection().removeAllRanges(); getSelection().addRange(r);""")
    page.keys("i")
    page.until("return document.querySelector('#editor').open")
    assert page.js("return document.querySelector('#ed-words').value") == "咳嗽"
    page.js("const w = document.querySelector('#ed-what'); w.value = '咳嗽'; w.dispatchEvent(new Event('change'))")
    page.js("document.querySelector('#editor input[value=有]').focus()")
    page.keys("1", Keys.ENTER)
    page.until("return !document.querySelector('#editor').open")
    assert ["咳嗽", "dec add"] in page.decided
    page.keys("i")
    page.js("document.querySelector('#ed-words').value = '原文里没有'")
    page.js("document.querySelector('#editor-form').requestSubmit()")
    page.until("return !document.querySelector('#editor-fault').hidden")
    page.quiet()


def test_nothing_of_a_record_ever_runs(served, page):
    record = structured(0, f"咳黄痰{HOSTILE}，无发热。")
    record.id, record.dept, record.warnings = f"1{HOSTILE}", HOSTILE, [HOSTILE]
    record.fields = {**record.fields, HOSTILE: replace(record.fields["痰色"], value=[HOSTILE])}
    record.entities = [*record.entities, Mention(HOSTILE, 3, 3 + len(HOSTILE), "有", 0.5)]
    record.tongue = {"image": f"{HOSTILE}.jpg", "quality": HOSTILE,
                     "attributes": {HOSTILE: {"value": HOSTILE, "confidence": 0.5, "status": "answered"}},
                     "conflicts": [{"field": HOSTILE, "text": [HOSTILE], "image": HOSTILE, "confidence": 0.9}]}
    page.open(served([record, structured(1)]))
    page.js("document.querySelector('.mentions').open = true; document.querySelector('.missing')?.setAttribute('open', '')")
    page.keys("n", "e")
    page.until("return document.querySelector('#editor').open")
    page.js("document.querySelector('#editor').close(); document.querySelector('#lang').click()")
    page.keys("/", "<script>")
    page.until("return document.querySelectorAll('.rec-link').length === 1")
    assert page.js("return [window.ran === undefined, document.scripts.length, document.querySelectorAll('main img').length]") == [
        True, 1, 0]
    assert HOSTILE in page.js("return document.querySelector('.words .text').textContent")
    assert HOSTILE in page.js("return document.querySelector('.rec h2').textContent")
    page.quiet()


def test_the_policy_would_stop_a_script_all_the_same(served, page):
    page.open(served([structured(0)]))
    page.js("""const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);
               const d = document.createElement('div'); d.innerHTML = '<img src=x onerror="window.ran=1">'; document.body.append(d);
               const f = document.createElement('script'); f.src = 'https://example.org/x.js'; document.body.append(f)""")
    time.sleep(0.3)
    assert page.js("return window.ran === undefined")
    assert any("Content Security Policy" in line["message"] for line in page.driver.get_log("browser"))


def test_the_photograph_stands_beside_with_outline_and_attention(served, page, monkeypatch, tmp_path):
    pixels, mask = draw(DrawnTongue(320, 240))
    photo = shown_photo(pixels, mask, crop_tongue(pixels, mask), {0: [1 / 49] * 49, 1: [1 / 49] * 49}, {0: 0.4})
    monkeypatch.setattr(review_module, "seen_photo", lambda *_: photo)
    record = structured(0)
    record.tongue = {"image": "1.jpg", "quality": "ok", "conflicts": [],
                     "attributes": {"苔色": {"value": "黄", "confidence": 0.9, "status": "answered"}}}
    page.open(served([record], image_root=tmp_path))
    page.until("return document.querySelector('.photo img')?.naturalWidth > 0")
    page.js("document.querySelector('.words .seg[data-m] mark').click()")
    page.until("return document.querySelectorAll('.photo .cells rect').length === 49")
    assert page.js("return document.querySelectorAll('.photo polygon').length") == 2
    page.quiet()


def test_with_a_token_the_page_asks_for_it_once(served, page):
    from selenium.webdriver.common.keys import Keys

    address = served([structured(0)], token=TOKEN)
    page.driver.get(address)
    page.until("return document.querySelector('#token') !== null && document.activeElement.id === 'token'")
    page.keys("wrong token", Keys.ENTER)
    page.until("return !document.querySelector('#fault').hidden")
    page.keys(TOKEN, Keys.ENTER)
    page.until("return document.documentElement.dataset.ready === 'yes'")
    assert page.id == "r000000" and TOKEN not in page.js("return document.cookie + location.href")
    page.driver.delete_all_cookies()


@pytest.mark.parametrize("size", SIZES)
def test_no_width_needs_scrolling_sideways_and_both_languages_fit(served, driver, size):
    page = ReviewPage(driver, size)
    page.open(served(map(structured, range(60))))
    for _ in range(2):
        assert page.js("return document.documentElement.scrollWidth") <= SIZES[size][0]
        buttons = page.js("return [...document.querySelectorAll('.acts button')].map(b => b.getBoundingClientRect())"
                          ".map(r => [r.left, r.right, r.bottom])")
        assert all(left >= 0 and right <= SIZES[size][0] and bottom <= SIZES[size][1] for left, right, bottom in buttons)
        page.js("document.querySelector('#lang').click()")
        time.sleep(0.2)
    assert page.js("return document.documentElement.lang") == "zh-CN"
    page.js("document.querySelector('#lang').click()")
    assert page.js("return [document.documentElement.lang, document.querySelector('h1').textContent]") == ["en", "Record review"]
    page.js("localStorage.clear()")


@pytest.mark.parametrize(("size", "dark"), [("desk", False), ("desk", True), ("phone", False), ("phone", True)])
def test_axe_finds_no_serious_fault(served, driver, size, dark):
    page = ReviewPage(driver, size, dark)
    record = structured(0)
    record.tongue = {"quality": "ok", "conflicts": [{"field": "痰色", "text": ["黄"], "image": "白", "confidence": 0.9}]}
    page.open(served([record, *map(structured, range(1, 60))]))
    page.keys("n", "a")
    page.js("document.querySelector('.mentions').open = true")
    for state in ("", "document.querySelector('#legend').showModal()",
                  "document.querySelector('#legend').close(); document.querySelector('#help').showModal()",
                  "document.querySelector('#help').close(); document.querySelector('[data-act=edit]').click()"):
        page.js(state)
        page.accessible()
