"""Command lines whose errors are one line."""

import argparse
from typing import NoReturn

from klear_core.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Raises ConfigError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """ConfigError with the message."""
        raise ConfigError(f"{message}; see {self.prog} --help")
