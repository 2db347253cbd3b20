"Functions of a frame; each knows the last bar it may see."

from ohlcv_ta.features.indicators import atr, rsi, true_range, wilder_mean
from ohlcv_ta.features.profile import (
    RULES,
    Profile,
    choose_tick,
    described_profile,
    initial_balance,
    market_profile,
    nodes,
    session_profiles,
    value_area_steps,
)

__all__ = ["RULES", "Profile", "atr", "choose_tick", "described_profile", "initial_balance", "market_profile", "nodes",
           "rsi", "session_profiles", "true_range", "value_area_steps", "wilder_mean"]
