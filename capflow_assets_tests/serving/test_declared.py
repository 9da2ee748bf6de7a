"""Ids that are hashed on landing: a client asks with the id that the source sends, and is answered with it."""

from __future__ import annotations

from capflow_assets.customers.serving_settings import ServingSettings
from capflow_assets.landing.personal import pseudonym
from capflow_assets.serving.declared import Declared


def test_the_lakes_spellings_of_a_user():
    settings = ServingSettings()
    assert Declared(0, settings, frozenset()).spellings("U 1") == ("U 1",)
    assert Declared(0, settings, frozenset(), b"key").spellings("U1") == ("U1", pseudonym("U1", b"key"))


def test_an_id_is_looked_up_as_landing_has_written_it():
    settings = ServingSettings()
    assert Declared(0, settings, frozenset()).spellings(" Rene\u0301\t") == ("Ren\xe9",)
    assert Declared(0, settings, frozenset(), b"key").spellings("U1\u200b") == ("U1", pseudonym("U1", b"key"))
