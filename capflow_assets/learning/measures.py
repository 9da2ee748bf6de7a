"""The measures of evidence by name: what each counts, the table that it is read from, and what would raise it.

A model asks for them by these names (``Needs.evidence``); validation/evidence finds their values; a verdict takes its
words from here. A new measure is a line here and the figure there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: its unit, the words for it, the tables that it is read from, and what a person can do."""

    unit: str
    words: str
    tables: tuple[str, ...]
    mend: str


_ITEMS, _LINES, _MEDIA = ("clean/items",), ("clean/line_items",), "raw/media"
_BILLS = ("clean/bills",)
_DESCRIBE = "map raw/items.description to the column that describes the items, in three words or more"
_GROUP = "map raw/items.category to the column that groups the items"
_SELL = "send line items with user and item for a longer time"
_FILES = "deliver the missing files, or mend the names by which they are linked"
_LIST = "list items before they are sold"
_REVIEWS = ("raw/reviews",)
_SAID = "map raw/reviews.rating to the stars, or raw/reviews.sentiment to labels of your own"
_INTENTS = "map raw/media.intent to what callers want, by a manifest or the names of the files"
_LABELS = "choose another horizon, or wait for more users"

MEASURES: dict[str, Measure] = {
    "rows": Measure("rows", "rows", (), "deliver rows"),
    "history_days": Measure("days", "days of bills", _BILLS, "wait, or deliver older bills"),
    "newest_bill_age_days": Measure("days", "days since the newest bill", _BILLS, "check the feed"),
    "users": Measure("users", "users with a bill", _BILLS, "map the users' ids on the bills"),
    "users_new_28d": Measure("users", "new users in 28 days", _BILLS, "map the users' ids on the bills"),
    "stores": Measure("stores", "stores with a purchase", _BILLS, "map the stores' ids on the bills"),
    "past_horizons": Measure("horizons", "past horizons that are over", _BILLS, "wait one horizon longer"),
    "positives": Measure("users", "users with the outcome", _BILLS, _LABELS),
    "positives_before": Measure("users", "users with the outcome a horizon before", _BILLS, _LABELS),
    "negatives": Measure("users", "users without the outcome", _BILLS, "choose a shorter horizon"),
    "items": Measure("items", "items in the catalogue", _ITEMS, "deliver the whole catalogue"),
    "categories": Measure("categories", "categories of items", _ITEMS, _GROUP),
    "attribute_fill_share": Measure("share", "of items with a description of three words", _ITEMS, _DESCRIBE),
    "description_words_avg": Measure("words", "words per description", _ITEMS, "send longer descriptions"),
    "items_with_image_share": Measure("share", "of items with a picture", (*_ITEMS, _MEDIA), _FILES),
    "items_with_audio_share": Measure("share", "of items with a recording", (*_ITEMS, _MEDIA), _FILES),
    "users_with_image_share": Measure("share", "of users with a picture", ("clean/users", _MEDIA), _FILES),
    "users_with_audio_share": Measure("share", "of users with a recording", ("clean/users", _MEDIA), _FILES),
    "user_item_cells": Measure("cells", "pairs of a user and an item bought", _LINES, _SELL),
    "user_item_density_share": Measure("share", "of the user-item cells filled", _LINES, _SELL),
    "overlapping_users_share": Measure("share", "of users who bought two items that others bought too", _LINES, _SELL),
    "overlapping_items_share": Measure("share", "of items bought by two users", _LINES, _SELL),
    "new_items_91d": Measure("items", "listed items first sold in 91 days", (*_ITEMS, *_LINES), _LIST),
    "unsold_items": Measure("items", "listed items that nobody has bought yet", (*_ITEMS, *_LINES), _LIST),
    "campaigns": Measure("campaigns", "campaigns begun", ("raw/campaigns",), "send the campaigns of the past"),
    "messages": Measure("messages", "messages sent", ("raw/messages",), "send who was addressed, and when"),
    "controls": Measure(
        "users",
        "users held out of a campaign",
        ("raw/messages",),
        "hold a share of each campaign's users out by chance and mark them is_control",
    ),
    "compared_campaigns": Measure(
        "campaigns",
        "campaigns with ten users addressed and ten held out",
        ("raw/messages", "raw/campaigns"),
        "what a campaign changed cannot be seen where nobody was held out by chance",
    ),
    "reviews_praising": Measure("reviews", "reviews labelled as praise, by label or stars", _REVIEWS, _SAID),
    "reviews_complaining": Measure("reviews", "reviews labelled as complaints, by label or stars", _REVIEWS, _SAID),
    "recordings_labelled": Measure("recordings", "recordings labelled with an intent", (_MEDIA,), _INTENTS),
    "intents_labelled": Measure("intents", "intents with five labelled recordings each", (_MEDIA,), _INTENTS),
    "redemptions": Measure("redemptions", "coupons redeemed", ("raw/redemptions",), "send the coupons that were used"),
    "redeeming_users": Measure(
        "users", "users who redeemed a coupon", ("raw/redemptions",), "send the coupons that were used, with the user"
    ),
}
