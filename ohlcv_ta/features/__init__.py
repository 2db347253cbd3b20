"Functions of a frame; each knows the last bar it may see."

from ohlcv_ta.features.indicators import atr, rsi, true_range, wilder_mean
from ohlcv_ta.features.levels import (
    SCORERS,
    Nearest,
    as_of,
    clustered_levels,
    density_levels,
    extend,
    find_levels,
    find_rays,
    level_history,
    level_rows,
    nearest,
    random_levels,
    rule_levels,
    swings,
)
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

__all__ = ["RULES", "SCORERS", "Nearest", "Profile", "as_of", "atr", "choose_tick", "clustered_levels", "density_levels",
           "described_profile", "extend", "find_levels", "find_rays", "initial_balance", "level_history", "level_rows", "market_profile", "nearest",
           "nodes", "random_levels", "rsi", "rule_levels", "session_profiles", "swings", "true_range", "value_area_steps",
           "wilder_mean"]
