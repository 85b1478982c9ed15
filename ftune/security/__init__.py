"""Secrets stay out of what is written: `redact` for text, `redact_tree` for plain values.

Hidden are well-known forms of tokens, passwords in URLs, values under keys such as `password`,
values of environment variables such as HF_TOKEN, and what a configuration read by ${oc.env:NAME}.
"""
