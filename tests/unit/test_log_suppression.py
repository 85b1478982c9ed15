"""Other libraries are silent within the block, and as before after it."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from ftune.log_suppression import quiet


def speak() -> None:
    sys.stderr.write("progress")
    logging.getLogger("a_library").error("log")


@pytest.mark.filterwarnings("error")
def test_what_libraries_print_is_suppressed(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with quiet():
        speak()
        warnings.warn("warning", stacklevel=1)
    assert capsys.readouterr().err == "" and caplog.messages == []
    speak()
    assert "progress" in capsys.readouterr().err and caplog.messages == ["log"], "control"
    with pytest.raises(UserWarning):
        warnings.warn("warning", stacklevel=1)


def test_an_error_ends_the_suppression() -> None:
    disabled = logging.root.manager.disable
    with pytest.raises(ValueError, match="burst"), quiet():
        raise ValueError("burst")
    assert logging.root.manager.disable == disabled
