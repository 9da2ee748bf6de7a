"""Which names of columns tell that they hold who one is or where one is reached, in the languages that exports have.

Names are compared without capitals, accents, blanks and signs: ``E-Mail``, ``Téléphone``, ``Full Name``. Pure.
"""

from __future__ import annotations

import re
import unicodedata

OF_WHOM = "(?:(?:customer|user|contact|billing|shipping|delivery|home|work|private)_?)?"
NUMBER = "(?:_?(?:number|no|nr))?"
WHAT = (
    "e_?mail(?:_?addr(?:ess)?)?",
    "mail",
    f"(?:tele|cell|mobile_?)?phone{NUMBER}",
    "tel",
    "fax",
    f"mobile{NUMBER}",
    "(?:(?:first|last|full|middle|given|family|maiden|user|nick)_?)?name",
    "(?:sur|fore)_?name",
    "address(?:_?line)?",
    "street(?:_?address)?",
    "iban",
    f"(?:credit|debit|payment)_?card{NUMBER}",
    f"passport{NUMBER}",
    "ssn",
    "ip(?:_?address)?",
)
PERSONAL_NAME = re.compile(f"{OF_WHOM}(?:{'|'.join(WHAT)})_?[0-9]?")

# Usual words of other languages, as they are left without accents; none that is an English word of something else.
PERSON = "(?:(?:kunden?|client|cliente|klient|klant)_?)?"
WORDS = (
    # Names
    "(?:vor|nach|familien|kunden)_?name|vor_?und_?nachname|nom|prenom|nom_de_famille|nom_complet|nom_du_client|nom_client|"
    "nombre|nombre_completo|apellidos?|nome|nome_completo|sobrenome|cognome|naam|voornaam|achternaam|imie|nazwisko|"
    "fornavn|efternavn|etternavn|fornamn|efternamn|etunimi|sukunimi|jmeno|prijmeni",
    # Where one is reached
    "e_?mail_?adresse|adresse_(?:e_?)?mail|courriel|adresse_electronique|correo|correo_electronico|posta_elettronica|"
    "e_?post|e_?post_?adress|telefon|telefon_?(?:nummer|nr)|telefono|telefone|telefoon|telefoonnummer|numero_de_telephone|"
    "handy|handy_?(?:nummer|nr)|mobil|mobil_?(?:nummer|nr|telefon)|rufnummer|movil|celular|cellulare|gsm",
    # Where one lives
    "adresse|adresse_postale|anschrift|strasse|strasse_(?:und_)?(?:hausnummer|nr)|rue|calle|direccion|domicilio|indirizzo|"
    "endereco|adres|adress|gatuadress|ulica",
    # What the state or a bank numbers
    "steuer_?(?:id|nummer)|ausweis_?(?:nummer|nr)|kreditkarte|kreditkarten_?(?:nummer|nr)|personnummer|dni|nif|cpf|"
    "codice_fiscale|carte_bancaire|tarjeta_de_credito",
)
ELSEWHERE = re.compile(f"{PERSON}(?:{'|'.join(WORDS)})_?[0-9]?")
# What an expression may call a column by.
NAMES = re.compile(r"`((?:[^`]|``)+)`|'(?:[^'\\\\]|\\\\.)*'|([^\W\d]\w*)(?!\s*\()")
IS_EXPRESSION = re.compile(r"[(`|]")


def is_personal_name(column: str) -> bool:
    """Whether a column of people, by its name, tells who one is or where one is reached.

    >>> names = "email", "phone_2", "last_name", "billing_address", "loyalty_tier", "city"
    >>> [name for name in names if is_personal_name(name)]
    ['email', 'phone_2', 'last_name', 'billing_address']
    """
    return bool(PERSONAL_NAME.fullmatch(column))


def plain_name(name: str) -> str:
    """A name without capitals, accents and signs.

    >>> plain_name(" E-Mail "), plain_name("Téléphone"), plain_name("Straße/Nr."), plain_name("Prénom")
    ('e_mail', 'telephone', 'strasse_nr', 'prenom')
    """
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "_", bare).strip("_")


def personal_source(text: str) -> str:
    """The source column of a mapping whose name tells that it is personal; blank where none does.

    >>> [personal_source(name) for name in ("Full Name", "lower(`E-Mail`)", "Vorname", "KundenNr", "concat('name', x)")]
    ['Full Name', 'E-Mail', 'Vorname', '', '']
    """
    if _is_personal(text):
        return text
    if not IS_EXPRESSION.search(text):
        return ""
    names = (quoted.replace("``", "`") or word for quoted, word in NAMES.findall(text))
    return next((name for name in names if _is_personal(name)), "")


def _is_personal(name: str) -> bool:
    plain = plain_name(name)
    return bool(PERSONAL_NAME.fullmatch(plain) or ELSEWHERE.fullmatch(plain))
