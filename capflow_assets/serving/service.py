"""Answering a request: each subject by the first rung that has an answer, and one version for all that is live.

A stored answer of the present champion that holds is what the night would say again, so it comes first. Live answers
are for features that are given, for a champion that is newer than the night, and for users whom the night did not know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.deployment import Deployment
from capflow_assets.errors import listed
from capflow_assets.learning.online.scorers import Scorer
from capflow_assets.learning.online.visit_lists import VisitLists
from capflow_assets.serving import ladder
from capflow_assets.serving.champion_watch import ChampionWatch
from capflow_assets.serving.declared import Declared, DeclaredCustomers
from capflow_assets.serving.feature_rows import feature_row
from capflow_assets.serving.histories import HISTORIES, follows_visits
from capflow_assets.serving.ladder import LAST_GOOD, LIVE, Lifetime
from capflow_assets.serving.live_lists import live_lists
from capflow_assets.serving.loading import explained, load_scorer, why_not_live
from capflow_assets.serving.lookups import LooksUp, Lookups, StoredBlob, features_of
from capflow_assets.serving.problems import ProblemError, not_there
from capflow_assets.serving.requests import AnswerRequest, Query, require_features
from capflow_assets.serving.scorer_cache import DEFAULT_BOUND_BYTES, Key, LoadedScorer, NightOnly, ScorerCache
from capflow_assets.serving.server_lookups import ServerLookups
from capflow_assets.serving.tokens import ServedCustomers
from capflow_assets.serving.version_columns import VersionColumns
from capflow_assets.stores.answer_store import ANSWERS, FEATURES, StoredTable
from capflow_assets.stores.answer_stores import server_of
from capflow_assets.stores.registry import Registry

if TYPE_CHECKING:
    import numpy as np

ID = "user_id"
NOTHING = StoredBlob(None)
# By place of the query.
LiveAnswers = dict[int, dict[str, Any]]
LOG = logging.getLogger("capflow.serving")


@dataclass(frozen=True, slots=True)
class Served:
    """One customer's model as one request sees it, read once: store, champion, settings and moment do not change."""

    customer: str
    spec: ModelSpec
    stored: StoredTable | None
    features: StoredTable | None
    champion: int | None
    life: Lifetime
    declared: Declared

    @property
    def model(self) -> str:
        """The model's name."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One request, and what is looked up for it, by place of the query: the stored row, and features where needed.

    ``features`` has a user's features by name, None where there are none, and whether that is certain.
    """

    served: Served
    request: AnswerRequest
    stored: Sequence[StoredBlob]
    features: Mapping[int, tuple[dict[str, float] | None, bool]]


