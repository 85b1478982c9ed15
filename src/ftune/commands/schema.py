"""`ftune schema`: the whole language as JSON schema, or one key in words."""

from __future__ import annotations

import json

from ftune.config.document import accepts, explain, find, json_schema
from ftune.config.explain import key_homes
from ftune.config.spelling import suggestion
from ftune.console import Console
from ftune.errors import RequestError
from ftune.schema import RunConfig


def schema(key: str | None, console: Console) -> None:
    """Prints it. Raises RequestError for a key that does not exist, with the nearest."""
    if key is None:
        console.say(json.dumps(json_schema(RunConfig), indent=2))
        return
    found = find(RunConfig, key)
    if not found:
        last = key.rpartition(".")[2]
        raise RequestError(f"no setting `{key}`; {suggestion(last, key_homes(RunConfig))}")
    for path, setting in found:
        console.say(path)
        console.say(f"  {' '.join(setting.doc.split())}")
        console.say(f"  accepts: {accepts(setting)}")
        console.say(f"  {explain(setting).rpartition('; ')[2].rstrip(')')}")
