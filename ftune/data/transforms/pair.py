"""Settings that are one number or two."""

from __future__ import annotations

from typing import Any

from ftune.config.read import SettingError


def pair(value: Any) -> tuple[Any, Any]:
    """One number for both, or both."""
    return (value[0], value[1]) if isinstance(value, list | tuple) else (value, value)


def check_pair(name: str, value: Any) -> None:
    if isinstance(value, list) and len(value) != 2:
        raise SettingError(name, f"{value}: expected one number, or [height, width]")


def check_range(name: str, value: list[float]) -> None:
    if len(value) != 2 or value[0] > value[1]:
        raise SettingError(name, f"{value}: expected [smallest, largest]")
