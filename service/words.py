"""Sentences of an explanation; each says only what was counted or measured."""

from __future__ import annotations

from collections.abc import Sequence

from service.api.explanation import ReasonKind

SURE = 0.5
"""Probability from which on a code is 'settled on' and not 'leaned towards'."""

_REASONS: dict[ReasonKind, str] = {
    "rests_on": "rests most on",
    "repeat": "is in the history already",
    "follows": "often follows",
    "similar": "is like",
    "reasoned": "moved up while reasoning",
    "fits": "fits the history as a whole",
    "popular": "popular with everyone",
}


def joined(names: Sequence[str]) -> str:
    """“A”, or “A” and “B”, of at least one name."""
    return f"“{'” and “'.join(names)}”"


def of_reason(kind: ReasonKind, named: Sequence[str]) -> str:
    """Why one item is there; `named` are the items of the history that it is owed to, if any."""
    return f"{_REASONS[kind]} {joined(named)}" if named else _REASONS[kind]


def of_answer(steps: int, items: int, history: int, mattered: Sequence[str]) -> str:
    """The whole answer in one sentence.

    Args:
        steps: recorded steps, with step 0; 0 where no model was asked.
        items: recommended items.
        history: distinct items of the history.
        mattered: names of the history items that it rests on most.
    """
    if not items:
        return "No item may be recommended under these conditions."
    if not steps:
        return "Nothing is known of this visitor, so these are the items that are popular with all."
    thought = "At first sight" if steps == 1 else f"After {_count(steps - 1, 'step')} of thinking"
    if history == 1:
        return f"{thought}, everything rests on the only item of the history."
    if mattered:
        return f"{thought}, the answer rests most on {joined(mattered)}."
    return f"{thought}, no single item of the history decides the answer."


def of_step(
    number: int,
    code: tuple[str, float] | None,
    decided: Sequence[str],
    leader: str,
    rose_from: int | None,
) -> str:
    """One step.

    Args:
        number: of the step; 0 is the first impression.
        code: label and probability of the code written.
        decided: names of the history items that made this code likelier; at step 0, this ranking.
        leader: name of the item on top after the step.
        rose_from: its rank before, where it was another.
    """
    if code is None:
        because = f", most of all because of {joined(decided)}" if decided else ""
        return f"At first sight “{leader}” comes first{because}."
    label, probability = code
    after = f"After {joined(decided)}, step" if decided else "Step"
    verb = "settled on" if probability >= SURE else "leaned towards"
    if rose_from is None:
        then = f"“{leader}” stays first"
    else:
        then = f"“{leader}” moves from rank {rose_from} to the top"
    return f"{after} {number} {verb} {label} ({probability:.0%}); {then}."


def of_item(path: Sequence[int], turn: tuple[int, str] | None, fall: tuple[str, int] | None) -> str:
    """How one item came to its place.

    Args:
        path: its rank after each step.
        turn: the step that lifted it most and the label that was written in it.
        fall: the history item that it rests on most and its rank without that item.
    """
    first, last = path[0], path[-1]
    if len(path) == 1:
        way = f"Ranked {last} at first sight"
    elif first == last:
        way = f"Ranked {last} at first sight and after thinking"
    else:
        way = f"{'Rose' if last < first else 'Fell'} from rank {first} to {last} while thinking"
    if turn is not None:
        way += f", most of it in step {turn[0]} ({turn[1]})"
    if fall is None:
        return f"{way}."
    name, rank = fall
    without = (
        f"it would be at rank {rank}"
        if rank != last
        else f"it would still be at rank {rank}, less surely"
    )
    return f"{way}. Without “{name}” {without}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
