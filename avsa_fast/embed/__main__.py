"""Entry point of `python -m avsa_fast.embed`."""

from avsa_fast.command import run_command

from .cli import main

if __name__ == "__main__":
    run_command(main, "embed")
