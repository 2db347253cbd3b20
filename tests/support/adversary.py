"A stream of bars told by an adversary, and a listener that notes what it hears."

from ohlcv_ta.data.bar_store import SeriesKey
from ohlcv_ta.data.exchanges.retry import SourceError, TransientError
from ohlcv_ta.market.streaming import BarUpdate, ReplayFeed

SPY = SeriesKey("nyse", "SPY", "1m")


class Listener:
    def __init__(self): self.heard, self.last = [], None
    def until(self): return self.last
    def begin(self, last): self.last = last

    def on_bar(self, bar):
        self.last = bar.index[0]
        self.heard.append(self.last)


class Adversary(ReplayFeed):
    "Tells bars late, twice, in the wrong order, before they are over or not at all; breaks; its history lags and fails."
    def __init__(self, series, frame, dice, patience=200):
        super().__init__(series, frame, history=5)
        self.dice, self.late, self.evil = dice, [], patience

    def updates(self):
        while self.told < len(self.frame) or self.late:
            mood = self.dice.choice(["tell", "twice", "revise", "delay", "lose", "break", "old"]) if self.evil > 0 else "tell"
            self.evil -= 1
            if mood == "break": raise TransientError("was cut off")
            if mood == "old" and self.told: yield self.of(self.dice.integers(self.told))
            if self.late and (mood == "old" or self.told == len(self.frame)):
                yield self.late.pop(self.dice.integers(len(self.late)))
            if self.told == len(self.frame): continue
            if mood == "revise": yield BarUpdate(self.frame.index[self.told], tuple(self.dice.random(5) + 1), False)
            self.told += 1
            told = self.of(self.told - 1)
            if mood == "delay": self.late.append(told)
            elif mood != "lose":
                yield told
                if mood == "twice": yield told

    def of(self, k): return BarUpdate(self.frame.index[k], tuple(self.frame.iloc[k].tolist()), True)

    def history(self, start, end):
        mood = self.dice.choice(["good", "lags", "transient", "refuses"], p=[0.6, 0.2, 0.1, 0.1]) if self.evil > 0 else "good"
        self.evil -= 1
        if mood == "transient": raise TransientError("does not answer", 0.5)
        if mood == "refuses": raise SourceError("exchange is busy")
        return super().history(start, end).iloc[:-1 if mood == "lags" else None]
