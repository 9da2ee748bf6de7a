"""Which words of a status are no purchase, in the languages that exports speak: unpaid, cancelled, failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, quoted, words_in
from capflow_assets.landing.personal_names import plain_name

_NO_PURCHASE = (
    "cancelled canceled cancel void voided failed failure pending unpaid draft abandoned expired declined "
    "rejected refused uncaptured unavailable on_hold hold awaiting_payment checkout_draft authorized "
    "requires_payment_method storniert storno abgebrochen offen unbezahlt ausstehend entwurf annule annulee "
    "abandonnee en_attente echouee impaye refusee brouillon cancelado cancelada anulado anulada pendiente "
    "fallido rechazado borrador annullato annullata in_attesa fallito rifiutato bozza pendente falhou recusado "
    "rascunho indisponivel geannuleerd wachtend mislukt openstaand anulowane anulowany oczekujace nieoplacone "
    "odrzucone makulerad avbruten annulleret afventer kansellert iptal iptal_edildi beklemede "
)
_RETURNED = (
    "refunded refund returned partially_refunded partial_refund erstattet retourniert rembourse "
    "rembourse_partiellement reembolsado devuelto rimborsato devolvido terugbetaald zwrocone aterbetald iade"
)
_PURCHASE = (
    "paid complete completed shipped delivered fulfilled settled captured succeeded confirmed done closed processing "
    "bezahlt abgeschlossen versendet versandt geliefert payee payer expediee livree terminee pagado completado enviado "
    "entregado pago concluido pagato completato spedito consegnato betaald verzonden oplacone zrealizowane betald"
)
PURCHASE = frozenset(_PURCHASE.split())
NO_PURCHASE, RETURNED = frozenset(_NO_PURCHASE.split()), frozenset(_RETURNED.split())
# What a status says beside: of what it is, by whom, and the mark of WooCommerce's database.
_BESIDE = frozenset(
    {"wc", "payment", "order", "by", "customer", "buyer", "seller", "shop", "admin", "system", "zahlung"}
)
MOST_WORDS = 40
MOST_STATUSES = 15


def purchases(meanings: Meanings) -> tuple[Guess | None, str, list[str]]:
    """Which rows are purchases: the expression for ``where``, its column, and what to ask a person."""
    questions: list[str] = []
    named = meanings.all("status")
    for name in [*named, *(one for one in meanings.sample.names if one not in named and _has_statuses(meanings, one))]:
        column = meanings.sample.columns[name]
        if len(column.counts) > MOST_WORDS or "." in name or _is_of_sending(name):
            continue
        words = [str(word) for word in column.counts]
        no_purchase = sorted(word for word in words if _is_one_of(NO_PURCHASE, word))
        returned = [word for word in words if _is_one_of(RETURNED, word)]
        if returned:
            questions.append(
                f"{name} is {' or '.join(map(repr, returned))} in some rows: are refunds rows of their own, a column "
                "to take off the amount, or lost?"
            )
        if no_purchase:
            kept = [word for word in words if word not in no_purchase]
            why = f"no purchases, of {_shares(column.counts, no_purchase)}; the others are {_some(kept)}"
            return Guess(f"coalesce({quoted(name)}, '') not in ({words_in(no_purchase)})", why), name, questions
    return None, "", questions


def _has_statuses(meanings: Meanings, name: str) -> bool:
    """Whether a column of few words says of some rows that they were paid and of others that they were not.

    An order's ``state`` is called as a land is.
    """
    column = meanings.sample.columns[name]
    if column.kind != "text" or len(column.counts) > MOST_STATUSES:
        return False
    words = [str(word) for word in column.counts]
    return all(any(_is_one_of(known, word) for word in words) for known in (NO_PURCHASE | RETURNED, PURCHASE))


def _is_one_of(known: frozenset[str], status: str) -> bool:
    """Whether a status is one of the words that are known, whatever it says beside.

    >>> [_is_one_of(NO_PURCHASE, status) for status in ("Pending payment", "wc-cancelled", "Pending fulfilment")]
    [True, True, False]
    """
    plain = plain_name(status)
    return plain in known or "_".join(word for word in plain.split("_") if word not in _BESIDE) in known


def _is_of_sending(name: str) -> bool:
    return any(word in plain_name(name) for word in ("fulfil", "ship", "deliver", "liefer", "versand"))


def _shares(counts: dict[str, int], words: Sequence[str]) -> str:
    return f"{100 * sum(counts[word] for word in words) / sum(counts.values()):.1f} % of the rows"


def _some(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words[:6])) + (" …" if len(words) > 6 else "")
