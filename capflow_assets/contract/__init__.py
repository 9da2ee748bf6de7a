"""The nouns that every room shares, and nothing else: of tables, of sources, of models, of deliveries.

Belongs here: what a table, a column, a check's finding, a model and its needs *are*. Does not belong here: how any
of them is computed, stored or scheduled. Pure: no engine, no orchestrator, no environment, no clock.
"""

from capflow_assets.contract.delivery import ColumnKind as ColumnKind
from capflow_assets.contract.delivery import DeliveredColumn as DeliveredColumn
from capflow_assets.contract.delivery import Delivery as Delivery
from capflow_assets.contract.delivery import Destination as Destination
from capflow_assets.contract.delivery import ErasesUsers as ErasesUsers
from capflow_assets.contract.delivery import Held as Held
from capflow_assets.contract.delivery import Refused as Refused
from capflow_assets.contract.delivery import Sent as Sent
from capflow_assets.contract.delivery import Withdrawn as Withdrawn
from capflow_assets.contract.models import USER as USER
from capflow_assets.contract.models import Answer as Answer
from capflow_assets.contract.models import Candidate as Candidate
from capflow_assets.contract.models import Estimator as Estimator
from capflow_assets.contract.models import Examples as Examples
from capflow_assets.contract.models import GivesFigures as GivesFigures
from capflow_assets.contract.models import Metric as Metric
from capflow_assets.contract.models import Model as Model
from capflow_assets.contract.models import Outcome as Outcome
from capflow_assets.contract.models import Reads as Reads
from capflow_assets.contract.models import ReadsColumns as ReadsColumns
from capflow_assets.contract.models import Recalibrates as Recalibrates
from capflow_assets.contract.models import Refits as Refits
from capflow_assets.contract.models import Rule as Rule
from capflow_assets.contract.models import Subject as Subject
from capflow_assets.contract.needs import Needs as Needs
from capflow_assets.contract.needs import Reason as Reason
from capflow_assets.contract.needs import Requirements as Requirements
from capflow_assets.contract.needs import Verdict as Verdict
from capflow_assets.contract.params import Chosen as Chosen
from capflow_assets.contract.params import Horizon as Horizon
from capflow_assets.contract.params import Params as Params
from capflow_assets.contract.params import Search as Search
from capflow_assets.contract.params import TomlOnly as TomlOnly
from capflow_assets.contract.sources import ChecksLocations as ChecksLocations
from capflow_assets.contract.sources import FindsRows as FindsRows
from capflow_assets.contract.sources import HasFiles as HasFiles
from capflow_assets.contract.sources import LabelsRows as LabelsRows
from capflow_assets.contract.sources import ReadsAtAGlance as ReadsAtAGlance
from capflow_assets.contract.sources import ReadsNewerRows as ReadsNewerRows
from capflow_assets.contract.sources import Source as Source
from capflow_assets.contract.tables import EXPORT as EXPORT
from capflow_assets.contract.tables import Column as Column
from capflow_assets.contract.tables import Finding as Finding
from capflow_assets.contract.tables import Readiness as Readiness
from capflow_assets.contract.tables import Scalar as Scalar
from capflow_assets.contract.tables import Severity as Severity
from capflow_assets.contract.tables import Table as Table
from capflow_assets.contract.tables import Window as Window
