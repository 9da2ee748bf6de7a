"""What assets, sensors and the CLI share at run time: the home, its customers, lake and registry."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from capflow_assets.blueprint.checking import declared_checks
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer, read_customer
from capflow_assets.customers.delivery_settings import delivery_problems
from capflow_assets.customers.own_places import refuse_own_places
from capflow_assets.errors import CapflowError, CustomerError, NotFoundError
from capflow_assets.home import fences, secret_variables
from capflow_assets.home.places import Home
from capflow_assets.home.session import Sessions
from capflow_assets.paths.fence import Fence
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.registry import Registry


@dataclass(frozen=True)
class Deployment:
    """One home, read through the stages and sources that the code declares."""

    home: Home
    stages: Stages
    sources: Mapping[str, Source]
    engine: Sessions

    @cached_property
    def lake(self) -> Lake:
        """The lake of this home."""
        return Lake(self.home.lake, lambda: self.engine.spark_session, is_embedded=self.engine.engine == "sail")

    @cached_property
    def registry(self) -> Registry:
        """The model store of this home."""
        return Registry(self.home.mlflow_uri, self.home.lake, self.home)

    def read(self, file: Path, *, is_new: bool = False) -> Customer:
        """A customer's TOML, checked against the tables, sources and models that there are, and against this home.

        With ``is_new``, the bounds of its models' parameters and whether its mappings are allowed are checked as well.
        """
        tables = {spec.name: spec.table for spec in self.stages.tables.values() if spec.stage == "raw"}
        features = {spec.name: spec.params for spec in self.stages.tables.values() if spec.params is not None}
        checks = declared_checks(self.stages)
        params = {name: spec.model.params for name, spec in self.stages.models.items()} if is_new else None
        customer = read_customer(file, tables, self.sources, list(self.stages.models), checks, features, params)
        if problems := delivery_problems(customer.delivery, self.stages.destinations, self.stages.models):
            raise CustomerError.listing(str(file), problems)
        refuse_own_places(customer, str(file), fences.kept_by(self.home, customer))
        return customer

    def customer(self, name: str, *, is_new: bool = False) -> Customer:
        """An onboarded customer by name; with ``is_new`` more is checked, as in ``read``.

        Raises:
            NotFoundError: no such customer here.
            CustomerError: its TOML is wrong, or declares another customer, whose tables it would write.
        """
        self.require(name)
        file = self.home.customers / f"{name}.toml"
        customer = self.read(file, is_new=is_new)
        if customer.name != name:
            raise CustomerError(
                "The file is not called after its customer, so two files could declare the same one",
                expected=f"{customer.name}.toml",
                came=file.name,
                where=str(file),
                do=f"rename the file, or use: capflow onboard {file}",
            )
        return customer

    def zone(self, name: str) -> str:
        """A customer's time zone; UTC where its TOML cannot be read."""
        try:
            return self.customer(name).time_zone
        except CapflowError:
            return "UTC"

    def is_archive(self, name: str) -> bool:
        """Whether a customer's TOML says that nothing new will come; not, where it cannot be read."""
        try:
            return self.customer(name).archive
        except CapflowError:
            return False

    def model_choice(self, customer: str) -> Callable[[str], bool]:
        """Which models a customer is to have, its TOML read once; all where it cannot be read, which its run says."""
        try:
            return self.customer(customer).has_model
        except CapflowError:
            return lambda model: True

    def fence(self, customer: Customer) -> Fence:
        """What a customer's sources may open.

        Raises:
            CapflowError: the deployment's settings cannot be read.
            CustomerError: the customer names variables that are not its own.
        """
        secret_variables.refuse_variables(self.home, customer)
        return fences.fence_of(self.home, customer)

    def require(self, customer: str, model: str | None = None) -> None:
        """Refuse a customer or a model that does not exist.

        Raises:
            NotFoundError: names the ones that do.
        """
        if customer not in self.customers():
            raise NotFoundError.among("customer", customer, self.customers(), do="capflow onboard FILE.toml")
        if model is not None:
            self.stages.model(model)

    def customers(self) -> list[str]:
        """The names of all onboarded customers."""
        return sorted(file.stem for file in self.home.customers.glob("*.toml"))

    def stored_bytes(self, customers: Iterable[str]) -> int | None:
        """The bytes of the customers' raw tables, to size a cluster by; None where one has never landed."""
        sizes = [self.lake.size_bytes(name, key) for name in customers for key in self._raw_tables(name)]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def _raw_tables(self, customer: str) -> list[str]:
        return [f"raw/{table}" for table in self.customer(customer).tables]
