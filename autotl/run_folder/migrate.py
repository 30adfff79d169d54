"""Bring a result.json of an earlier schema to the one of today.

Schema 1 (autotl 0.1) held sentences where there are facts now. A sentence becomes a fact of kind "text", which
is shown as it was written.
"""

from __future__ import annotations

from typing import Any

from autotl.records import Kind
from autotl.records.result import ModelIs

__all__ = ["OLDEST", "migrated"]

OLDEST = 1
MODEL_IS = {
    "fitted again on train and select": ModelIs.REFITTED,
    "the checkpoint of its probe, fitted on train": ModelIs.PROBE,
    "not fitted: what lies in the folder is another candidate's": ModelIs.ANOTHER_CANDIDATES,
}
ACTIONS = {"left out": "left_out"}  # others were kept

Json = dict[str, Any]


def migrated(stored: Json) -> Json:
    """Return a stored result of schema 1 as schema 2 has it. The argument is not changed."""
    result = {**stored, "schema_version": 2}
    result.pop("summary", None)  # derived
    result["notes"] = _facts(stored.get("notes"))
    result["data"] = _data(stored["data"])
    result["profile"] = _profile(stored["profile"])
    result["similarity"] = [_similarity(near) for near in stored.get("similarity", ())]
    result["skipped"] = [{**skip, "reason": _fact(skip["reason"])} for skip in stored.get("skipped", ())]
    result["leaderboard"] = [_row(row) for row in stored.get("leaderboard", ())]
    result["trials"] = [_trial(trial) for trial in stored.get("trials", ())]
    result["strategies"] = [_strategy(strategy) for strategy in stored.get("strategies", ())]
    result["options"] = {
        {"memory": "history"}.get(name, name): value for name, value in stored.get("options", {}).items()
    }
    if stored.get("decision"):
        result["decision"] = _decision(stored["decision"])
    if stored.get("winner"):
        winner = stored["winner"]
        result["winner"] = {**winner, "model_is": MODEL_IS.get(winner.get("model_is", ""))}
    if stored.get("ranking"):
        result["ranking"] = _ranking(stored["ranking"])
    return result


def _fact(sentence: str) -> Json:
    return {"kind": Kind.TEXT, "values": {"text": sentence}}


def _facts(sentences: list[str] | None) -> list[Json]:
    return [_fact(sentence) for sentence in sentences or ()]


def _data(data: Json) -> Json:
    split = data.get("split", "")
    return {
        **data,
        "split": [_fact(split)] if split else [],
        "findings": [_finding(finding) for finding in data.get("findings", ())],
    }


def _profile(profile: Json) -> Json:
    return {
        **profile,
        "findings": [_finding(finding) for finding in profile.get("findings", ())],
        "similarity": [_similarity(near) for near in profile.get("similarity", ())],
    }


def _finding(finding: Json) -> Json:
    kept: Json = {name: finding[name] for name in ("count", "where", "certainty") if name in finding}
    action = ACTIONS.get(finding.get("action", ""), "kept")
    return {**_fact(finding["what"]), **kept, "action": action}


def _similarity(near: Json) -> Json:
    return {**near, "level": near["word"]}


def _row(row: Json) -> Json:
    reason = row.get("reason", "")
    return {**row, "facts": [_fact(reason)] if reason else []}


def _strategy(strategy: Json) -> Json:
    """Return a strategy without the number of trials that one of schema 1 would have combined: none did."""
    return {name: value for name, value in strategy.items() if name != "parents"}


def _trial(trial: Json) -> Json:
    note = trial.get("note", "")
    return {**trial, "notes": [_fact(note)] if note else []}


def _decision(decision: Json) -> Json:
    return {
        **decision,
        "expected": decision.get("score"),
        "reasons": _facts(decision.get("reasons")),
        "would_change": _facts(decision.get("would_change")),
    }


def _ranking(ranking: Json) -> Json:
    return {
        **ranking,
        "facts": _facts(ranking.get("notes")),
        "curves": ranking.get("growth", []),
        "weights": ranking.get("believed", []),
    }
