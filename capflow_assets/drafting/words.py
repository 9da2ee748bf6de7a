"""What a column's name says, in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Scandinavian,
Turkish, Russian, Japanese, Chinese and Korean: the meanings of its words. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from capflow_assets.drafting.eastern_words import EASTERN, PARTS, RUSSIAN
from capflow_assets.landing.personal_names import plain_name

BILL, LINE, ITEM, SKU, USER, STORE, TILL = "bill", "line", "item", "sku", "user", "store", "till"
DATE, TIME, QUANTITY, PRICE, UNIT, AMOUNT = "date", "time", "quantity", "price", "unit", "amount"
NET, GROSS, SUB, TAX, DISCOUNT, SHIPPING, COST = "net", "gross", "sub", "tax", "discount", "shipping", "cost"
STATUS, NAME, DESCRIPTION, CATEGORY, DEPARTMENT = "status", "name", "description", "category", "department"
BRAND, CURRENCY, CITY, REGION, COUNTRY, EMAIL = "brand", "currency", "city", "region", "country", "email"
JOINED, ID, OTHER, SALES, REFUND, COMPANY = "joined", "id", "other", "sales", "refund", "company"

VOCABULARY = {
    BILL: "order orders invoice invoices receipt receipts bill bills transaction transactions trans txn trx basket "
    "baskets ticket tickets purchase purchases checkout rechnung rechnungen beleg belege bon bons kassenbon kassenbons "
    "kassenbeleg bestellung bestellungen bestell bestel auftrag auftraege auftrags einkauf facture factures commande "
    "commandes recu "
    "achat pedido pedidos factura facturas recibo orden ordenes compra compras ordine ordini scontrino fattura fatture "
    "ricevuta acquisto fatura nota cupom encomenda bestelling bestellingen factuur kassabon aankoop zamowienie "
    "zamowienia paragon faktura rachunek transakcja ordre kvitto kvittering bestilling bong siparis fis",
    LINE: "line lines lineitem lineitems row detail details position positionen zeile posten ligne lignes linea lineas "
    "riga righe linha linhas regel regels pozycja wiersz rad rader linje satir seq sequence",
    ITEM: "item items product products article articles stock goods listing variant track artikel produkt produkte "
    "produit produits articulo articulos producto productos articolo prodotto prodotti artigo produto produtos towar "
    "artykul vara vare varer urun material",
    SKU: "sku pzn ean upc gtin barcode plu asin isbn",
    USER: "customer customers client clients user users member members buyer buyers shopper shoppers account card "
    "loyalty household contact kunde kunden kundin mitglied kaeufer kundenkarte karte acheteur adherent carte cliente "
    "clientes comprador socio tarjeta tessera cartao klant klanten klantenkaart lid klient karta kund kunder "
    "musteri subscriber subscribers abonnent abonnenten abonne patient patients hshd hh acct",
    STORE: "store stores shop shops branch outlet location filiale filialen laden markt standort magasin boutique "
    "tienda sucursal negozio loja filial winkel filiaal vestiging sklep butik butikk magaza sube site seller sellers",
    TILL: "till register terminal kasse caisse caja cassa caixa kassa kasa pos",
    DATE: "date day datum tag jour fecha dia data giorno dato dag dzien tarih dt at on created placed timestamp "
    "datetime moment when wann quand cuando quando zeitpunkt zeitstempel horodatage kaufdatum ordered purchased sold "
    "bought billed invoiced ts",
    TIME: "time clock uhrzeit zeit heure hora ora tijd godzina czas tid saat tm",
    QUANTITY: "quantity qty quant units pieces pcs count menge anzahl stueck stuck stuckzahl quantite qte cantidad "
    "cant unidades quantita qta quantidade qtd qtde aantal hoeveelheid ilosc antal antall adet miktar cases cartons "
    "boxes packs bottles pallets",
    PRICE: "price preis prix precio prezzo preco prijs cena pris fiyat",
    UNIT: "unit single each einzel unitaire unitario unitaria stuks stukprijs jednostkowa jednostkowy enhet birim per",
    AMOUNT: "amount total totals sum value revenue spend spent paid betrag summe gesamt gesamtbetrag wert montant "
    "somme importe monto importo totale valore valor montante bedrag totaal kwota suma wartosc belopp summa belob sum "
    "tutar toplam turnover umsatz",
    SALES: "sale sales verkauf vente ventes venta ventas vendita vendite venda vendas verkoop sprzedaz salg satis",
    NET: "net netto neto",
    GROSS: "gross brutto brut bruto",
    SUB: "sub subtotal zwischensumme subcategory",
    TAX: "tax taxes vat mwst ust steuer tva iva btw podatek moms mva kdv duties",
    DISCOUNT: "discount discounts rebate rabatt nachlass remise reduction descuento descuentos sconto desconto korting "
    "rabat indirim markdown",
    SHIPPING: "shipping freight delivery postage versand porto livraison envio spedizione frete verzending wysylka "
    "frakt kargo",
    COST: "cost cogs kosten cout costo custo koszt kostnad maliyet profit margin asset fee fees commission tip",
    STATUS: "status zustand statut estado stato staat stan tilstand durum fulfillment financial",
    NAME: "name title nom nombre nome naam nazwa navn namn isim adi titel titre titulo titolo",
    DESCRIPTION: "description desc descripcion descrizione descricao omschrijving opis beskrivning beskrivelse "
    "aciklama beschreibung bezeichnung designation libelle denominazione",
    CATEGORY: "category categories categorie group segment genre kategorie warengruppe gruppe famille rayon categoria "
    "categorias gruppo grupo groep kategoria grupa varugrupp kategori subclass class collection secao seccion sezione",
    DEPARTMENT: "department dept abteilung departement departamento reparto afdeling dzial avdelning division",
    BRAND: "brand brands marke marque marca merk marka maerke vendor manufacturer hersteller fabricante",
    COMPANY: "company tenant mandant entity banner concept label firma societe empresa",
    CURRENCY: "currency waehrung wahrung devise moneda valuta moeda waluta",
    CITY: "city town stadt ort ville ciudad citta cidade plaats stad miasto by sehir",
    REGION: "region state province bundesland provincia provincie wojewodztwo lan fylke",
    COUNTRY: "country land pays pais paese kraj ulke",
    EMAIL: "email mail courriel correo",
    JOINED: "joined registered registration signup anmeldung inscription registro cadastro since seit",
    REFUND: "refund refunds refunded return returned erstattung retoure remboursement reembolso rimborso",
    ID: "id ids no nr num number key code nummer numero numer identifier uid guid uuid oid ref reference kod n",
    OTHER: "shipped ship delivered due required cancelled canceled updated modified approved fulfilled exported "
    "expires expiry birth processed closed lieferung",
}  # fmt: skip
MEANINGS = {
    word: meaning
    for words_by_meaning in (VOCABULARY, {of: plain_name(words).replace("_", " ") for of, words in RUSSIAN.items()})
    for meaning, words in words_by_meaning.items()
    for word in words.split()
}
# Parts of words that are written without blanks between them, the longest first, as names come to be compared.
EASTERN_MEANINGS = dict(
    sorted(
        ((plain_name(part), meaning) for meaning, parts in PARTS.items() for part in parts.split()),
        key=lambda pair: -len(pair[0]),
    )
)
MEANINGS_OF_TWO = {"subtotal": {SUB, AMOUNT}, "subcategory": {SUB, CATEGORY}, "lineitem": {LINE, ITEM}}
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What joins the parts of a compound: Auftrag-s-nummer, Kunde-n-nummer.
JOINTS = ("", "s", "n", "en", "es", "e")
SHORTEST_PART = 2
ABBREVIATED = frozenset({"art", "artnr", "prod"})


def tokens(name: str) -> list[str]:
    """The words of a name, small and without accents.

    >>> tokens("InvoiceNo"), tokens("Sub-Category"), tokens("N° de commande"), tokens("line_items.sku")
    (['invoice', 'no'], ['sub', 'category'], ['n', 'de', 'commande'], ['line', 'items', 'sku'])
    """
    return [word for word in plain_name(CAMEL.sub("_", name)).split("_") if word]


@cache
def meaning(name: str) -> frozenset[str]:
    """What the words of a name mean; nothing for words that are not known.

    >>> sorted(meaning("Order Date")), sorted(meaning("Kundennummer")), sorted(meaning("E-Mail"))
    (['bill', 'date'], ['id', 'user'], ['email'])
    >>> sorted(meaning("Einzelpreis")), sorted(meaning("prix_unitaire")), sorted(meaning("PIN_CODE"))
    (['price', 'unit'], ['price', 'unit'], ['id'])
    >>> sorted(meaning("伝票番号")), sorted(meaning("订单日期")), sorted(meaning("Номер чека"))
    (['bill', 'id'], ['bill', 'date'], ['bill', 'id'])
    """
    words = tokens(name)
    tags = frozenset(tag for word in words for tag in _of_word(word))
    # Art.-Nr. is that of an article; Art alone is German for a kind.
    return tags | {ITEM} if ID in tags and ABBREVIATED & set(words) else tags


def is_known(name: str) -> bool:
    """Whether every word of a name is known.

    >>> is_known("Order ID"), is_known("EmployeeID")
    (True, False)
    """
    return bool(tokens(name)) and all(map(_of_word, tokens(name)))


@cache
def _of_word(word: str) -> frozenset[str]:
    if word in MEANINGS_OF_TWO:
        return frozenset(MEANINGS_OF_TWO[word])
    if word in MEANINGS:
        return frozenset([MEANINGS[word]])
    if EASTERN.search(word):
        return frozenset(_eastern(word))
    for place in range(SHORTEST_PART + 1, len(word) - SHORTEST_PART + 1):
        last = MEANINGS.get(word[place:])
        first = next((MEANINGS[stem] for joint in JOINTS if (stem := _stem(word[:place], joint)) in MEANINGS), None)
        if first and last and len(word) - place > SHORTEST_PART - (last == ID):
            return frozenset([first, last])
    return frozenset()


def _eastern(word: str) -> Iterator[str]:
    while word:
        part = next((part for part in EASTERN_MEANINGS if word.startswith(part)), "")
        if part:
            yield EASTERN_MEANINGS[part]
        word = word[len(part) or 1 :]


def _stem(word: str, joint: str) -> str:
    return word.removesuffix(joint) if joint and len(word) > len(joint) + SHORTEST_PART else word
