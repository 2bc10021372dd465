"""The page of own fields in a real browser: write a field, see the hits change, save; and nothing of a record or a pack ever runs."""

import tomllib

import pytest
from browser_page import SIZES, Page
from fake_structurers import Fake
from fastapi import APIRouter
from review_folders import HOSTILE

from tcmstruct.schema import load_schema
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.own_fields import Desk
from tcmstruct.serve.own_fields_routes import own_fields_router
from tcmstruct.serve.own_packs import PackFolder
from tcmstruct.serve.pages import page_routes
from tcmstruct.serve.workers import Workers
from tcmstruct.trial import Known, TrialRecord

pytestmark = pytest.mark.browser

TEXTS = ["月经量多，色红，痛经。周期30天。", "月经量少，无痛经。周期200天。", "带下量多，头晕。", f"其母有痛经。{HOSTILE}"] * 20


@pytest.fixture
def served(tmp_path, serve_app):
    """Serves the page; gives its address. Packs are saved in tmp_path."""
    def start(records=TEXTS):
        desk = Desk(lambda: [TrialRecord(f"r{n}", n, text) for n, text in enumerate(records)], lambda: Known(["痛经"]))
        desk.start()
        gate, front = Gate(), APIRouter()
        page_routes(front, gate, "/schema")
        return serve_app(Workers(Fake, 0), gate, [own_fields_router(desk, PackFolder(tmp_path)), front], desk) + "schema"

    return start


class OwnFieldsPage(Page):
    """What a person does with the page of own fields."""

    def open(self, address):
        super().open(address)
        self.until("return document.querySelector('#told').textContent.match(/\\d/)")
        self.still()

    def click(self, selector):
        self.js("document.querySelector(arguments[0]).click()", selector)
        self.still()

    def put(self, found, text):
        """Types into what the expression `found` gives, in place of what it holds."""
        self.js(f"""const into = {found}; into.closest('details')?.setAttribute('open', ''); into.focus();
                    into.value = arguments[0]; into.dispatchEvent(new Event('input', {{bubbles: true}}))""", text)
        self.still()

    def fill(self, key, text):
        """Types into the first input of a key of the form."""
        self.put(f"document.querySelector('#form [data-key={key}]').querySelector('input,textarea')", text)

    def choose(self, key, value):
        self.js("""const control = document.querySelector(`#form [data-key="${arguments[0]}"] select`);
                   control.value = arguments[1]; control.dispatchEvent(new Event('change', {bubbles: true}));
                   if (arguments[0] !== 'type') control.dispatchEvent(new Event('input', {bubbles: true}))""", key, value)
        self.still()

    def type_toml(self, text):
        self.click("#tab-toml")
        self.put("document.querySelector('#toml')", text)

    @property
    def counts(self):
        return self.js("return document.querySelector('.counts')?.textContent")

    @property
    def hits(self):
        return self.js("return [...document.querySelectorAll('.found mark.hit')].map(m => m.textContent)")

    @property
    def toml(self):
        return tomllib.loads(self.js("return document.querySelector('#toml').value"))

    @property
    def fields(self):
        return self.js("return [...document.querySelectorAll('.rec-link .id')].map(one => one.textContent)")

@pytest.fixture
def page(driver):
    made = OwnFieldsPage(driver)
    yield made
    driver.execute_script("sessionStorage.clear(); localStorage.clear(); history.replaceState(null, '', '#')")


