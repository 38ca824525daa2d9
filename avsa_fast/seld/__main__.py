"""Entry point of `python -m avsa_fast.seld`."""

from avsa_fast.command import run_subcommand

from .cli import COMMANDS, main

if __name__ == "__main__":
    run_subcommand(COMMANDS, main, "seld")
