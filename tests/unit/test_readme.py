"The README says what the metrics say, and what it tells a reader to paste works."

import re
from pathlib import Path

import pandas as pd

from ohlcv_ta.data.io import read_json
from ohlcv_ta.evaluation.metrics import format_interval

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- (?P<name>\w+) -->\n(?P<table>.*?)<!-- /(?P=name) -->", re.S)


def results_table():
    "The table of results, from the scores that the pipeline wrote."
    scores = pd.read_csv(ROOT / "results" / "breakout" / "scores.csv")
    rows = scores[(scores.metric == "roc_auc") & (scores.labels == "true") & (scores.protocol == "walk_forward")]
    lines = ["| market | test sessions | system D's inputs | inputs without price level | distance to the line in ATR |",
             "| --- | ---: | --- | --- | --- |"]
    for market in [*sorted(set(rows.trained_on) - {"pooled"}), "pooled"]:
        of = rows[rows.trained_on == market].set_index(["features", "model"])
        texts = [format_interval(of.loc[key]) if key in of.index else "" for key in
                 (("levels", "chosen"), ("relative", "chosen"), ("relative", "distance_in_atr"))]
        lines.append(f"| {market} | {int(of.loc[('relative', 'chosen'), 'rows']):,} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def levels_table():
    "The table of levels found, from the metrics that the pipeline wrote."
    beside = read_json(ROOT / "results" / "masks" / "metrics" / "beside.json")
    methods = {"U-Net, from the image": "U-Net, picture", "straight lines in the image (Hough)": "Hough lines, picture",
               "rule-based detector, from the bars": "rule, bars", "clustered swings, from the bars": "clustered, bars",
               "random lines": "random, bars"}
    lines = ["| | synthetic charts | real charts, rule-based lines |", "| --- | --- | --- |"]
    for shown, name in methods.items():
        texts = [format_interval(beside[source][name]["f1"]) if name in beside[source] else ""
                 for source in ("synthetic", "rule")]
        lines.append(f"| {shown} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


TRENDS = {("crypto", None): "five cryptocurrencies, 9 bars of 30 minutes (CNN9u)",
          ("intraday", "nyse"): "SPY, 49 bars of 5 minutes (CNN49u)",
          ("intraday", "sse and szse"): "two A-shares, 49 bars of 5 minutes (CNN49u)",
          ("cross_section", "within_dates"): "379 US stocks, 5 days (I5), within dates",
          ("daily", None): "indices and stocks, 20 days (I20)"}


def trends_table():
    "The table of price images, from the metrics that the pipeline wrote."
    folder = ROOT / "results" / "trend" / "metrics"
    periods = read_json(folder / "labels.json")
    lines = ["| | independent test periods | network, from the image | gradient-boosted trees, from the bars | "
             "logistic, from the bars |",
             "| --- | ---: | --- | --- | --- |"]
    for (name, market), shown in TRENDS.items():
        found = read_json(folder / f"{name}.json")
        of = found[market] if market else found
        metric = "within_auc" if market == "within_dates" else "roc_auc"
        texts = [format_interval(of[model][metric]) for model in ("network", "trees", "logistic")]
        count = (periods[name]["markets"].get(market) or periods[name])["test_periods"]
        lines.append(" | ".join([f"| {shown}", f"{count:,}", *texts]) + " |")
    return "\n".join(lines) + "\n"


INDICATOR_MODELS = {"network": "network, from the image", "trees": "gradient-boosted trees, from the same indicators",
                    "candidates": "look-back extremum rule",
         "always hold": "always hold"}


def indicators_table():
    "The table of images of indicators, from the metrics that the pipeline wrote."
    folder = ROOT / "results" / "indicators"
    models, inner = (read_json(folder / "metrics" / f"{name}.json") for name in ("turning", "evaluate"))
    chance = read_json(folder / "labels.json")["chance"]
    lines = ["| | accuracy | balanced accuracy | AUC, which candidates remain |", "| --- | --- | --- | --- |"]
    for name, shown in INDICATOR_MODELS.items():
        of, left = models["models"][name], inner["among_candidates"].get(name)
        lines.append(f"| {shown} | {format_interval(of['accuracy'])} | {format_interval(of['balanced_accuracy'])} | "
                     f"{format_interval(left) if left else ''} |")
    lines.append(f"| *the rule on a random walk, by the theorem* | {chance['accuracy']:.3f} |  | 0.5 |")
    return "\n".join(lines) + "\n"


def panel_table():
    "The table of the panel of stocks, from the metrics that the pipeline wrote."
    panel = read_json(ROOT / "results" / "trend_panel" / "metrics" / "panel.json")["I5"]
    lines = ["| | rank IC | seen with 80% power | AUC within a day | Sharpe ratio before costs | "
             "after 10 basis points a trade |",
             "| --- | --- | --- | --- | --- | --- |"]
    for name, of in panel["rank_ic"].items():
        earned = panel["equal"][name]
        ratios = " | ".join(f"{earned[kind]:.2f} [{earned[f'{kind}_low']:.2f}, {earned[f'{kind}_high']:.2f}]"
                            for kind in ("gross", "net"))
        ranked, auc = format_interval(of, signed=True), format_interval(panel["auc"][name])
        lines.append(f"| {name} | {ranked} | {of['detectable']:.3f} | {auc} | {ratios} |")
    return "\n".join(lines) + "\n"


TABLES = {"results": results_table, "levels": levels_table, "trends": trends_table, "panel": panel_table,
          "indicators": indicators_table}


def test_the_tables_equal_the_metrics():
    found = {block["name"]: block["table"] for block in BLOCK.finditer(README.read_text(encoding="utf-8"))}
    assert found == {name: table() for name, table in TABLES.items()}, "run `python tests/unit/test_readme.py` to write them"


def test_the_summary_is_what_the_metrics_say():
    "In short: no model adds to the distance in ATR, and system D's inputs do worse than it."
    over = read_json(ROOT / "results" / "breakout" / "metrics" / "advantage.json")["distance_in_atr"]
    assert not [market for market, of in over.items() if of["relative"]["low"] > 0]
    worse = [of["levels"]["high"] < 0 for of in over.values() if "levels" in of]
    assert sum(worse) > len(worse) / 2


def test_the_smallest_effects_and_sizes_are_those_of_the_metrics():
    text = " ".join(README.read_text(encoding="utf-8").split())
    over = read_json(ROOT / "results" / "breakout" / "metrics" / "advantage.json")["distance_in_atr"]["pooled"]["relative"]
    held = read_json(ROOT / "results" / "levels" / "metrics" / "levels.json")
    found = held["synthetic"][f"found, {held['chart']} bars"]["difference"]["value"]
    training = read_json(ROOT / "results" / "trend_panel" / "metrics" / "train-I5.json")
    weeks = read_json(ROOT / "results" / "trend_panel" / "metrics" / "panel.json")["I5"]["rank_ic"]["network"]["count"]
    least = held["pooled"]["rule"]["difference"]["detectable"]
    for sentence in (f"a difference of {over['detectable']:.3f} in AUC",
                     f"at injected levels the difference is {100 * found:.1f}",
                     f"a difference of {100 * least:.1f} percentage points",
                     f"{training['windows']['train']:,} training images", f"{weeks:.0f} weeks"):
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