def test_a_field_is_written_in_the_form_and_found_at_once_and_saved(served, page, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.open(served())
    page.put("document.querySelector('#pack-name')", "妇科二区")
    page.js("document.querySelector('#main').focus()")
    page.keys("n")
    assert page.js("return document.activeElement === document.querySelector('#form [data-key=name] input')")
    page.fill("name", "痛经")
    assert "填写词语" in page.js("return document.querySelector('#form [data-key=terms] .finding').textContent")
    page.fill("terms", "痛经")
    assert page.counts.startswith("40/80 50%") and "无 20" in page.counts and page.js("return !document.querySelector('#form .bad')")
    assert set(page.hits) == {"痛经", "无痛经"}
    assert "说的是家人" in page.js("return document.querySelector('.near .why').textContent")
    page.fill("terms", "痛经\n带下量多")
    assert page.counts.startswith("60/80 75%"), "the hits follow what is typed"
    assert page.toml["fields"] == {"痛经": {"type": "yes_no", "terms": ["痛经", "带下量多"]}}
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
    page.until("return document.querySelector('#saving').open")
    page.js("document.querySelector('#file').value = '我科'")
    page.js("document.querySelector('#saving-form').requestSubmit()")
    page.until("return !document.querySelector('#saving').open")
    saved = load_schema(tmp_path / "我科.toml")
    assert saved.extract("痛经")["痛经"].value == "有" and saved.fields["痛经"].department == "妇科二区"
    assert "未保存" not in page.js("return document.querySelector('#now').textContent")
    page.quiet()


def test_numbers_with_units_and_a_condition(served, page):
    page.open(served())
    page.click("#add")
    page.fill("name", "痛经")
    page.fill("terms", "痛经")
    page.click("#add")
    page.choose("type", "number")
    page.fill("name", "周期")
    page.fill("terms", "周期")
    page.fill("unit", "d")
    page.fill("units", "天\n周 = 7")
    page.fill("range", "15")
    page.put("document.querySelectorAll('#form [data-key=range] input')[1]", 120)
    assert page.toml["fields"]["周期"] == {
        "type": "number", "terms": ["周期"], "unit": "d", "units": {"天": 1, "周": 7}, "range": [15, 120]}
    assert page.counts.startswith("20/80") and "不在范围" in page.js("return document.querySelector('.near .why').textContent")
    page.choose("only_if", "痛经")
    assert page.toml["fields"]["周期"]["only_if"] == {"field": "痛经", "is": ["有"]}
    page.js("document.querySelectorAll('#form .parent input')[0].click()")
    page.js("document.querySelectorAll('#form .parent input')[1].click()")
    page.still()
    assert page.counts.startswith("0/80") and page.toml["fields"]["周期"]["only_if"]["is"] == ["无"]
    page.click("#undo")
    assert page.counts is not None and page.fields == ["痛经", "周期"]
    page.click("#delete")
    assert page.fields == ["痛经"] and page.toml["fields"].keys() == {"痛经"}
    page.quiet()


def test_values_and_toml_both_ways(served, page):
    page.open(served())
    page.type_toml('[pack]\nname = "x"\n# kept\n[topics."月经"]\nwords = ["月经"]\n[fields."量"]\ntype = "enum"\ntopics = ["月经"]\n'
                   '[fields."量".values."多"]\nsaid = ["量多"]\n')
    assert page.counts.startswith("20/80") and page.fields == ["量"]
    page.click("#tab-form")
    assert page.js("return document.querySelector('#form .value-name').value") == "多"
    page.click(".add-value")
    page.put("document.querySelectorAll('#form .value-name')[1]", "少")
    page.put("document.querySelectorAll('#form .values-list li')[1].querySelectorAll('textarea')[1]", "量少")
    assert page.counts.startswith("40/80") and page.toml["fields"]["量"]["values"]["少"] == {"said": ["量少"]}
    assert "# kept" in page.js("return document.querySelector('#toml').value")
    page.type_toml("[pack")
    assert "TOML" in page.js("return document.querySelector('#pack-findings').textContent")
    page.js("document.querySelector('#undo').click()")
    page.still()
    assert page.fields == ["量"]
    page.quiet()


def test_a_topic_is_made_where_it_is_named(served, page):
    page.open(served())
    page.click("#add")
    page.choose("type", "enum")
    page.fill("name", "月经量")
    page.put("document.querySelector('#form .value-name')", "多")
    page.put("document.querySelectorAll('#form .values-list textarea')[1]", "量多")
    assert "话题" in page.js("return document.querySelector('#form .finding.bad').textContent")
    page.put("document.querySelector('#form [data-key=topics] input')", "月经、大便")
    page.js("document.querySelector('#form [data-key=topics] input').dispatchEvent(new Event('change', {bubbles: true}))")
    page.still()
    assert page.counts.startswith("20/80") and page.toml["topics"] == {"月经": {"words": ["月经"]}}
    page.put("document.querySelector('#form .topic-words textarea')", "月经\n带下")
    assert page.counts.startswith("40/80") and page.toml["fields"]["月经量"]["topics"] == ["月经", "大便"]
    page.quiet()


def test_a_draft_outlives_a_reload_and_packs_that_come_along_can_be_opened(served, page):
    address = served()
    page.open(address)
    page.js("const p = document.querySelector('#pack'); p.value = 'shipped:妇科'; p.dispatchEvent(new Event('change'))")
    page.until("return document.querySelectorAll('.rec-link').length > 10")
    page.still()
    page.js("[...document.querySelectorAll('.rec-link')].find(one => one.textContent.startsWith('月经量')).click()")
    page.still()
    assert page.counts.startswith("40/80")
    page.js("document.querySelector('#main').focus()")
    page.keys("j")
    assert page.js("return document.querySelector('.found h2').textContent") == "经血颜色"
    page.open(address)
    assert page.js("return document.querySelector('.found h2').textContent") == "经血颜色"
    page.quiet()


def test_nothing_of_a_record_a_name_or_a_value_ever_runs(served, page):
    page.open(served())
    page.click("#add")
    name = HOSTILE[:39]
    page.fill("name", name)
    page.choose("type", "enum")
    page.put("document.querySelector('#form .value-name')", name)
    page.put("document.querySelector('#form .values-list textarea')", f"<script>\n(\n{HOSTILE}")
    assert "<script>" in page.js("return document.querySelector('#form .finding').textContent")
    page.put("document.querySelector('#form .values-list textarea')", "window.ran=1")
    assert page.counts.startswith("20/80") and page.toml["fields"][name]["values"] == {name: {"terms": ["window.ran=1"]}}
    page.js("document.querySelector('#lang').click()")
    page.still()
    assert page.js("return [window.ran === undefined, document.scripts.length, document.images.length]") == [True, 1, 0]
    assert "<script>" in page.js("return document.querySelector('#found').textContent")
    page.quiet()


@pytest.mark.parametrize("size", SIZES)
def test_no_width_needs_scrolling_sideways_in_either_language(served, driver, size):
    page = OwnFieldsPage(driver, size)
    page.open(served())
    page.js("const p = document.querySelector('#pack'); p.value = 'starter:'; p.dispatchEvent(new Event('change'))")
    page.until("return document.querySelectorAll('.rec-link').length > 3")
    page.still()
    for title in ("自定义字段", "Own fields"):
        assert page.js("return document.querySelector('h1').textContent") == title
        assert page.js("return document.documentElement.scrollWidth") <= SIZES[size][0]
        right = page.js("return Math.max(...[...document.querySelectorAll('.acts button,#form input,#form textarea')]"
                        ".map(b => b.getBoundingClientRect().right))")
        assert right <= SIZES[size][0]
        page.click("#lang")
    page.js("sessionStorage.clear(); localStorage.clear()")


@pytest.mark.parametrize(("size", "dark"), [("desk", False), ("desk", True), ("phone", False), ("phone", True)])
def test_axe_finds_no_serious_fault(served, driver, size, dark):
    page = OwnFieldsPage(driver, size, dark)
    page.open(served())
    page.js("const p = document.querySelector('#pack'); p.value = 'shipped:妇科'; p.dispatchEvent(new Event('change'))")
    page.until("return document.querySelectorAll('.rec-link').length > 10")
    page.still()
    for state in ("", "[...document.querySelectorAll('.rec-link')].find(one => one.textContent.startsWith('月经量')).click()",
                  "const t = document.querySelector('#form textarea'); t.value = '(x'; "
                  "t.dispatchEvent(new Event('input', {bubbles: true}))",
                  "document.querySelector('#tab-toml').click()", "document.querySelector('#help-open').click()"):
        page.js(state)
        page.still()
        page.accessible()
    page.js("sessionStorage.clear(); localStorage.clear()")
