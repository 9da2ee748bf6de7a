"""What brands may sell: categories with their prices, nouns and attributes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Category(BaseModel):
    """One category of items: its prices (log-uniform between two bounds), its nouns and the values of its attributes.

    Each attribute becomes an open column of the items, and words in their descriptions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    department: str
    price_from: float = Field(gt=0)
    price_to: float = Field(gt=0)
    nouns: tuple[str, ...] = Field(min_length=1)
    attributes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sizes: tuple[str, ...] = ("one size",)
    weight: float = Field(default=1.0, gt=0, description="How much of the shoppers' taste goes to it on average.")


_COLOURS = ("black", "brown", "white", "red", "navy", "green")
_SHOE_SIZES = ("37", "38", "39", "40", "41", "42", "43", "44")
_MILKS = ("whole milk", "oat milk", "no milk")

SHOES = (
    Category(
        name="boots",
        department="adults",
        price_from=70,
        price_to=240,
        nouns=("ankle boot", "chelsea boot", "hiking boot"),
        attributes={"colour": _COLOURS, "material": ("suede", "leather"), "closure": ("zip", "laces")},
        sizes=_SHOE_SIZES,
        weight=1.2,
    ),
    Category(
        name="trainers",
        department="adults",
        price_from=40,
        price_to=160,
        nouns=("running shoe", "court shoe", "high top"),
        attributes={"colour": _COLOURS, "material": ("mesh", "leather", "canvas"), "closure": ("laces", "strap")},
        sizes=_SHOE_SIZES,
        weight=1.6,
    ),
    Category(
        name="sandals",
        department="adults",
        price_from=20,
        price_to=90,
        nouns=("slide", "flat sandal", "wedge"),
        attributes={"colour": _COLOURS, "material": ("leather", "cork"), "closure": ("buckle", "none")},
        sizes=_SHOE_SIZES,
        weight=0.7,
    ),
    Category(
        name="school shoes",
        department="children",
        price_from=25,
        price_to=65,
        nouns=("t-bar", "derby", "pump"),
        attributes={"colour": ("black", "navy"), "material": ("leather", "patent"), "closure": ("strap", "laces")},
        sizes=("28", "30", "32", "34"),
        weight=0.8,
    ),
    Category(
        name="care",
        department="accessories",
        price_from=3,
        price_to=18,
        nouns=("polish", "protector spray", "insole", "sock"),
        attributes={"colour": ("clear", "black", "brown")},
        weight=0.7,
    ),
)
MENU = (
    Category(
        name="coffee",
        department="drinks",
        price_from=1.4,
        price_to=4.2,
        nouns=("espresso", "cortado", "flat white", "latte"),
        attributes={"origin": ("Colombian", "Ethiopian", "house blend"), "milk": _MILKS},
        sizes=("60 ml", "180 ml", "330 ml"),
        weight=2.5,
    ),
    Category(
        name="tea",
        department="drinks",
        price_from=1.8,
        price_to=3.8,
        nouns=("black tea", "green tea", "infusion"),
        attributes={"flavour": ("mint", "lemon", "ginger", "plain"), "milk": _MILKS},
        sizes=("250 ml", "400 ml"),
        weight=0.7,
    ),
    Category(
        name="bakery",
        department="food",
        price_from=1.2,
        price_to=4.5,
        nouns=("croissant", "muffin", "toast", "cake slice"),
        attributes={"flavour": ("butter", "chocolate", "tomato", "almond"), "diet": ("vegan", "vegetarian")},
        weight=1.6,
    ),
    Category(
        name="lunch",
        department="food",
        price_from=4.5,
        price_to=12,
        nouns=("sandwich", "salad", "soup", "wrap"),
        attributes={"flavour": ("chicken", "tuna", "falafel", "cheese"), "diet": ("vegan", "vegetarian", "any")},
        weight=1.0,
    ),
    Category(
        name="cold drinks",
        department="drinks",
        price_from=1.5,
        price_to=4.8,
        nouns=("juice", "lemonade", "water"),
        attributes={"flavour": ("orange", "apple", "plain")},
        sizes=("250 ml", "500 ml"),
        weight=0.8,
    ),
)
