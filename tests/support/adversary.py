"A feed with faults, and a listener that records the bars it gets."

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
    "Yield bars late, twice, out of order, before they are closed or not at all; break; the history lags and fails."
    def __init__(self, series, frame, dice, patience=200):
        super().__init__(series, frame, history=5)
        self.dice, self.late, self.evil = dice, [], patience

    def updates(self):
        while self.position < len(self.frame) or self.late:
            mood = self.dice.choice(["send", "twice", "revise", "delay", "lose", "break", "old"]) if self.evil > 0 else "send"
            self.evil -= 1
            if mood == "break": raise TransientError("was cut off")
            if mood == "old" and self.position: yield self.of(self.dice.integers(self.position))
            if self.late and (mood == "old" or self.position == len(self.frame)):
                yield self.late.pop(self.dice.integers(len(self.late)))
            if self.position == len(self.frame): continue
            if mood == "revise": yield BarUpdate(self.frame.index[self.position], tuple(self.dice.random(5) + 1), False)
            self.position += 1
            update = self.of(self.position - 1)
            if mood == "delay": self.late.append(update)
            elif mood != "lose":
                yield update
                if mood == "twice": yield update

    def of(self, k): return BarUpdate(self.frame.index[k], tuple(self.frame.iloc[k].tolist()), True)

    def history(self, start, end):
        mood = self.dice.choice(["good", "lags", "transient", "refuses"], p=[0.6, 0.2, 0.1, 0.1]) if self.evil > 0 else "good"
        self.evil -= 1
        if mood == "transient": raise TransientError("does not answer", 0.5)
        if mood == "refuses": raise SourceError("exchange is busy")
        return super().history(start, end).iloc[:-1 if mood == "lags" else None]
