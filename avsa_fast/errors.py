"""Errors that the user can fix. The kernels import this module, so it imports nothing."""


class UserError(Exception):
    """Error that the user can fix. The message is one line that names the cause and the expected input."""


class ClipError(UserError):
    """A clip cannot be used. `state` is its state in the index."""

    def __init__(self, state: str, message: str) -> None:
        """Stores the state.

        Args:
            state: A key of `data.table_rules.STATES` other than "ok".
            message: One line that names the reason.
        """
        super().__init__(message)
        self.state = state


class BuildError(UserError, ImportError, RuntimeError):
    """This build of avsa_fast does not support the request on this machine; the message names the remedy."""
