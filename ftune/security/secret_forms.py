"""What a secret looks like by itself, wherever it stands."""

from __future__ import annotations

import re

HIDDEN = "***"

_VALUE = r"[^\s\"',;&(){}\[\]<>$*]"
_REFERENCE = r"\$\{oc\.env:\w+\}"
_OPAQUE = r"(?=[^\s\"']*\d)"  # prose after `Bearer` or `sk-` has no digits

_FORMS = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*KEY[A-Z ]*-----|\Z)",
    r"\b(?:hf|api_org)_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{20,}",
    r"\bsk-" + _OPAQUE + r"[\w-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_\w{20,}",
    r"\bglpat-[\w-]{16,}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bpypi-[\w-]{40,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bAIza[\w-]{35}",
    r"\bxox[abeoprs]-[\w-]{10,}",
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?",
)
# Each keeps its first group: what stands before the secret, and says which one it was.
_AFTER = (
    r"(\b[A-Za-z][A-Za-z0-9+.-]*://)(?!(?:" + _REFERENCE + r"|[^\s/@:\"'<>]*):" + _REFERENCE + "@)"
    r"(?:" + _REFERENCE + r"|[^\s/@:\"'<>]*):[^\s/\"'<>]+(?=@)",
    r"((?i:\bBearer|\bBasic) )" + _OPAQUE + r"[A-Za-z0-9._~+/=-]{12,}",
    r"((?<=[?&])(?i:token|key|api_?key|sig|signature|X-Amz-\w+)=)" + _VALUE + "{8,}",
    r"((?i:\b(?:\w+[_.-])?(?:pass(?:word|wd|phrase)|secret|api[_-]?key|(?:access|secret|private)"
    r"[_-]?key|(?:access|auth|api|hub|hf)[_-]token))=[\"']?)" + _VALUE + "{4,}",
    r"((?i:[\"'](?:\w+[_.-])?(?:password|passwd|passphrase|secret|api[_-]?key)[\"']: ?[\"']))"
    r"[^\"'$*]{4,}(?=[\"'])",
)
_FORM = re.compile("|".join(_FORMS), re.S)
_PREFIXED = tuple(re.compile(pattern) for pattern in _AFTER)


def hide_forms(text: str) -> str:
    """Without private keys, tokens of well-known forms, and passwords in URLs or assignments."""
    text = _FORM.sub(HIDDEN, text)
    for pattern in _PREFIXED:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text
