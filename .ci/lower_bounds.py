"""lower_bounds.py PYPROJECT: every dependency of a project at its declared lower bound, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)(?:,|$)")

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
requirements = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
for requirement in requirements:
    found = REQUIREMENT.match(requirement)
    if found is None:
        sys.exit(f"{sys.argv[1]}: {requirement}: no lower bound as in NAME>=1.2.3,<4")
    print(f"{found[1]}=={found[2]}")
