"""Which recordings teach and which judge, what is answered of those that cannot be heard, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.call_estimators import CallIntentParams, LinearCepstra, SpokenNets
from capflow_assets.learning.call_labels import MEDIA, SOUNDS, labelled_recordings, learned_recordings
from capflow_assets.models.call_intent import by_recording, calibration_error, known, outcome
from capflow_assets.raw.media import TABLE
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT = datetime(2024, 6, 30, tzinfo=UTC)
MONTH = timedelta(days=30)
PARAMS = CallIntentParams(horizon_days=30, nets=1, epochs=10, channels=8, folds=2)
WINDOW = (AT, AT + MONTH, "UTC")


def recording(name: str, days: int | None, intent: str | None = "order", **more: Any) -> dict[str, Any]:
    when = None if days is None else AT - timedelta(days=days)
    return {"media_id": name, "path": f"/{name}", "kind": "audio", "intent": intent, "modified_at": when, **more}


def test_the_newest_labelled_recordings_judge(spark: SparkSession) -> None:
    rows = (
        recording("a1", 40, speaker="ana"),
        recording("a2", 3, "complaint", speaker="ana"),
        recording("b1", 3, " order ", user_id="bea"),
        recording("c1", 0),
        recording("timeless", None),
        recording("none", 3, None),
        recording("blank", 3, " "),
        recording("later", -1),
        recording("picture", 3, kind="image"),
    )
    frame = frame_of(spark, TABLE, rows)
    judged = [("a2", "complaint", 1.0), ("b1", "order", 1.0), ("c1", "order", 1.0)]
    assert sorted(rows_of(outcome(frame, *WINDOW), "media_id", "intent", "said")) == judged
    speakers = dict(rows_of(labelled_recordings(frame), "media_id", "speaker"))
    assert (speakers["a1"], speakers["b1"], speakers["c1"]) == ("ana", "bea", "c1")
    names = {row[0] for row in rows_of(known(frame, AT), "media_id")}
    assert names == {"a1", "a2", "b1", "c1", "timeless", "none", "blank"}


def examples(
    count: int = 48, days: int = 60, intents: tuple[str, ...] = ("order", "complaint"), **sound: Any
) -> Examples:
    """Recordings whose cepstra and spectrograms tell their intent, each voice with one of each."""
    random = np.random.default_rng(3)
    place = np.arange(count) % len(intents)
    bands = np.linspace(-1, 1, 48 * 40).reshape(48, 40)
    shapes = [np.where(of, bands, bands[::-1]).ravel() + 0.1 * random.normal(size=48 * 40) for of in place]
    ids = [f"m{number:03d}" for number in range(count)]
    sounds = pd.DataFrame(
        {
            "media_id": ids,
            "user_id": None,
            "set_aside": None,
            "log_mel": [shape.tolist() for shape in shapes],
            "cepstrum": [(random.normal(size=40) + 3 * of).tolist() for of in place],
            "encoder": "log-mel/2",
            **sound,
        }
    )
    media = pd.DataFrame(
        {
            "media_id": ids,
            "intent": [intents[of] for of in place],
            "speaker": [f"v{number // 4}" for number in range(count)],
            "modified_at": AT - timedelta(days=days),
        }
    )
    return Examples(
        pd.DataFrame(index=pd.Index(ids, name="media_id")), None, {SOUNDS: (sounds,), MEDIA: (media,)}, (AT,)
    )


@pytest.mark.parametrize("kind", [SpokenNets, LinearCepstra])
def test_what_cannot_be_heard_is_unsure_and_says_why(kind: Any) -> None:
    subjects = examples()
    silent = subjects.tables[SOUNDS][0].copy()
    silent.loc[0, "set_aside"] = "is silent"
    silent.at[0, "log_mel"], silent.at[0, "cepstrum"] = [], []
    gone = pd.concat([subjects.columns, pd.DataFrame(index=pd.Index(["gone"], name="media_id"))])
    subjects = Examples(gone, None, {**subjects.tables, SOUNDS: (silent,)}, subjects.moments)
    answers = kind(PARAMS).fit(subjects).predict(subjects)
    assert answers.loc[["m000", "gone"], "intent"].tolist() == ["unsure", "unsure"]
    assert answers.loc[["m000", "gone"], "reasons"].tolist() == ["not heard: is silent", "not heard: no file"]
    assert answers["score"].between(0.5, 1).all()
    rest = answers.iloc[1:-1]
    assert (rest["likeliest"].to_numpy() == np.array(["complaint", "order"] * 24)[: len(rest)]).mean() > 0.9


def test_voices_that_judge_do_not_teach_where_enough_others_do() -> None:
    subjects = examples()
    media = subjects.tables[MEDIA][0].copy()
    # The voices v0 and v1, with four recordings each, speak once of late.
    media.loc[[0, 4], "modified_at"] = AT
    apart = Examples(subjects.columns, None, {**subjects.tables, MEDIA: (media,)}, subjects.moments)
    assert set(learned_recordings(apart, 30)["speaker"]) == {f"v{number}" for number in range(2, 12)}
    # Where all of them do, what is older teaches all the same.
    media.loc[range(0, 48, 4), "modified_at"] = AT
    all_of_late = Examples(subjects.columns, None, {**subjects.tables, MEDIA: (media,)}, subjects.moments)
    assert len(learned_recordings(all_of_late, 30)) == 36


def test_an_answer_is_named_only_where_it_is_likely_enough() -> None:
    subjects = examples()
    answers = LinearCepstra(PARAMS.model_copy(update={"least_chance": 1.0})).fit(subjects).predict(subjects)
    assert (answers["intent"] == "unsure").sum() > 40
    assert set(answers["likeliest"]) == {"order", "complaint"}


# Each of the five voices that teach is kept out once.
KEPT_OUT = PARAMS.model_copy(update={"folds": 5})
INTENTS = np.array(["complaint", "order", "return"])


def voices(seed: int) -> tuple[Examples, np.ndarray, np.ndarray]:
    """Forty recordings of each of 25 voices, who add much of their own to what tells the intents, some more than
    others; those of the first five are labelled. And which those are, and the intent of each recording.
    """
    random = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(25), 40)
    classes = random.integers(0, 3, len(speakers))
    own = random.normal(size=(25, 40)) * random.uniform(0.3, 0.6, (25, 1))
    cepstra = np.eye(3, 40)[classes] * 1.5 + own[speakers] + random.normal(size=(len(speakers), 40))
    ids = [f"m{number:04d}" for number in range(len(classes))]
    sounds = pd.DataFrame({"media_id": ids, "cepstrum": cepstra.tolist(), "log_mel": [[]] * len(ids)})
    media = pd.DataFrame(
        {
            "media_id": ids,
            "intent": np.where(speakers < 5, INTENTS[classes], None),
            "speaker": [f"v{speaker}" for speaker in speakers],
            "modified_at": AT - 2 * MONTH,
        }
    )
    tables = {SOUNDS: (sounds.assign(user_id=None, set_aside=None, encoder="log-mel/2"),), MEDIA: (media,)}
    return Examples(pd.DataFrame(index=pd.Index(ids, name="media_id")), None, tables, (AT,)), speakers < 5, classes


def test_chances_are_honest_for_voices_that_were_never_heard() -> None:
    errors = []
    for seed in range(4):
        subjects, is_known, classes = voices(seed)
        new = LinearCepstra(KEPT_OUT).fit(subjects).predict(subjects)[~is_known]
        errors.append(abs((new["likeliest"] == INTENTS[classes[~is_known]]).mean() - new["score"].mean()))
    assert np.mean(errors) < 0.08


def test_how_sure_chances_are_is_learned_on_each_voice_so_that_lots_decide_nothing() -> None:
    subjects, _, _ = voices(0)
    fits = [LinearCepstra(KEPT_OUT.model_copy(update={"seed": seed})).fit(subjects) for seed in range(4)]
    assert len({fit.parameters()["sharpness"] for fit in fits}) == 1


@pytest.mark.parametrize("kind", [SpokenNets, LinearCepstra])
@pytest.mark.parametrize(
    "harm",
    [{"intents": ("order",)}, {"days": 3}, {"count": 12}, {"set_aside": "is silent"}],
    ids=["one class", "all new", "few", "silent"],
)
def test_too_little_to_learn_from_is_reported(kind: Any, harm: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError, match="too few labelled recordings"):
        kind(PARAMS).fit(examples(**harm))


def test_what_was_heard_otherwise_is_refused() -> None:
    fitted = LinearCepstra(PARAMS).fit(examples())
    with pytest.raises(ModelError, match="train call_intent again"):
        fitted.predict(examples(encoder="log-mel/1"))


def test_accuracy_and_calibration_by_hand() -> None:
    index = pd.Index(list("abcd"), name="media_id")
    outcomes = pd.DataFrame({"intent": ["x", "y", "x", "y"], "said": 1.0}, index=index)
    answers = pd.DataFrame({"likeliest": ["x", "x", "x", "y"], "score": 0.75}, index=index)
    assert by_recording(outcomes.iloc[::-1], answers)["value"].tolist() == [1, 0, 1, 1]
    # Three of four are right where 75 % are promised. Each row is a bin: |0.75 - 1| or |0.75 - 0|, 0.375 on average,
    # and by chance 2 x 0.75 x 0.25 = 0.375, which is drawn by lots.
    assert calibration_error(outcomes, answers) == pytest.approx(0, abs=0.05)
