"""Keyword arguments as options of the program: ``net_resolution="-1x256"`` is ``--net-resolution=-1x256``."""

from __future__ import annotations

import difflib
from typing import Any, Mapping

from . import _native
from ._errors import OptionsError


def to_arguments(options: Mapping[str, Any]) -> list[str]:
    """What would be typed for these options. ``None`` and ``False`` leave an option away."""
    known = _native.option_names()
    arguments = []
    for name, value in options.items():
        if name not in known:
            similar = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {similar[0]}" if similar else ""
            raise OptionsError(f"there is no option {name}{hint}; `oppose-native --help` lists all")
        flag = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif isinstance(value, Mapping):
            arguments.append(f"{flag}=" + ",".join(f"{key}={item}" for key, item in value.items()))
        elif isinstance(value, (list, tuple)):
            arguments.append(f"{flag}=" + ",".join(map(str, value)))
        elif value is not None and value is not False:
            arguments.append(f"{flag}={value}")
    return arguments
