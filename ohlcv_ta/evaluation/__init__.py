"Splits, metrics, controls and claims: what a result is worth."

from .claims import Claim, ClaimError, Verdict, answer, judge, ledger, read_claims, write_claims
from .controls import LookAheadError, replays, shuffle_blocks, shuffle_labels
from .levels import copy_groups, level_scores, mask_scores, match_levels, mean_scores, pool_scores, ray_scores
from .metrics import (
    binary_metrics,
    block_bootstrap,
    block_length,
    calibration_error,
    confusion,
    difference,
    from_confusion,
    interval_text,
    intervals,
    quantiles,
    reliability,
)
from .splits import Split, leaks, schedule, stratified_split, walk_forward

__all__ = [
    "Claim", "ClaimError", "LookAheadError", "Split", "Verdict", "answer", "binary_metrics", "block_bootstrap",
    "block_length", "calibration_error", "confusion", "copy_groups", "difference", "from_confusion",
    "interval_text", "intervals", "judge", "leaks", "ledger", "level_scores", "mask_scores", "match_levels",
    "mean_scores", "pool_scores", "quantiles", "ray_scores", "read_claims", "reliability", "replays", "schedule",
    "shuffle_blocks", "shuffle_labels", "stratified_split", "walk_forward", "write_claims",
]
