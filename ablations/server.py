"""Imported by the fork server and by nothing else: what every run needs, loaded once, and an end with the parent.

Children hold the server's pipes open, so it would otherwise outlive a parent that is killed, and its children with it.
"""

from ablations.processes import die_with_parent

# Before the imports, which take seconds: a parent that ends meanwhile, refused or killed, leaves nothing behind.
die_with_parent()

import pyarrow  # noqa: E402
import transformers.models.qwen3.modeling_qwen3  # noqa: E402, F401  (loaded lazily otherwise, in every child)

import ablations.stages  # noqa: E402, F401

# The first table imports pandas, which would take every child a fifth of a second.
pyarrow.table({"warm": [0]})
