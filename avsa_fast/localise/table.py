"""The table of a localised video: one row per moment and object, and one per moment for the map's maximum."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from avsa_fast.maps.grid import peak_direction, value_at

from .moments import Moment

SCHEMA = pa.schema(
    {
        "time": pa.float64(),  # seconds from the start of the clip
        "object": pa.string(),  # class and track, such as "dog 3"; null: the map's maximum
        "class": pa.string(),
        "track": pa.int32(),  # identifies an object over time
        "azimuth": pa.float32(),  # where the object is, or the map's maximum, radians
        "elevation": pa.float32(),
        "score": pa.float32(),  # how much the object sounds, or the map's maximum
        "peak_azimuth": pa.float32(),  # maximum of the object's own map, or of the energy, radians
        "peak_elevation": pa.float32(),
    }
)


def moments_table(moments: Iterable[Moment]) -> pa.Table:
    """Returns the rows of moments.

    Args:
        moments: The moments.
    """
    rows: list[dict[str, Any]] = []
    for moment in moments:
        azimuth, elevation = peak_direction(moment.heat)
        peak = {"peak_azimuth": azimuth, "peak_elevation": elevation}
        value = value_at(moment.heat, (azimuth, elevation))
        rows.append({"time": moment.time, "azimuth": azimuth, "elevation": elevation, "score": value, **peak})
        rows += [
            {
                "time": moment.time,
                "object": f"{each.box.label} {each.track}",
                "class": each.box.label,
                "track": each.track,
                "azimuth": each.box.azimuth,
                "elevation": each.box.elevation,
                "score": each.score,
                "peak_azimuth": each.peak[0],
                "peak_elevation": each.peak[1],
            }
            for each in moment.objects
        ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
