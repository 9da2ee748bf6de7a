"""Exports of programs that are known whole: a customer's TOML that was written and tested for just these columns.

The TOMLs are those of ``examples/``. Where the files of a draft have every column that one reads, it is taken, with the
files' own locations and ways of writing: it is better than any guess.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from capflow_assets.drafting import money
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.samples import Sample

FOLDER = Path(__file__).parent / "known_exports"
IN_A_CHECKOUT = Path(__file__).parents[2] / "examples"
# By the program and the location in its TOML, the columns that are read there; of a database, with the table's name.
SIGNATURES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "shopify": {
        "orders_export.csv": ("Name", "Email", "Financial Status", "Cancelled at", "Created at", "Subtotal",
                              "Refunded Amount", "Discount Amount", "Location", "Source", "Lineitem sku",
                              "Lineitem name", "Lineitem quantity", "Lineitem price", "Lineitem discount", "Vendor"),
    },
    "square": {
        "items.csv": ("Date", "Time", "Transaction ID", "Payment ID", "Event Type", "SKU", "Item", "Price Point Name",
                      "Customer ID", "Location", "Qty", "Net Sales", "Category", "Itemization Type"),
    },
    "woocommerce": {
        "orders.csv": ("order_id", "customer_id", "order_date", "order_total", "shipping_total", "tax_total",
                       "discount_total", "status", "line_item_1", "line_item_5"),
    },
    "woocommerce-json": {
        "orders.json": ("id", "customer_id", "date_created", "total", "shipping_total", "total_tax", "discount_total",
                        "status", "line_items.sku", "line_items.product_id", "line_items.total"),
    },
    "stripe": {
        "unified_payments.csv": ("id", "Customer ID", "Created (UTC)", "Amount", "Amount Refunded", "Captured",
                                 "Status", "Currency"),
    },
    "stripe-balance": {
        "balance_transactions.json": ("id", "source.customer", "created", "amount", "type", "currency",
                                      "reporting_category"),
    },
    "etsy": {
        "EtsySoldOrders2024.csv": ("Order ID", "Buyer User ID", "Sale Date", "Order Value", "Discount Amount",
                                   "Number of Items"),
        "EtsySoldOrderItems2024.csv": ("Order ID", "Listing ID", "Item Name", "Sale Date", "Quantity", "Item Total",
                                       "Discount Amount", "Price"),
    },
    "olist": {
        "olist_orders_dataset.csv": ("order_id", "customer_id", "order_status", "order_purchase_timestamp"),
        "olist_customers_dataset.csv": ("customer_id", "customer_unique_id", "customer_city", "customer_state"),
        "olist_order_payments_dataset.csv": ("order_id", "payment_value"),
        "olist_order_items_dataset.csv": ("order_id", "order_item_id", "product_id", "seller_id", "price"),
        "olist_products_dataset.csv": ("product_id", "product_category_name", "product_photos_qty"),
        "product_category_name_translation.csv": ("product_category_name", "product_category_name_english"),
        "olist_sellers_dataset.csv": ("seller_id", "seller_city", "seller_state"),
    },
    "northwind": {
        "sqlite:///northwind.db#Orders": ("OrderID", "CustomerID", "OrderDate"),
        "sqlite:///northwind.db#Order Details": ("OrderID", "ProductID", "UnitPrice", "Quantity", "Discount"),
        "sqlite:///northwind.db#Customers": ("CustomerID", "City", "Country"),
        "sqlite:///northwind.db#Products": ("ProductID", "ProductName", "QuantityPerUnit", "UnitPrice", "CategoryID"),
        "sqlite:///northwind.db#Categories": ("CategoryID", "CategoryName"),
    },
    "northwind-csv": {
        "orders.csv": ("orderID", "customerID", "orderDate"),
        "order_details.csv": ("orderID", "productID", "unitPrice", "quantity", "discount"),
        "customers.csv": ("customerID", "city", "country"),
        "products.csv": ("productID", "productName", "quantityPerUnit", "unitPrice", "categoryID"),
        "categories.csv": ("categoryID", "categoryName"),
    },
}  # fmt: skip
# How else a program has called a column, in other releases of it.
SPELLINGS = {"Created (UTC)": ("Created date (UTC)",)}
# How a file is written that is of the file, not of the program.
OF_THE_FILE = ("encoding", "delimiter", "members")


@cache
def text_of(program: str) -> str:
    """The TOML of a program's export."""
    folder = FOLDER if FOLDER.is_dir() else IN_A_CHECKOUT
    return (folder / f"{program}.toml").read_text(encoding="utf-8")


