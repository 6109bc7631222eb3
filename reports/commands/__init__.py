"""What ``python -m reports`` can be asked: one module a command, each with ``main(arguments) -> exit code``."""
