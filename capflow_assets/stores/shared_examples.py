"""Examples that customers give to the models of their vertical: ``{lake}/_shared/{customer}/{model}.parquet``.

One file a customer and model, replaced at each training. A customer's own tables stay in its prefix; what lies here has
neither ids nor amounts (``life.pooling`` says what it has), and goes with the user, the customer and the opt-out.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.errors import TableError
from capflow_assets.stores.lake_places import LakePlaces
from capflow_assets.stores.places import is_remote, opened, remove_folder

if TYPE_CHECKING:
    import pyarrow as pa

# No customer is called so: names begin with a letter or a digit.
SHARED = "_shared"
SUBJECT = "subject"
HORIZON = b"horizon_days"


@dataclass(frozen=True, slots=True)
class SharedExamples:
    """The examples that are shared below a lake's root."""

    places: LakePlaces

    def save(self, customer: str, model: str, examples: pa.Table, horizon_days: int) -> str:
        """Replace what the customer gives to a model, with outcomes of so many days; its place below the lake."""
        import pyarrow.parquet as pq

        known = examples.schema.metadata or {}
        examples = examples.replace_schema_metadata({**known, HORIZON: str(horizon_days)})
        place = self._place(customer, model)
        store, path = opened(self.places.in_place(place))
        if is_remote(place):
            with store.open_output_stream(path) as stream:
                pq.write_table(examples, stream)
            return self._below(place)
        store.create_dir(path.rsplit("/", 1)[0], recursive=True)
        part = f"{path}.{uuid.uuid4().hex[:8]}"
        try:
            with store.open_output_stream(part) as stream:
                pq.write_table(examples, stream)
            store.move(part, path)
        except BaseException:
            with suppress(OSError):
                store.delete_file(part)
            raise
        return self._below(place)

    def read(self, customer: str, model: str) -> pa.Table | None:
        """What the customer gives to a model; None where it gives nothing.

        Raises:
            TableError: the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq
        from pyarrow.fs import FileType

        store, path = opened(self.places.in_place(self._place(customer, model)))
        if store.get_file_info(path).type != FileType.File:
            return None
        try:
            with store.open_input_file(path) as file:
                return pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise TableError("Shared examples cannot be read", came=str(error), where=path) from error

    def models(self, customer: str) -> list[str]:
        """The models that the customer gives examples to."""
        from pyarrow.fs import FileSelector

        store, path = opened(self.places.in_place(self._folder(customer)))
        infos = store.get_file_info(FileSelector(path, allow_not_found=True))
        return sorted(info.base_name.removesuffix(".parquet") for info in infos if info.base_name.endswith(".parquet"))

    def forget(self, customer: str, subjects: Collection[str]) -> int:
        """Take examples of these subjects (digests) away from every model; how many there were.

        What cannot be read, or was left by a writer that was killed, may hold them and goes whole.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow.fs import FileSelector

        store, path = opened(self.places.in_place(self._folder(customer)))
        for info in store.get_file_info(FileSelector(path, allow_not_found=True)):
            if not info.base_name.endswith(".parquet"):
                store.delete_file(info.path)
        removed = 0
        for model in self.models(customer):
            try:
                examples = self.read(customer, model)
            except TableError:
                store.delete_file(f"{path}/{model}.parquet")
                continue
            if examples is None:
                continue
            kept = examples.filter(
                pc.invert(pc.is_in(examples[SUBJECT], value_set=pa.array(list(subjects), pa.string())))
            )
            if len(kept) < len(examples):
                self.save(customer, model, kept, horizon_of(kept))
                removed += len(examples) - len(kept)
        return removed

    def remove(self, customer: str) -> int:
        """Remove all that the customer gave; how many files that were."""
        return remove_folder(self._folder(customer))

    def _folder(self, customer: str) -> str:
        prefix = self.places.prefix(customer)  # refuses what is no customer's name
        return f"{self.places.root}/{SHARED}/{prefix.rsplit('/', 1)[1]}"

    def _below(self, place: str) -> str:
        return place.removeprefix(self.places.root).lstrip("/")

    def _place(self, customer: str, model: str) -> str:
        return f"{self._folder(customer)}/{model}.parquet"


def horizon_of(examples: pa.Table) -> int:
    """How many days after their moments the outcomes look at; 0 where the examples do not say."""
    return int((examples.schema.metadata or {}).get(HORIZON, 0))
