"""What simulated users say: phrases by language and topic, those that praise and those that complain.

About half of them have a word that any list of kind and unkind words knows; what the others mean has to be learned.
"""

from __future__ import annotations

Phrases = tuple[tuple[str, ...], tuple[str, ...]]

LANGUAGES = ("en", "de", "fr")
TOPICS = ("fit", "delivery", "quality", "service")

PHRASES: dict[tuple[str, str], Phrases] = {
    ("en", "fit"): (
        ("the size fits perfectly", "very comfortable to wear all day", "fits like a glove", "true to size"),
        ("the size is wrong", "they pinch my toes", "too tight around the heel", "uncomfortable size after an hour"),
    ),
    ("en", "delivery"): (
        (
            "fast delivery",
            "the parcel arrived a day early",
            "great delivery service",
            "on my doorstep the next morning",
        ),
        ("terrible delivery", "the parcel took five weeks", "the courier lost my parcel", "delivery was late again"),
    ),
    ("en", "quality"): (
        ("excellent quality", "the seams still look new after a year", "beautiful leather", "built to last for years"),
        ("poor quality", "the sole came off within a week", "the leather cracked", "cheap material and broken seams"),
    ),
    ("en", "service"): (
        ("friendly staff", "the staff took their time for me", "helpful people in the shop", "I was served at once"),
        ("rude staff", "nobody in the shop looked up", "the staff ignored me", "unfriendly people at the till"),
    ),
    ("de", "fit"): (
        ("die Größe passt perfekt", "sehr bequem zu tragen", "sitzt wie angegossen", "die Weite stimmt genau"),
        ("die Größe ist falsch", "drückt an den Zehen", "viel zu eng an der Ferse", "unbequem nach einer Stunde"),
    ),
    ("de", "delivery"): (
        ("schnelle Lieferung", "das Paket kam einen Tag früher", "tolle Lieferung", "am nächsten Morgen vor der Tür"),
        (
            "schreckliche Lieferung",
            "das Paket brauchte fünf Wochen",
            "der Bote verlor das Paket",
            "Lieferung verspätet",
        ),
    ),
    ("de", "quality"): (
        ("ausgezeichnete Qualität", "die Nähte sind nach einem Jahr wie neu", "schönes Leder", "hält viele Jahre"),
        ("schlechte Qualität", "die Sohle löste sich nach einer Woche", "das Leder bekam Risse", "billiges Material"),
    ),
    ("de", "service"): (
        (
            "freundliches Personal",
            "man nahm sich Zeit für mich",
            "hilfsbereite Leute im Laden",
            "gleich bedient worden",
        ),
        ("unfreundliches Personal", "niemand im Laden sah auf", "man ließ mich stehen", "unverschämte Leute im Laden"),
    ),
    ("fr", "fit"): (
        ("la taille est parfaite", "très confortable à porter", "comme un gant", "la pointure tombe juste"),
        (
            "la taille est mauvaise",
            "elles serrent les orteils",
            "trop étroit au talon",
            "inconfortable après une heure",
        ),
    ),
    ("fr", "delivery"): (
        ("livraison rapide", "le colis est venu un jour avant", "excellente livraison", "devant ma porte le lendemain"),
        ("livraison horrible", "le colis a mis cinq semaines", "le livreur a perdu le colis", "livraison en retard"),
    ),
    ("fr", "quality"): (
        (
            "excellente qualité",
            "les coutures sont comme neuves après un an",
            "beau cuir",
            "faites pour durer des années",
        ),
        ("mauvaise qualité", "la semelle est partie en une semaine", "le cuir a craqué", "matière médiocre"),
    ),
    ("fr", "service"): (
        ("personnel aimable", "on a pris du temps pour moi", "des gens gentils au magasin", "servie tout de suite"),
        ("personnel désagréable", "personne au magasin ne regarde", "on m'a laissée attendre", "des gens impolis"),
    ),
}
ASIDES = {
    "en": ("bought for my sister", "my second order", "it was raining that day", "ordered in brown"),
    "de": ("für meine Schwester gekauft", "meine zweite Bestellung", "es regnete an dem Tag", "in Braun bestellt"),
    "fr": ("pour ma sœur", "ma deuxième commande", "il pleuvait ce jour là", "commandé en brun"),
}
