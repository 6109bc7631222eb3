"""Policy objectives: per-token surrogates, the reductions that average them, and what clipping did."""
