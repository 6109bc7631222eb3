"""All operators: importing this file fills the table of ``operator``. It imports no torch."""

from klear_core.data.mixes import balanced, decontaminate, dedup, keep, label, sample, top_sources
from klear_core.data.mixes.operator import Details, MixContext, Operator, get_operator, operator_names

__all__ = [
    "Details",
    "MixContext",
    "Operator",
    "balanced",
    "decontaminate",
    "dedup",
    "get_operator",
    "keep",
    "label",
    "operator_names",
    "sample",
    "top_sources",
]
