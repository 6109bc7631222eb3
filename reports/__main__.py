"""``python -m reports <sweep>`` rebuilds a sweep's report; other words ask for what is not about one sweep."""

import importlib
import sys

from klear_core.errors import HarnessError

# First words that are modules of ``reports.commands``; any other is the name of a sweep.
COMMANDS = ("check", "dashboard", "objectives", "paper", "published", "table1")


def main() -> None:
    """Do what the first word asks; exit code 2, one line, when it cannot be done."""
    arguments = sys.argv[1:]
    is_command = bool(arguments) and arguments[0] in COMMANDS
    try:
        module = importlib.import_module(f"reports.commands.{arguments[0] if is_command else 'sweep'}")
        code = module.main(arguments[1:] if is_command else arguments)
    except HarnessError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        code = 0
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
