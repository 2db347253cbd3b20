"The README says what the metrics say, and what it tells a reader to paste works."

import re
from pathlib import Path

import pandas as pd

from ohlcv_ta.data.io import read_json
from ohlcv_ta.evaluation.metrics import format_interval
from ohlcv_ta.models.breakout.experiment import select_experiment

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- (?P<name>\w+) -->\n(?P<table>.*?)<!-- /(?P=name) -->", re.S)


def metrics(name):
    return read_json(ROOT / "results" / f"{name}.json")


def findings():
    "Each main question: what is measured, the method, the simplest alternative, and their difference."
    levels = metrics("levels/metrics/levels")["pooled"]["rule"]
    scores = pd.read_csv(ROOT / "results" / "breakout" / "scores.csv")
    pooled = select_experiment(scores, "pooled", "walk_forward", "relative").set_index(["model", "metric"])
    profile = metrics("breakout/metrics/thesis")["nested"]["pooled/logistic"]["roc_auc"]
    coins = metrics("trend/metrics/crypto")
    panel = metrics("trend_panel/metrics/panel")["I5"]
    rival = max(panel["rivals"], key=lambda name: panel["rank_ic"][name]["value"])
    rank = {name: format_interval(panel["rank_ic"][name], signed=True) for name in ("network", rival)}
    among = metrics("indicators/metrics/evaluate")["among_candidates"]["network"]
    over_half = among | {part: among[part] - 0.5 for part in ("value", "low", "high")}
    return [
        ("Does price turn at levels? Share of turns", format_interval(levels["level"]),
         f"{format_interval(levels['control'])}, other prices at the same distance", levels["difference"]),
        ("Will the next session break out? AUC, seven markets", format_interval(pooled.loc["chosen", "roc_auc"]),
         f"{format_interval(pooled.loc['distance_in_atr', 'roc_auc'])}, the distance to the line",
         metrics("breakout/metrics/advantage")["distance_in_atr"]["pooled"]["relative"]),
        ("Does the market profile add to the candle? AUC", f"{profile['both']:.3f}", f"{profile['candles']:.3f}, the candle",
         profile),
        ("Will a coin rise? AUC of a network on images of bars", format_interval(coins["network"]["roc_auc"]),
         f"{format_interval(coins['trees']['roc_auc'])}, trees on the same bars",
         metrics("trend/metrics/against")["crypto"]["trees"]),
        ("Which stocks will rise most? Rank IC of a network on images", rank["network"],
         f"{rank[rival]}, {rival.split(',')[0]}", panel["rivals"][rival]),
        ("Which candidates become turning points? AUC of a network on indicators", format_interval(among), "0.5, chance",
         over_half)]


def findings_table():
    names = "question", "method", "simplest alternative", "difference", "seen with 80% power"
    lines = [f"| {' | '.join(names)} |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {question} | {method} | {other} | {format_interval(gain, signed=True)} | {gain['detectable']:.3f} |"
              for question, method, other, gain in findings()]
    return "\n".join(lines) + "\n"


TABLES = {"findings": findings_table}


def test_the_tables_equal_the_metrics():
    found = {block["name"]: block["table"] for block in BLOCK.finditer(README.read_text(encoding="utf-8"))}
    assert found == {name: table() for name, table in TABLES.items()}, "run `python tests/unit/test_readme.py` to write them"


def test_no_method_is_shown_to_know_more_than_its_alternative_but_one():
    positive = [question for question, _, _, gain in findings() if gain["low"] > 0]
    assert positive == ["Which candidates become turning points? AUC of a network on indicators"]
    trees, text = metrics("indicators/metrics/evaluate")["among_candidates"]["trees"], README.read_text(encoding="utf-8")
    assert f"in {len(findings()) - 1} of {len(findings())} main comparisons" in text
    assert f"not above the {format_interval(trees)} of trees" in text
    assert trees["value"] > metrics("indicators/metrics/evaluate")["among_candidates"]["network"]["value"]


def test_sizes_and_shares_are_those_of_the_metrics():
    text = " ".join(README.read_text(encoding="utf-8").split())
    found = metrics("masks/metrics/beside")["rule"]
    alarms = metrics("volume/metrics/volume")["false_alarms"]["score, rank"]["0.005"]
    errors = metrics("analysis/metrics/report")["corruptions"]
    for sentence in (f"with an F1 of {format_interval(found['U-Net, picture']['f1'])}",
                     f"lines by a Hough transform with {format_interval(found['Hough lines, picture']['f1'])}",
                     f"in {alarms['value']:.2%} of bars", f"of {errors['tried']:,} errors", f"{errors['caught']['value']:.0%}"):
        assert sentence in text, sentence


def test_the_panel_ranks_no_better_than_its_rivals_and_earns_nothing_after_costs():
    panel = read_json(ROOT / "results" / "trend_panel" / "metrics" / "panel.json")["I5"]
    assert panel["rank_ic"]["network"]["low"] > 0
    assert all(one["low"] <= 0 <= one["high"] for one in panel["rivals"].values())
    models = "network", "logistic regression", "gradient-boosted trees"
    assert all(panel["equal"][name]["net_high"] < 0 for name in models)


def test_the_controls_of_price_images_find_half_a_standard_deviation():
    controls = read_json(ROOT / "results" / "trend" / "metrics" / "controls.json")
    assert all(of["0.5"]["low"] > 0.5 for of in controls["power"].values())
    assert all(abs(one["auc"] - 0.5) < 4 * one["error"] for one in controls["null"].values())


def test_levels_hold_no_better_than_other_lines_unless_injected():
    held = read_json(ROOT / "results" / "levels" / "metrics" / "levels.json")
    found = held["synthetic"][f"found, {held['chart']} bars"]
    assert held["pooled"]["rule"]["difference"]["low"] < 0 < found["difference"]["low"]


def test_no_network_is_ahead_of_models_of_the_bars():
    against = read_json(ROOT / "results" / "trend" / "metrics" / "against.json")
    assert not [name for name, of in against.items() if min(gain["low"] for gain in of.values()) > 0]


def test_the_look_back_extremum_rule_is_not_beaten_and_no_trading_pays():
    metrics = ROOT / "results" / "indicators" / "metrics"
    assert read_json(metrics / "evaluate.json")["over_candidates"]["balanced_accuracy"]["high"] < 0
    accounts = read_json(metrics / "trade.json")["accounts"]
    assert not [name for name, of in accounts.items() if name != "holding" and of["return"]["value"] > 0]


def test_the_targets_and_files_it_names_exist():
    text = README.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text()
    assert not [t for t in re.findall(r"\bmake ([a-z]+)\b", text) if f"\n{t}:" not in makefile]
    assert not [f for f in re.findall(r"\]\(([^)#:]+)\)", text) if not (ROOT / f).exists()]


def written(block):
    "A block of the README with its table as it is now."
    name = block["name"]
    return f"<!-- {name} -->\n{TABLES[name]()}<!-- /{name} -->"


if __name__ == "__main__":
    README.write_text(BLOCK.sub(written, README.read_text(encoding="utf-8")), encoding="utf-8")
