"""`autotl check` finds the cause in every broken plugin of the zoo, and calls a broken hook no third time."""

from __future__ import annotations

from collections import Counter

import pytest
import zoo

from autotl import testing
from autotl.plugins import sandbox
from autotl.plugins.manager import load_plugins


@pytest.mark.parametrize("name", zoo.ANIMALS)
def test_the_check_names_the_cause(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 0.3)
    animal = zoo.ANIMALS[name]
    calls: Counter[str] = Counter()

    def counted(hook: str, function: object) -> object:
        mark = getattr(function, "autotl_impl", None)
        if mark is None or mark["wrapper"] or hook in {"load_dataset", "on_event"}:
            return function
        source = "lambda {0}: (calls.update([hook]), function({0}))[1]"
        names = ", ".join(function.__code__.co_varnames[: function.__code__.co_argcount])  # type: ignore[attr-defined]
        wrapped = eval(source.format(names), {"calls": calls, "hook": hook, "function": function})
        wrapped.autotl_impl = mark
        return wrapped

    plugin = animal.plugin(name)
    for hook, function in list(vars(plugin).items()):
        setattr(plugin, hook, counted(hook, function))
    limit = 1.0 if "hangs" in name else 60.0
    failed = [outcome for outcome in testing.outcomes(plugin, limit) if outcome.status == "failed"]
    assert any(animal.check in outcome.message for outcome in failed), failed
    broken = {problem.hook for problem in load_plugins({name: animal.plugin(name)}, installed=False).problems}
    for hook in broken:
        assert calls[hook] <= 2
