"""What the keys of a job stand for where nothing is said, by their dotted names.

Read off the types of the sections: a key that is new in this version means its default in stores that do not have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import msgspec


def defaults(model: type[msgspec.Struct], of_kind: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a section and, under dotted names, of the sections in it, as JSON-like data.

    `of_kind` has those that a job kind lays over its types. Keys that must be given have none.
    """
    found: dict[str, Any] = {}
    hints = get_type_hints(model)
    for field in msgspec.structs.fields(model):
        key = field.encode_name
        if field.default_factory is not msgspec.NODEFAULT:
            found[key] = _plain(field.default_factory())
        elif field.default is not msgspec.NODEFAULT:
            found[key] = _plain(field.default)
        stated = of_kind.get(key, {})
        if key in of_kind and not isinstance(stated, Mapping):
            found[key] = _plain(stated)

        # An optional section has a default of its own, and its keys have theirs.
        for part in (hints[key], *get_args(hints[key])):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                inner = stated if isinstance(stated, Mapping) else {}
                found |= {f"{key}.{name}": value for name, value in defaults(part, inner).items()}
    return found


def _plain(value: Any) -> Any:
    """A value as it comes back from a store."""
    return msgspec.json.decode(msgspec.json.encode(value))
