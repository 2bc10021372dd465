import ast
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import rl_pruner
from rl_pruner import plot_history

SVG = "{http://www.w3.org/2000/svg}"


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    return [[tuple(map(float, point.split(","))) for point in line.get("points").split()]
            for line in ET.fromstring(svg).iter(f"{SVG}polyline")]


def test_lines_follow_the_values_and_stay_in_their_panel():
    svg = plot_history([1, 2, 3], {"reward": {"mean": [0.1, 0.3, 0.2]}, "memory": {"mean": [5e6, 4e6, 3e6], "limit": 4.5e6}},
                       "a < b & c")
    mean, memory, limit = polylines(svg)
    assert [x for x, _ in mean] == [x for x, _ in memory] == sorted(x for x, _ in mean)
    assert mean[1][1] < mean[2][1] < mean[0][1]  # y points down: the highest value lies on top
    assert memory[0][1] < limit[0][1] == limit[1][1] < memory[1][1]
    assert max(y for _, y in mean) < min(y for _, y in memory)
    words = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"reward", "memory", "iteration", "a < b & c", "limit 4.5M"} <= set(words)


def test_one_point_no_point_and_equal_values_can_be_drawn():
    for iterations, values in (([], []), ([1], [0.0]), ([1, 2], [7.0, 7.0])):
        lines = polylines(plot_history(iterations, {"F1": {"mean": values}}, "t"))
        assert [len(line) for line in lines] == [len(values)]


def test_package_stands_on_its_own():
    allowed = set(sys.stdlib_module_names) | {"torch", "safetensors"}
    for path in Path(rl_pruner.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found = {node.module.split(".")[0]}
            else:
                continue
            assert found <= allowed, f"{path.name} imports {found - allowed}"
