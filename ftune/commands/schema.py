"""`ftune schema`: the whole language as JSON schema, or one key or variant in words."""

from __future__ import annotations

import json

from ftune.config.document import accepts, explain, find, json_schema, variants
from ftune.config.explain import key_homes
from ftune.config.fields import settings_of
from ftune.config.spelling import suggestion
from ftune.console import Console
from ftune.errors import RequestError
from ftune.schema.root import RunConfig


def schema(key: str | None, console: Console) -> None:
    """Prints it. Raises RequestError for a key that does not exist, with the nearest."""
    if key is None:
        console.say(json.dumps(json_schema(RunConfig), indent=2))
        return
    found, known = find(RunConfig, key), variants(RunConfig)
    chosen = {place: variant for place, variant in known.items() if _is_called(place, key)}
    for place, variant in chosen.items():
        console.say(place)
        console.say(f"  {' '.join((variant.__doc__ or '').split())}")
        found += [(f"{place}.{name}", setting) for name, setting in settings_of(variant).items()]
    if not found and not chosen:
        last = key.rpartition(".")[2]
        names = {place.rpartition("(")[2].rstrip(")") for place in known}
        hint = suggestion(last, {*key_homes(RunConfig), *names})
        raise RequestError(f"no setting `{key}`; {hint}")
    for path, setting in found:
        console.say(path)
        console.say(f"  {' '.join(setting.doc.split())}")
        console.say(f"  accepts: {accepts(setting)}")
        console.say(f"  {explain(setting).rpartition('; ')[2].rstrip(')')}")


def _is_called(place: str, key: str) -> bool:
    """Whether a variant's place, `data.transforms(tokenize)`, is meant by `tokenize` or in full."""
    dotted = place.replace("(", ".").replace(")", "")
    return key in (dotted, dotted.rpartition(".")[2])
