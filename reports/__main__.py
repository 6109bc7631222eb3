"""``python -m reports <sweep>`` rebuilds a sweep's report; other words ask for what is not about one sweep."""

import importlib
import sys

from klear_core.errors import HarnessError

# Word -> module of ``reports.commands``; any other first word is the name of a sweep.
COMMANDS: dict[str, str] = {
    "check": "check",
}


def main() -> None:
    """Do what the first word asks; exit code 2, one line, when it cannot be done."""
    arguments = sys.argv[1:]
    name = COMMANDS.get(arguments[0], "") if arguments else ""
    try:
        module = importlib.import_module(f"reports.commands.{name or 'sweep'}")
        code = module.main(arguments[1:] if name else arguments)
    except HarnessError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
