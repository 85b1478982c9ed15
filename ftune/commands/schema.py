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
    """Print the JSON schema or one key. Raises RequestError for an unknown key."""
    if key is None:
        console.info(json.dumps(json_schema(RunConfig), indent=2))
        return
    settings, known = find(RunConfig, key), variants(RunConfig)
    chosen = {place: variant for place, variant in known.items() if _is_called(place, key)}
    for place, variant in chosen.items():
        console.info(place)
        console.info(f"  {' '.join((variant.__doc__ or '').split())}")
        settings += [(f"{place}.{name}", setting) for name, setting in settings_of(variant).items()]
    if not settings and not chosen:
        last = key.rpartition(".")[2]
        names = {place.rpartition("(")[2].rstrip(")") for place in known}
        hint = suggestion(last, {*key_homes(RunConfig), *names})
        raise RequestError(f"no setting `{key}`; {hint}")
    for path, setting in settings:
        console.info(path)
        console.info(f"  {' '.join(setting.doc.split())}")
        console.info(f"  accepts: {accepts(setting)}")
        console.info(f"  {explain(setting).rpartition('; ')[2].rstrip(')')}")


def _is_called(place: str, key: str) -> bool:
    """Tell whether `key` names the variant at `data.transforms(tokenize)`: shortly or in full."""
    dotted = place.replace("(", ".").replace(")", "")
    return key in (dotted, dotted.rpartition(".")[2])