def tables_of(program: str) -> tuple[str, ...]:
    """The canonical tables that it gives."""
    return tuple(tomllib.loads(text_of(program))["tables"])


def recognized(samples: Sequence[Sample]) -> tuple[str, dict[str, Sample]]:
    """The program whose export the samples are, and the sample of each of its locations; blank where none is."""
    fitting = {program: placed for program in SIGNATURES if (placed := _placed(program, samples))}
    best = max(fitting, key=lambda program: sum(map(len, SIGNATURES[program].values())), default="")
    return best, fitting.get(best, {})


def drafted(
    program: str, placed: Mapping[str, Sample], answers: Mapping[str, str], of_what: str, beside: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """The program's TOML with the locations of the samples, and what is left to be asked.

    ``beside`` are the names of samples of marketing that the program's export does not have.
    """
    import tomlkit

    currency = money.currency([Meanings(sample) for sample in placed.values()])
    text = _with_own_names(text_of(program), placed)
    document: Any = tomlkit.parse(_in_currency(text, str(answers.get("currency") or currency.value)))
    by_location = {location.partition("#")[0]: sample for location, sample in placed.items()}
    for declared in document["tables"].values():
        for origin in [declared, *declared.get("inputs", {}).values()]:
            sample = by_location.get(str(origin.get("location", "")))
            if sample is not None:
                origin["location"] = sample.location
                _add_options(origin, {key: sample.options[key] for key in OF_THE_FILE if key in sample.options})
    title = text_of(program).partition("\n")[0].removeprefix("# ")
    questions = [f"the files have the columns of a known export: is it this one? {title}"]
    questions += _answered(document, answers, currency)
    questions += [f"{name} is not mapped: draft it alone, and add its table to this TOML" for name in beside]
    head = [f"Drafted from {of_what}, recognised by its columns. What is unsure is marked '# ?'."]
    head += [f"  {number}. {question}" for number, question in enumerate(questions, 1)]
    return "".join(f"# {line}\n" for line in head) + tomlkit.dumps(document), questions


def _with_own_names(text: str, placed: Mapping[str, Sample]) -> str:
    """The TOML with the names that the samples' release of the program has for its columns."""
    for column, others in SPELLINGS.items():
        names = {name for sample in placed.values() for name in sample.names}
        own = next((other for other in others if other in names and column not in names), column)
        text = text.replace(f"`{column}`", f"`{own}`")
    return text


def _in_currency(text: str, code: str) -> str:
    """The TOML with its conditions on a currency's code for another one, where that is known."""
    own = str(tomllib.loads(text)["currency"])
    known = code if code != money.NOBODYS else own
    return text.replace(f"'{own.lower()}'", f"'{known.lower()}'").replace(f"'{own}'", f"'{known}'")


def _answered(document: Any, answers: Mapping[str, str], currency: Any) -> list[str]:
    """Put in what is known of the customer, and ask for the rest."""
    known = ({} if currency.is_unsure else {"currency": str(currency.value)}) | dict(answers)
    topics = {
        "vertical": "what does the customer sell",
        "currency": "in which currency are amounts",
        "time_zone": "in which time zone are local times",
    }
    questions = []
    for key in ("name", *topics):
        if known.get(key):
            document[key] = known[key]
        else:
            questions.append(f"{topics[key]}? {key} is that of the example: {document[key]}")
            document[key].comment(f"? {topics[key]}")
    return questions


def _add_options(origin: Any, options: Mapping[str, Any]) -> None:
    import tomlkit

    if options and "options" not in origin:
        origin["options"] = tomlkit.inline_table()
    for key, value in options.items():
        origin["options"][key] = value


def _placed(program: str, samples: Sequence[Sample]) -> dict[str, Sample]:
    """The sample of each location of a program; nothing where one of them has none."""
    placed: dict[str, Sample] = {}
    for location, columns in SIGNATURES[program].items():
        table = location.partition("#")[2]
        sample = next((one for one in samples if _has(one, columns, table, samples)), None)
        if sample is None:
            return {}
        placed[location] = sample
    return placed


def _has(sample: Sample, columns: Sequence[str], table: str, samples: Sequence[Sample]) -> bool:
    if sample.array or (table and sample.name != table) or bool(table) != (sample.source == "sql"):
        return False
    arrays = (one for one in samples if one.array and one.location == sample.location)
    there = {*sample.names, *(name for one in arrays for name in one.names)}
    return all({column, *SPELLINGS.get(column, ())} & there for column in columns)
