"""What is drawn while work takes long: on a terminal, and only when it really does."""

import io
import time

import pytest

from hil.cli import bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def until(shown: io.StringIO, word: str) -> bool:
    """Whether the word comes; a machine that is busy with other things has a minute for it."""
    give_up = time.monotonic() + 60
    while word not in shown.getvalue() and time.monotonic() < give_up:
        time.sleep(0.01)
    return word in shown.getvalue()


def test_work_that_cannot_say_how_far_it_is_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr(bar, "PATIENCE_S", 0.0)
    with bar.busy("planning"):
        assert until(shown, "planning")


def test_short_work_and_work_without_a_terminal_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, file = Terminal(), io.StringIO()
    for stream, patience_s in ((shown, 3600.0), (file, 0.0)):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr(bar, "PATIENCE_S", patience_s)
        with bar.busy("planning"):
            pass
    assert "planning" not in shown.getvalue() + file.getvalue()


def test_a_bar_comes_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr(bar, "PATIENCE_S", -1.0)
    with bar.Bar("reading") as progress:
        progress(0.5)
        assert until(shown, "reading")
