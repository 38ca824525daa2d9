"""Bounds of what users and files state, and of the messages about it."""

from avsa_fast.errors import UserError

Range = tuple[float, float]  # least and greatest value


def check_ranges(owner: object, prefix: str = "", /, **ranges: Range) -> None:
    """Checks fields of a configuration; None passes, NaN does not.

    Args:
        owner: The configuration.
        prefix: What precedes the fields' names in messages, such as "samples.".
        ranges: Least and greatest value of each field.

    Raises:
        UserError: A value is out of range; the message names the field, the value and the range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(owner, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"{prefix}{name} {shortened(value)} must be within {low:.15g} and {high:.15g}")


def shortened(value: object, limit: int = 200) -> str:
    """Returns a value or the message of a library's error as a line of bounded length.

    Args:
        value: The value or the error.
        limit: Maximum number of characters.
    """
    if isinstance(value, int) and value.bit_length() > 1000:
        return "with over 300 digits"
    text = " ".join(str(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
