"""A batch of a thousand records through the hands of a person: convert, serve, correct by keyboard, reload, export, evaluate.

Every step is the command as it is called, with the shipped model and a real browser.
"""

import csv
import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
N = 1_000
OPENINGS = ("反复咳嗽{n}天", "胃脘胀痛{n}天", "便血{n}天，色鲜红", "腰痛{n}年", "头晕{n}天", "月经推迟{n}天")
COMPLAINTS = ("咳黄痰", "口干口苦", "无发热", "发热，最高体温38.{n}℃", "纳差", "眠差多梦", "大便干结", "大便溏薄", "小便黄", "畏寒", "自汗")
TONGUES = ("舌红", "舌淡", "舌暗红，边有齿痕", "舌淡胖"), ("苔黄腻", "苔薄白", "苔白腻", "苔少"), ("脉滑数", "脉弦", "脉细弱", "脉沉细")
DOUBTFUL = "咳嗽夜间为甚，痰粘难出色黄白相兼"
"""One record of a hundred: it breaks off, and the model is not sure."""


def tcmstruct(*arguments):
    done = subprocess.run([sys.executable, "-m", "tcmstruct", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thousand")
    rng = random.Random(9)
    with (folder / "export.csv").open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["住院号", "科室", "病历"])
        for number in range(N):
            said = "，".join([rng.choice(OPENINGS), *rng.sample(COMPLAINTS, 4)]).format(n=rng.randint(1, 9))
            text = DOUBTFUL if number % 100 == 50 else f"{said}。{'，'.join(map(rng.choice, TONGUES))}。"
            writer.writerow([f"ZY{number:06}", rng.choice(("呼吸内科", "消化内科")), text])
    tcmstruct("convert", folder / "export.csv", "-o", folder / "OUT", "--format", "jsonl", "--no-report")
    return folder


@pytest.fixture
def address(converted):
    process = subprocess.Popen([sys.executable, "-m", "tcmstruct", "serve", str(converted / "OUT"), "--port", "0", "--workers", "1"],
                               cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield "http://" + re.search(r"127\.0\.0\.1:\d+/", process.stderr.readline())[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0 and process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_low_values_are_found_and_corrected_by_keyboard_and_the_export_is_gold(converted, address, page):
    from selenium.webdriver.common.keys import Keys

    page.open(address)
    page.until("return document.querySelector('#told').textContent.startsWith(arguments[0])", f"已签定 0/{N:,} 份")
    corrected = {}
    for number in range(5):
        page.keys("n")
        assert page.js("return document.querySelector('.item.on .c.low') !== null"), "the value chosen is a low one"
        record, name = page.id, page.chosen
        if number == 4:
            page.keys("r")
        corrected[record, name] = page.edit_to_another() if number < 4 else None
        assert [name, "dec edit" if number < 4 else "dec reject"] in page.decided
    assert len(corrected) == 5
    assert "低置信已定 5/" in page.js("return document.querySelector('#told').textContent")

    page.open(address)  # reload: everything is there again
    records = sorted({record for record, _ in corrected})
    for number, record in enumerate(records, 1):
        page.keys("/")
        page.js("document.querySelector('#q').value = ''")
        page.keys(record)
        page.until("return document.querySelector('.rec h2').textContent === arguments[0]", record)
        page.keys(Keys.ESCAPE)
        assert {name for name, _ in page.decided} == {name for one, name in corrected if one == record}
        page.keys("d")
        page.until("return document.querySelector('#told').textContent.startsWith(arguments[0])", f"已签定 {number}/{N:,}")
    page.quiet()

    gold = converted / "gold.jsonl"
    tcmstruct("review", "export", converted / "OUT", "-o", gold, "--identified")
    found = {one["id"]: one["fields"] for one in map(json.loads, gold.read_text("utf-8").splitlines())}
    assert sorted(found) == records
    for (record, name), value in corrected.items():
        assert (name not in found[record]) if value is None else found[record][name]["value"] in (value, [value])
    scores = json.loads(tcmstruct("evaluate", gold, converted / "OUT" / "records.jsonl", "--json"))["fields"]["micro"]
    assert scores["n_pred"] == scores["n_gold"] + 1 and scores["n_gold"] - 4 <= scores["credit"] < scores["n_gold"]
