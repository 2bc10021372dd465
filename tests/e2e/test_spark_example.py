"""The Spark example of docs/batch.md is run as it stands there: by Spark where it is installed, and on frames as Spark gives them."""

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "batch.md").read_text("utf-8")
TEXTS = ["反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。", "胃脘胀痛1月，纳差。舌淡，苔白，脉弦。"]


@pytest.fixture(scope="module")
def example():
    (code,) = re.findall(r"```python\n(def structured.*?)```", PAGE, re.DOTALL)
    function, _, call = code.partition("\n\n\n")
    names = {"json": json}
    exec(function, names)
    return names["structured"], call


def test_the_function_answers_frames(example):
    pandas = pytest.importorskip("pandas", reason="pandas makes the frames")
    frame = pandas.DataFrame({"id": ["1", "2"], "text": TEXTS})
    found = list(example[0](iter([frame, frame])))
    assert [list(one.columns) for one in found] == [["id", "text", "fields"]] * 2
    assert json.loads(found[0].fields[0])["咳嗽"] == "有"


def test_spark_runs_it(example):
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed")
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        names = {"structured": example[0], "table": spark.createDataFrame(list(zip("12", TEXTS, strict=True)), "id string, text string")}
        exec(example[1], names)
        assert json.loads(names["result"].orderBy("id").first().fields)["咳嗽"] == "有"
    finally:
        spark.stop()
