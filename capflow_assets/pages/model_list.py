"""All models in words, as ``docs/models.md`` lists them: what each asks, of whom, from what, and how it is judged.

Everything is read of the models' own files, so that the list cannot say anything else than they do; what they showed
on customers is that of the benchmark's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Model, Needs, Rule
from capflow_assets.learning.measures import MEASURES
from capflow_assets.pages.model_figures import figures_of

HEAD = """# The models

Each is one file in `capflow_assets/models/`. This list is made of them by `make models`; a test holds it to them.
What a model needs is the least with which it is trained; who has less is told what is missing. Baselines answer, as the
rule, until a model is better than they are. Times are in local days of the customer. Figures are those of
[bench/models.md](../bench/models.md), with intervals of 95 %; a model without them was not ready for any customer
there, or not judged, and that page says why.
"""
SHAPES = {
    "score": "a score",
    "list": "a ranked list",
    "series": "a series",
    "vector": "a vector",
}
BETTER = {
    "better": "promoted where the whole interval of the difference to the baseline is above zero",
    "not worse": "promoted where it is not surely worse than the baseline",
}
OTHERWISE = {"keep": "else it is not promoted", "ask": "else a person is asked", "tell": "told and no more"}


def model_list(stages: Stages, bench_page: str) -> str:
    """The text of the list, in Markdown: an entry for each model, by name; figures are those of ``bench/models.md``."""
    figures = figures_of(bench_page)
    entries = [_entry(spec, figures.get(name, [])) for name, spec in sorted(stages.models.items())]
    return "\n".join([HEAD, f"There are {len(entries)}.", *entries, ""])


def _entry(spec: ModelSpec, figures: Sequence[str]) -> str:
    model = spec.model
    lines = {
        "About": f"{_article(model.subject.name)}; answers {_answer(model)}",
        "Family": model.family + (f" (objective: {model.objective})" if model.objective else ""),
        "Needs": _needs(model.needs),
        "Reads": _names(model.tables),
        "Candidates": ", ".join(candidate.name for candidate in model.challengers),
        "Baseline": model.baseline.name,
        "Metric": f"`{model.metric.name}`. {model.metric.description} {BETTER[model.beats].capitalize()}. "
        f"Judged on fewer than {model.least_judged}, a person is asked.",
        "Rules": "; ".join(_rule(rule) for rule in model.rules),
        "Figures": "; ".join(figures),
        "Source": f"[{spec.name}.py](../{spec.module.__name__.replace('.', '/')}.py)",
    }
    bullets = [f"- **{name}**: {text}" for name, text in lines.items() if text]
    return "\n".join(["", f"## `{spec.name}`", "", model.question, "", *bullets])


def _article(noun: str) -> str:
    """The noun of a subject with its article.

    >>> _article("item"), _article("user and campaign")
    ('an item', 'a user and campaign')
    """
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _answer(model: Model[Any]) -> str:
    per = f" by {', '.join(model.answer.per)}" if model.answer.per else ""
    return SHAPES[model.answer.shape] + per


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _needs(needs: Needs) -> str:
    """The tables, the days and the counts that a model asks for."""
    counts = {"days of history": needs.history_days, "users": needs.users, "users with the outcome": needs.positives}
    words = [f"{count:,} {name}" for name, count in counts.items() if count]
    words += [f"{least:,g} {MEASURES[name].words}" for name, least in needs.evidence.items()]
    return ", ".join([_names(needs.tables), *words])


def _rule(rule: Rule) -> str:
    """A rule as a reader wants it: the figure, its bounds, and what happens out of them."""
    bounds = [
        f"at {end} {bound:g}"
        for end, bound in (("least", rule.at_least), ("most", rule.at_most))
        if abs(bound) != float("inf")
    ]
    return f"{' '.join([rule.words, *[' and '.join(bounds)] * bool(bounds)])}, {OTHERWISE[rule.otherwise]}"
