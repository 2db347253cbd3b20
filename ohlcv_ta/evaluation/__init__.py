"Splits, metrics, confidence intervals, negative controls and published claims."

from .bootstrap import block_bootstrap, block_length, percentile_intervals
from .claims import Claim, ClaimError, Verdict, assess_claims, claims_table, decide_verdict, read_claims, write_claims
from .controls import LookAheadError, check_causality, shuffle_blocks, shuffle_labels
from .level_metrics import duplicate_groups, level_scores, mask_scores, match_levels, mean_scores, pool_scores, ray_scores
from .metrics import (
    binary_metrics,
    calibration_curve,
    calibration_error,
    confusion_counts,
    confusion_metrics,
    format_interval,
    metric_differences,
    metric_intervals,
)
from .splits import Split, find_leakage, split_periods, stratified_split, walk_forward

__all__ = [
    "Claim",
    "ClaimError",
    "LookAheadError",
    "Split",
    "Verdict",
    "assess_claims",
    "binary_metrics",
    "block_bootstrap",
    "block_length",
    "calibration_curve",
    "calibration_error",
    "check_causality",
    "claims_table",
    "confusion_counts",
    "confusion_metrics",
    "decide_verdict",
    "duplicate_groups",
    "find_leakage",
    "format_interval",
    "level_scores",
    "mask_scores",
    "match_levels",
    "mean_scores",
    "metric_differences",
    "metric_intervals",
    "percentile_intervals",
    "pool_scores",
    "ray_scores",
    "read_claims",
    "shuffle_blocks",
    "shuffle_labels",
    "split_periods",
    "stratified_split",
    "walk_forward",
    "write_claims",
]
