"Features of OHLCV frames: indicators, market profiles, support and resistance."

from .indicators import atr, rsi, true_range, wilder_mean
from .market_profile import (
    VALUE_AREA_RULES,
    MarketProfile,
    choose_tick,
    initial_balance,
    market_profile,
    published_profile,
    session_profiles,
    value_area_steps,
    volume_nodes,
)
from .support_resistance.levels import (
    SCORERS,
    NearestLevels,
    chart_as_of,
    clustered_levels,
    density_levels,
    find_levels,
    level_history,
    nearest_levels,
    price_row_features,
    random_levels,
    rule_levels,
)
from .support_resistance.rays import extend_rays, find_rays
from .support_resistance.swings import find_swings

__all__ = [
    "SCORERS",
    "VALUE_AREA_RULES",
    "MarketProfile",
    "NearestLevels",
    "atr",
    "chart_as_of",
    "choose_tick",
    "clustered_levels",
    "density_levels",
    "extend_rays",
    "find_levels",
    "find_rays",
    "find_swings",
    "initial_balance",
    "level_history",
    "market_profile",
    "nearest_levels",
    "price_row_features",
    "published_profile",
    "random_levels",
    "rsi",
    "rule_levels",
    "session_profiles",
    "true_range",
    "value_area_steps",
    "volume_nodes",
    "wilder_mean",
]
