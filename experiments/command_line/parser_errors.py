"""Turn jsonargparse's nested reports into one sentence.

Most mistakes never come here, because `checking` finds them first. What comes is what only the classes
themselves can tell, such as arguments of a class that its source does not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from runtime.errors import nearest

UNKNOWN_KEY = re.compile(
    r"(?:Option|accept option|nested key|Key) ['\"](?P<key>[^'\"]+)['\"](?: is)? not (?:accepted|expected)"
    r"|(?:Option|accept option) '(?P<option>[^']+)'|unrecognized arguments: -*(?P<flag>[\w.]+)"
)
BAD_CLASS = re.compile(r"Problem with given class_path '(?P<path>[^']+)':\s*(?P<reason>.+)")
BAD_VALUE = re.compile(
    r"(?:Parser )?[Kk]ey \"(?P<key>[\w.]+)\":\s*(?:[^\n]*?(?P<reason>Expected [^\n]+?)(?:\.\. Got|\n|$))?"
)
OURS = re.compile(r"(?:There is no key '|The class_path '|The value of ')[^\n]+")
"""A sentence of this file, which a report about an object has inside where it is about a part of it."""
UNION_NOISE = re.compile(r"^\s*- Expected a <class 'NoneType'>.*$", re.MULTILINE)
OF_THE_LIBRARY = ("Union subtypes", "NestedArg", "Namespace(")
"""Words of jsonargparse that tell a user nothing."""


def explain(message: str, keys: Iterable[str]) -> str:
    """One sentence for a parser's report.

    Args:
        message: what jsonargparse says, usually over several lines.
        keys: every key of the parser itself.
    """
    message = UNION_NOISE.sub("", message)
    if found := OURS.search(message):
        return found[0]
    if found := UNKNOWN_KEY.search(message):
        key = found["key"] or found["option"] or found["flag"]
        leaves = {name.rpartition(".")[2] for name in keys}
        return f"There is no key '{key}'.{nearest(key.rpartition('.')[2], leaves)}"
    if found := BAD_CLASS.search(message):
        return f"The class_path '{found['path']}' cannot be used: {_flat(found['reason'])}."
    found = BAD_VALUE.search(message)
    if found and (found["reason"] or any(word in message for word in OF_THE_LIBRARY)):
        reason = found["reason"] or "it is of none of the types that this key takes"
        return f"The value of '{found['key']}' is wrong: {_flat(reason)}."
    return f"The configuration is wrong: {_flat(message)}."


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" .")
