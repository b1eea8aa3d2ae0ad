from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # a frozen dataclass looks its module up
    spec.loader.exec_module(loaded)
    return loaded


timing, figures = module("timing"), module("figures")


def test_exponent_of_a_square_is_two_and_of_a_constant_zero():
    assert timing.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert timing.exponent([1, 10, 100], [5, 5, 5]) == pytest.approx(0)


def test_ratio_is_the_median_of_neighbours_not_the_ratio_of_medians():
    # side by side: 2, 4, 1; the medians alone would give 4 / 2 = 2
    assert timing.ratio([4, 8, 2], [2, 2, 2]) == (2, 1, 4)
    assert timing.ratio([9, 1, 5], [3, 1, 1])[0] == 3


def test_actions_run_in_turns_after_one_that_is_not_counted():
    order = []
    seconds = timing.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert "".join(order) == "ababab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_generated_section_of_a_page_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{figures.BEGIN}\nold\n{figures.END}\nbelow\n")
    one = figures.Figure("mining", "5 classes", 2.0, "s", "extraction", 40.0, 0.05, 0.04, 0.06, "0.1 or less")
    for _ in range(2):
        figures.put_into(page, {"cores": 2}, [one])
        text = page.read_text()
        assert text.startswith("above\n")
        assert text.endswith(f"{figures.END}\nbelow\n")
        assert "old" not in text
        row = "| mining: 5 classes | 2 s | extraction | 40 s | 0.05 (0.04 to 0.06) | 0.1 or less |"
        assert text.count(row) == 1
    figures.write(tmp_path / "out", {"cores": 2}, [one])
    assert json.loads((tmp_path / "out" / "table.json").read_text())["figures"][0]["ratio"] == 0.05


def test_performance_page_has_a_section_for_the_table():
    text = (BENCHMARKS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert 0 < text.index(figures.BEGIN) < text.index(figures.END)


def test_disk_left_over_is_without_model_networks_and_the_largest_checkpoint(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sizes = {
        "artifacts/Propose/1/proposals.safetensors": 7,
        "artifacts/Pretrain/2/network.safetensors": 100,
        "artifacts/Pretrain/2.partial/checkpoint.safetensors": 200,
        "artifacts/Finetune/3.partial/checkpoint.safetensors": 300,
        "artifacts/Finetune/3.partial/metrics.jsonl": 2,
        "run/model/classifier.safetensors": 50,
        "run/results.json": 1,
    }
    left = module("streamed").left_over({Path(name): size for name, size in sizes.items()})
    assert left == {"Propose": 7, "Pretrain": 200, "Finetune": 2, "results.json": 1}