@dataclass(slots=True)
class Service:
    """Everything that answers in one process."""

    deployment: Deployment
    bound_bytes: int = DEFAULT_BOUND_BYTES
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    lookups: LooksUp = field(init=False)
    watch: ChampionWatch = field(init=False)
    cache: ScorerCache = field(init=False)
    declared: DeclaredCustomers = field(init=False)
    # By model why it answers by id alone; empty where features can be given.
    not_live: dict[str, str] = field(init=False)
    version_columns: VersionColumns = field(init=False)
    # The models whose lists may follow from a basket in hand.
    by_visits: frozenset[str] = field(init=False)
    # Who is served now.
    customers: ServedCustomers = field(init=False)

    def __post_init__(self) -> None:
        home, stages = self.deployment.home, self.deployment.stages
        server = server_of(home, for_looking_up=True)
        self.customers = ServedCustomers(home)
        self.lookups = Lookups(home) if server is None else ServerLookups(server, self.customers)
        self.not_live = {name: why_not_live(spec, stages) for name, spec in stages.models.items()}
        self.version_columns = VersionColumns(lambda: self.registry)
        self.by_visits = frozenset(name for name, spec in stages.models.items() if follows_visits(spec))
        self.declared = DeclaredCustomers(self.deployment)
        self.watch = ChampionWatch(self.deployment.registry, self.customers)
        self.cache = ScorerCache(self._load, self.bound_bytes)

    @property
    def registry(self) -> Registry:
        """The registry as of the last look, which answers while MLflow is down."""
        return self.watch.known or self.deployment.registry

    def served(self, customer: str, model: str) -> Served:
        """A customer's model, as it is now.

        Raises:
            ProblemError: there is no such model, or the customer does not have it.
        """
        spec, declared = self.deployment.stages.models.get(model), self.declared.of(customer)
        if spec is None or model not in declared.models:
            raise not_there()
        tables = self.lookups.tables(customer)
        life = Lifetime(self.clock(), declared.settings.valid_hours)
        champion = self.watch.champion(customer, model)
        return Served(customer, spec, tables.get(f"{ANSWERS}{model}"), tables.get(FEATURES), champion, life, declared)

    async def scorer(self, served: Served) -> LoadedScorer | None:
        """The version that answers live; None where none can."""
        if (self.not_live[served.model] and served.model not in self.by_visits) or served.champion is None:
            return None
        loaded = await self.cache.get((served.customer, served.model, served.champion))
        return None if loaded is None or isinstance(loaded.scorer, NightOnly) else loaded

    async def columns(self, served: Served) -> tuple[str, ...]:
        """The features that a model takes: those its champion was trained on; none where it takes no features."""
        if self.not_live[served.model]:
            return ()
        if served.champion is None:
            return tuple(dict.fromkeys(served.spec.model.columns))
        key = served.customer, served.model, served.champion
        loaded = self.cache.ready(key) if key in self.cache else None
        if loaded is not None and isinstance(loaded.scorer, Scorer):
            return loaded.scorer.columns
        return await asyncio.to_thread(self.version_columns.of, key, served.spec.model.columns)

    async def answers(self, served: Served, request: AnswerRequest) -> list[dict[str, Any]]:
        """One answer a query, in their order; a query that nothing can be said to has a ``problem`` instead.

        Raises:
            ProblemError: 422 for features that the model does not read; 503 where it has answered for nobody yet.
        """
        if (reason := self.not_live[served.model]) and any(query.features for query in request.queries):
            able = listed(name for name, why in self.not_live.items() if not why)
            words = f"{served.model} takes no features, since {reason}: it answers by id, as of the night"
            raise ProblemError(422, f"{words}; features are taken by {able}")
        users = [query.user_id for query in request.queries]
        stored = await self._looked_up(served, served.stored, users)
        places = [
            place for place, query in enumerate(request.queries) if self._wants_live(served, query, stored[place])
        ]
        loaded = await self.scorer(served) if places else None
        is_by_features = loaded is not None and served.model not in self.by_visits
        prepared = await self._prepared(served, request, stored, places if is_by_features else ())
        live = None if loaded is None else await self._live_if_it_can(prepared, places, loaded)
        if live is None and served.stored is None:
            words = f"{served.model} has answered for nobody of {served.customer} yet"
            raise ProblemError(503, words if self.lookups.is_reached else "the store of answers is not reached")
        return [(live or {}).get(place) or self._fallen_back(prepared, place) for place in range(len(request.queries))]

    async def _prepared(
        self, served: Served, request: AnswerRequest, stored: list[StoredBlob], live: Sequence[int]
    ) -> PreparedRequest:
        """The request with what is known of its users: the features of those who are answered live, or by no row."""
        is_of_users = served.spec.model.subject.key[0] == ID
        wanted = set(live) | {place for place, blob in enumerate(stored) if blob.content is None and is_of_users}
        places = [place for place in sorted(wanted) if request.queries[place].user_id is not None]
        users = [request.queries[place].user_id for place in places]
        if not places:
            return PreparedRequest(served, request, stored, {})
        table = self.lookups.tables(served.customer).get(FEATURES)  # another may have been published since
        features = [features_of(table, blob) for blob in await self._looked_up(served, table, users)]
        return PreparedRequest(served, request, stored, dict(zip(places, features, strict=True)))

    async def _looked_up(
        self, served: Served, table: StoredTable | None, users: Sequence[str | None]
    ) -> list[StoredBlob]:
        """What a table has of each user, under the first of their spellings that it knows."""
        if table is None or not any(users):
            return [NOTHING] * len(users)
        spelled = [() if user is None else served.declared.spellings(user) for user in users]
        blobs = await self.lookups.blobs(served.customer, table, [one for spellings in spelled for one in spellings])
        return [_first(blobs[one] for one in spellings) for spellings in spelled]

    def _wants_live(self, served: Served, query: Query, stored: StoredBlob) -> bool:
        if query.features or (query.basket and served.model in self.by_visits):
            return True
        if stored.content is None or served.stored is None:
            # Whom the night did not ask about, because the model is about others, is not answered as if it were.
            return query.user_id is not None and served.spec.model.subject.known is None
        return not ladder.is_current(served.stored, served.champion, served.life)

    async def _live_if_it_can(
        self, prepared: PreparedRequest, places: Sequence[int], loaded: LoadedScorer
    ) -> LiveAnswers | None:
        try:
            live = self._live_lists if isinstance(loaded.scorer, VisitLists) else self._live
            return await live(prepared, places, loaded)
        except ProblemError:
            raise
        except Exception as error:  # a version may fail in any way on rows that it never saw; the ladder goes on
            name = [prepared.served.customer, prepared.served.model, loaded.version]
            LOG.warning({"what": "a version cannot score", "version": name, "error": type(error).__name__})
            return None

    async def _live_lists(self, prepared: PreparedRequest, places: Sequence[int], loaded: LoadedScorer) -> LiveAnswers:
        """The lists that are made now, by place of the query."""
        served, request = prepared.served, prepared.request
        assert isinstance(loaded.scorer, VisitLists)  # noqa: S101
        table = self.lookups.tables(served.customer).get(HISTORIES)
        visits = await self._looked_up(served, table, [request.queries[place].user_id for place in places])
        per, stored_visits = served.spec.model.answer.per[0], dict(zip(places, visits, strict=True))
        lists = await live_lists(served.life, per, request, stored_visits, table, loaded.scorer)
        who = ladder.provenance(loaded.version, _rung(served, loaded))
        engine = {"engine": loaded.scorer.engine}
        return {place: {**_whom(request.queries[place]), **one, **who, **engine} for place, one in lists.items()}

    async def _live(self, prepared: PreparedRequest, places: Sequence[int], loaded: LoadedScorer) -> LiveAnswers:
        """The live answers, by place of the query; a query whose features are not whole has none, or a problem."""
        import numpy as np

        served, request, scorer = prepared.served, prepared.request, loaded.scorer
        assert isinstance(scorer, Scorer)  # noqa: S101
        columns, answers, rows = scorer.columns, {}, {}
        for place in places:
            query = request.queries[place]
            if not query.features.keys() <= loaded.accepted:
                require_features(query.features, columns, loaded.accepted)
            row = feature_row(query, prepared.features.get(place, (None, True))[0], columns)
            if isinstance(row, ProblemError):
                answers[place] = _problem(query, row)
            elif row is not None:
                rows[place] = row
        if not rows:
            return answers
        matrix = np.array(list(rows.values()))
        figures = await self._figures(scorer, matrix)
        reasons = await self._reasons(served, loaded.version, columns, matrix) if request.has_reasons else None
        bands, served_by = _bands(served, loaded), _rung(served, loaded)
        columns_of_figures = {name: values.tolist() for name, values in figures.items()}
        for number, place in enumerate(rows):
            query = request.queries[place]
            own = {name: values[number] for name, values in columns_of_figures.items()}
            times = self._times(served, query, columns)
            answers[place] = {
                **_whom(query),
                **ladder.live_answer(own, bands, loaded.version, served_by, times),
                "engine": scorer.engine,
                **({} if reasons is None else {"reasons": reasons[number]}),
            }
        return answers

    async def _figures(self, scorer: Scorer, matrix: np.ndarray) -> dict[str, np.ndarray]:
        if scorer.engine == "code":
            return await asyncio.to_thread(scorer.figures, matrix)
        return scorer.figures(matrix)

    async def _reasons(
        self, served: Served, version: int, columns: tuple[str, ...], matrix: np.ndarray
    ) -> Sequence[str | None]:
        """Words for each row; none where the estimator cannot be loaded any more: that takes no score away."""
        names = (self.deployment, self.registry, served.customer, served.model, version, columns, matrix)
        try:
            return await asyncio.to_thread(explained, *names)
        except Exception as error:  # MLflow or its files may fail in any way
            name = [served.customer, served.model, version]
            LOG.warning({"what": "a version cannot give reasons", "version": name, "error": type(error).__name__})
            return [None] * len(matrix)

    def _times(self, served: Served, query: Query, columns: tuple[str, ...]) -> dict[str, Any]:
        is_all_given = query.user_id is None or all(name in query.features for name in columns)
        if is_all_given or served.features is None:
            return served.life.of(served.life.now)
        return served.life.of(ladder.moment_of(served.features.facts))

    def _fallen_back(self, prepared: PreparedRequest, place: int) -> dict[str, Any]:
        """The stored answer, else what is typical for a user who is known, else the problem."""
        served, request = prepared.served, prepared.request
        query, stored = request.queries[place], prepared.stored[place]
        table = served.stored
        if query.features and query.user_id is None:
            return _problem(query, ProblemError(503, "no version can be loaded to score features now"))
        if table is not None and stored.content is not None:
            rung = ladder.rung_of_table(table, served.champion, served.life)
            answer = ladder.stored_answer(stored.content, table, rung, served.life, query.unwanted, request.k)
            ignored = {"features_used": False} if query.features else {}
            if query.basket and served.model in self.by_visits:
                ignored["basket_used"] = False
            kept = answer if request.has_reasons else ladder.without_reasons(answer)
            return {"user_id": query.user_id, **kept, **ignored}
        is_known = not stored.is_certain or (query.user_id is None and not query.features)
        if not is_known and place in prepared.features:
            features, is_certain = prepared.features[place]
            is_known = features is not None or not is_certain
        if table is None or not is_known:
            return _problem(query, not_there())
        if not table.facts.get("typical"):
            return _problem(query, ProblemError(503, "nothing can be said of this subject now"))
        answer = ladder.typical_answer(table, served.life, query.unwanted, request.k)
        return {**_whom(query), **answer}

    def _load(self, key: Key) -> LoadedScorer:
        most = self.cache.largest_file_bytes
        return load_scorer(self.deployment, self.registry, self.lookups, *key, most_bytes=most)


def _first(blobs: Iterable[StoredBlob]) -> StoredBlob:
    """The first that has something, or is uncertain; else nothing."""
    return next((one for one in blobs if one.content is not None or not one.is_certain), NOTHING)


def _bands(served: Served, loaded: LoadedScorer) -> Sequence[Sequence[Any]]:
    """The bands of the night that this version scored, else those of a sample of users."""
    stored = served.stored
    if stored is not None and stored.facts.get("model_version") == loaded.version and stored.facts.get("bands"):
        return list(stored.facts["bands"])
    return loaded.bands


def _whom(query: Query) -> dict[str, Any]:
    return {} if query.user_id is None else {"user_id": query.user_id}


def _rung(served: Served, loaded: LoadedScorer) -> str:
    if loaded.rung != "own":
        return loaded.rung
    return LIVE if loaded.version == served.champion else LAST_GOOD


def _problem(query: Query, problem: ProblemError) -> dict[str, Any]:
    return {**_whom(query), "problem": problem.content()}
