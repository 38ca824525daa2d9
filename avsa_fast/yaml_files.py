"""Reading of YAML files of bounded size: plain mappings, without aliases, which could stand for any amount of data."""

from pathlib import Path
from typing import Any

import yaml

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError

MAX_BYTES = 100_000
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses aliases, tags, deep nesting and keys that are there twice."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not supported", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not supported", problem_mark=event.start_mark)
        if self.depth == MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise yaml.MarkedYAMLError(problem=f"{twice!r} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, content: str) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Args:
        path: The file, of at most 100 kB.
        content: What it should hold, for messages: "a run's configuration".

    Returns:
        The mapping.

    Raises:
        UserError: It cannot be read, is too large, is not valid YAML, holds something other than a mapping, or has an
            alias, a tag, a key twice or deep nesting.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not {content}: not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(f"{path}: not {content}: larger than {MAX_BYTES // 1000} kB")
        loader = _Loader(data.decode("utf-8-sig"))
        try:
            values = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: not {content}: {where}{shortened(error.problem)}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: impossible dates, long numbers, not UTF-8
        raise UserError(f"{path}: not {content}: {shortened(error)}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        kind = "nothing" if values is None else f"a {type(values).__name__}"
        raise UserError(f"{path}: not {content}: it holds {kind}; expected lines such as 'batch: 64'")
    return values
