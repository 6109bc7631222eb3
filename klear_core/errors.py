"""The errors that a user can meet; each message names the key, the value and what is allowed, in one line."""


class HarnessError(Exception):
    """Base of every error that is reported as one line instead of a traceback."""


class ConfigError(HarnessError):
    """A setting is unknown, has the wrong type or lies outside its limits."""


class DataError(HarnessError):
    """Input data or a checkpoint folder is missing or does not have the promised form."""


class EngineError(HarnessError):
    """A rollout engine cannot do what it was asked to do."""


class RunStoreError(HarnessError):
    """A run folder cannot be created, written or read."""


class DivergedError(HarnessError):
    """A loss, a ratio, a gradient or the policy itself stopped being finite: an outcome of the run, not a bug."""
