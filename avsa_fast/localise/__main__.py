"""Entry point of `python -m avsa_fast.localise`."""

from avsa_fast.command import run_command

from .cli import main

if __name__ == "__main__":
    run_command(main, "localise")
