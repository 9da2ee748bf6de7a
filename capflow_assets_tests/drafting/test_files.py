"""What a draft says of files as they come: how they are written, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.drafting.draft import Drafted, draft
from capflow_assets.errors import SourceError

HEADER = "order_id,customer_id,order_date,total"
DAYS = [f"2024-01-{day:02}" for day in range(1, 29)]


def bills(dates: list[str], delimiter: str = ",", total: str = "{}.50", header: str = HEADER, first: int = 0) -> str:
    rows = [
        delimiter.join((f"B{place}", f"C{place % 9}", date, total.format(place + 1 - first)))
        for place, date in enumerate(dates, first)
    ]
    return "\n".join([header.replace(",", delimiter), *rows]) + "\n"


def drafted(folder: Path, **files: str | bytes) -> Drafted:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return draft([str(folder)], folder, {})


def table(proposal: Drafted, name: str = "bills") -> dict[str, Any]:
    return tomllib.loads(proposal.text)["tables"][name]


def test_a_day_above_twelve_decides_which_number_is_the_month(tmp_path):
    american = table(drafted(tmp_path, bills__csv=bills([f"01/{day:02}/2024" for day in range(1, 29)])))
    assert american["options"] == {"date_format": "M/d/yyyy"}


def test_without_a_day_above_twelve_both_are_named_and_a_person_is_asked(tmp_path):
    dates = ["03/04/2024", "11/02/2024", "05/09/2024", "01/07/2024", "12/03/2024", "02/11/2024", "09/05/2024"]
    proposal = drafted(tmp_path, bills__csv=bills(dates))
    (question,) = [question for question in proposal.questions if "order_date" in question]
    assert "d/M/yyyy or M/d/yyyy" in question
    assert 'date_format = "d/M/yyyy"  # ? or M/d/yyyy' in proposal.text


def test_rows_in_order_of_time_say_which_number_is_the_month(tmp_path):
    dates = [f"{month:02}/{day:02}/2024" for month in range(1, 7) for day in range(1, 13)]
    proposal = drafted(tmp_path, bills__csv=bills(dates))
    assert table(proposal)["options"] == {"date_format": "M/d/yyyy"}
    assert not any("order_date" in question for question in proposal.questions)


def test_two_formats_in_one_column_are_named_with_their_shares(tmp_path):
    proposal = drafted(tmp_path, bills__csv=bills([*DAYS, *(f"{day}.02.2024" for day in range(1, 29))]))
    (question,) = [question for question in proposal.questions if "several formats" in question]
    assert "yyyy-MM-dd (50 %)" in question
    assert "d.M.yyyy (50 %)" in question
    assert set(table(proposal)["options"].values()) == {"yyyy-MM-dd", "d.M.yyyy"}


def test_encoding_delimiter_decimals_banner_totals_and_words_for_nothing_are_seen(tmp_path):
    text = bills(DAYS, ";", "1.{:03},50", "Bestellnummer,Kunde,Bestelldatum,Betrag") + "Summe;;;31.000,00\n"
    banner = "Umsätze der Filiale Köln\n\n"
    proposal = drafted(tmp_path, export__csv=(banner + text).replace(";C3;", ";NULL;").encode("cp1252"))
    assert table(proposal) == {
        "source": "csv",
        "location": "export.csv",
        "options": {
            "encoding": "cp1252",
            "delimiter": ";",
            "header_row": 3,
            "skip_last": 1,
            "null_values": ["NULL"],
            "decimal_comma": True,
        },
        "columns": {
            "bill_id": "Bestellnummer", "user_id": "Kunde", "billed_at": "Bestelldatum", "amount": "Betrag",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("total", "options"),
    [
        ("${},999.00", {"currency_sign": True, "thousands": ","}),
        ("{} 999,00 kr", {"currency_sign": "kr", "decimal_comma": True, "thousands": " "}),
        ("({}.00)", {"negative": "parentheses"}),
    ],
)
def test_how_numbers_are_written_is_seen(total, options, tmp_path):
    text = bills(DAYS, ";", total)
    assert table(drafted(tmp_path, bills__csv=text))["options"] == {"delimiter": ";", **options}


def test_columns_of_other_languages_are_known(tmp_path):
    headers = {
        "fr": "N° de commande,Code client,Date de commande,Montant",
        "es": "Número de pedido,Cliente,Fecha,Importe",
        "it": "Numero ordine,Cliente,Data ordine,Importo",
        "pt": "Número do pedido,Cliente,Data,Valor",
        "nl": "Bestelnummer,Klantnummer,Besteldatum,Bedrag",
        "pl": "Numer zamówienia,Klient,Data,Kwota",
        "sv": "Ordernummer,Kundnummer,Datum,Belopp",
        "tr": "Sipariş No,Müşteri,Tarih,Tutar",
        "de": "Rechnungsnummer,Kundennummer,Rechnungsdatum,Gesamtbetrag",
    }
    for language, header in headers.items():
        folder = tmp_path / language
        folder.mkdir()
        columns = table(drafted(folder, bills__csv=bills(DAYS, header=header)))["columns"]
        named = dict(zip(("bill_id", "user_id", "billed_at", "amount"), header.split(","), strict=True))
        assert columns == named, language


def test_packed_files_json_lines_and_folders_of_several_kinds_are_tables(tmp_path):
    for month in range(1, 5):
        text = bills([f"2024-{month:02}-{day:02}" for day in range(1, 29)])
        (tmp_path / f"bills-{month}.csv.gz").write_bytes(gzip.compress(text.encode()))
    users = [{"customer_id": f"C{place}", "city": ("Oslo", "Bergen")[place % 2]} for place in range(9)]
    (tmp_path / "customers.jsonl").write_text("\n".join(map(json.dumps, users)))
    with zipfile.ZipFile(tmp_path / "lines.zip", "w") as archive:
        rows = [f"B{place},S{place % 5},1,{place + 1}.50" for place in range(28, 140)]
        archive.writestr("order_lines.csv", "\n".join(["order_id,sku,quantity,amount", *rows * 2]))
    proposal = draft([str(tmp_path)], tmp_path, {})
    tables = tomllib.loads(proposal.text)["tables"]
    assert {name: declared["location"] for name, declared in tables.items()} == {
        "bills": "bills-*.csv.gz", "line_items": "lines.zip", "users": "customers.jsonl",
    }  # fmt: skip


def test_numbers_of_bills_that_begin_anew_with_each_day_are_told_apart_by_it(tmp_path):
    rows = [f"{place % 4},C{place % 7},2024-01-{1 + place // 4:02},2.50" for place in range(80)]
    proposal = drafted(tmp_path, bills__csv="\n".join([HEADER, *rows]))
    assert table(proposal)["bill_key"] == ["day", "bill"]
    assert any("order_id stands on several bills" in question for question in proposal.questions)


def test_a_file_of_one_column_says_what_it_has_and_what_is_needed(tmp_path):
    with pytest.raises(SourceError) as refusal:
        drafted(tmp_path, one__csv="x\n1\n2\n3\n")
    assert "one, 3 rows of x (number)" in str(refusal.value)
    assert "lines with a bill's number" in str(refusal.value)


def test_pictures_called_csv_are_pictures_and_their_neighbours_are_drafted(tmp_path):
    photo = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500)
    proposal = drafted(tmp_path, photo__csv=photo, bills__csv=bills(DAYS))
    assert table(proposal)["location"] == "bills.csv"
    (refusal,) = proposal.refused
    assert "photo.csv: a picture (JPEG)" in refusal


def test_two_brands_in_a_file_are_asked_about(tmp_path):
    rows = [
        f"{'AB'[place % 2]},B{place},C{place % 7},2024-01-05,S{line},1,2.5" for place in range(40) for line in (1, 2)
    ]
    proposal = drafted(tmp_path, all__csv="\n".join(["brand,order_id,customer_id,order_date,sku,qty,total", *rows]))
    assert any("'A', 'B'" in question and "several brands" in question for question in proposal.questions)


def test_two_brands_in_a_file_that_both_number_their_bills_from_one_are_asked_about(tmp_path):
    rows = [f"{place},C{place % 7},2024-0{1 + place % 9}-05,2.5,A" for place in range(40)]
    rows += [f"{place},C{place % 5},2023-0{1 + place % 7}-09,3.5,B" for place in range(40)]
    proposal = drafted(tmp_path, all__csv="\n".join(["order_id,customer_id,order_date,total,brand", *rows]))
    assert any("'A', 'B', and order_id begins anew" in question for question in proposal.questions)
    assert not any("as what was bought" in question for question in proposal.questions)


def test_people_are_named_by_no_column_of_a_draft(tmp_path):
    rows = [f"C{place},Ann,ann{place}@example.com,+47 22 44 22 {place:02},Oslo" for place in range(20)]
    users = "\n".join(["customer_id,first_name,e_mail,phone,city", *rows])
    proposal = drafted(tmp_path, customers__csv=users, bills__csv=bills(DAYS))
    assert table(proposal, "users")["columns"] == {"user_id": "customer_id", "city": "city"}
    assert "left out, since they name people: first_name, e_mail, phone" in proposal.text


def test_a_folder_of_three_kinds_is_two_tables_and_the_pictures_are_named_together(tmp_path):
    for month in range(1, 13):
        numbers = range(28 * month, 28 * month + 28)
        days = [f"2024-{month:02}-{day:02}" for day in range(1, 29)]
        (tmp_path / f"bills_{month:02}.csv").write_text(bills(days, first=28 * month))
        rows = [f"B{number},S{number % 5},1,{number - 28 * month + 1}.50" for number in numbers]
        (tmp_path / f"lines_{month:02}.csv").write_text("\n".join(["order_id,sku,quantity,amount", *rows]))
        (tmp_path / f"photo_{month:02}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(99))
    proposal = draft([str(tmp_path)], tmp_path, {})
    tables = tomllib.loads(proposal.text)["tables"]
    assert {name: declared["location"] for name, declared in tables.items()} == {
        "bills": "bills_*.csv", "line_items": "lines_*.csv",
    }  # fmt: skip
    (refusal,) = proposal.refused
    assert "and 9 more: a picture (JPEG)" in refusal
    assert not any("two brands" in question for question in proposal.questions)


@pytest.mark.parametrize("name", ["Total\nin EUR", 'Total "net"', "Total\x1b[2J", "Total # 1", "Total\\x", "Total `x`"])
def test_names_of_columns_cannot_break_out_of_the_toml(name, tmp_path):
    quoted = '"' + name.replace('"', '""') + '"'
    proposal = drafted(tmp_path, bills__csv=bills(DAYS, header=f"order_id,customer_id,order_date,{quoted}"))
    assert table(proposal)["columns"]["amount"] == name


def test_amounts_in_the_signs_of_several_currencies_are_asked_about(tmp_path):
    euros, dollars = bills(DAYS, total="€{}.50"), bills(DAYS, total="${}.50", first=100).partition("\n")[2]
    proposal = drafted(tmp_path, bills__csv=euros + dollars)
    (question,) = [question for question in proposal.questions if "currency" in question]
    assert "€ (50 %), $ (50 %)" in question


def test_marks_before_three_digits_of_money_are_thousands(tmp_path):
    proposal = drafted(tmp_path, bills__csv=bills(DAYS, ";", "¥{},028"))
    assert table(proposal)["options"] == {"delimiter": ";", "thousands": ",", "currency_sign": True}
    assert 'currency = "JPY"  # ? amounts are written with ¥' in proposal.text


STATUSES = ("Completed", "Pending payment", "wc-cancelled", "Payment failed", "Pending fulfilment")


def test_a_status_is_no_purchase_whatever_it_says_beside(tmp_path):
    head, *rows = bills(DAYS).splitlines()
    lines = [f"{head},status", *(f"{row},{STATUSES[place % 5]}" for place, row in enumerate(rows))]
    proposal = drafted(tmp_path, bills__csv="\n".join(lines) + "\n")
    where = table(proposal)["where"]
    assert where == "coalesce(status, '') not in ('Payment failed', 'Pending payment', 'wc-cancelled')"


PAYMENTS = "id,Created date (UTC),Amount,Amount Refunded,Status,Seller Message,Card ID,Customer ID,Invoice ID"


def test_payments_are_bills_of_the_customer_and_not_of_the_card_less_what_was_given_back(tmp_path):
    rows = [
        f"ch_{place},{day} 10:00:00,{place + 20}.00,{place % 2}.00,Paid,Payment complete.,card_{place},cus_{place % 9},"
        for place, day in enumerate(DAYS * 3)
    ]
    mapped = table(drafted(tmp_path, unified_payments__csv="\n".join([PAYMENTS, *rows]) + "\n"))["columns"]
    assert mapped == {
        "bill_id": "id",
        "user_id": "Customer ID",
        "billed_at": "concat(`Created date (UTC)`, 'Z')",
        "amount": "Amount - coalesce(`Amount Refunded`, 0)",
    }


def test_a_known_export_is_recognised_as_of_another_release_and_in_another_currency(tmp_path):
    head = "id,Customer ID,Created date (UTC),Amount,Amount Refunded,Captured,Status,Currency"
    rows = [
        f"ch_{place},cus_{place % 9},{day} 10:00:00,{place}.00,0.00,TRUE,Paid,gbp" for place, day in enumerate(DAYS)
    ]
    proposal = drafted(tmp_path, unified_payments__csv="\n".join([head, *rows]) + "\n")
    assert proposal.program == "stripe"
    assert table(proposal)["columns"]["billed_at"] == "concat(`Created date (UTC)`, 'Z')"
    assert table(proposal)["where"].endswith("lower(Currency) = 'gbp'")


def test_a_glob_means_the_files_of_next_month_as_well_and_a_hundred_others_are_named_together(tmp_path):
    for month in range(1, 4):
        days = [f"2024-{month:02}-{day:02}" for day in range(1, 29)]
        (tmp_path / f"sales_2024{month:02}.csv").write_text(bills(days, first=100 * month))
    for place in range(100):
        (tmp_path / f"note_{place:03}.txt").write_text(f"hello {place}\n")
    proposal = draft([str(tmp_path)], tmp_path, {})
    assert table(proposal)["location"] == "sales_*.csv"
    assert proposal.text.count("left out") == 1
    assert "note_000, note_001, note_002 … and 97 more: left out" in proposal.text


def test_names_of_a_list_of_items_are_names(tmp_path):
    items = [{"sku": f"s{place}", "name": f"n{place}", "category": "c"} for place in range(9)]
    lines = [f"{place},u{place % 7},{day},s{place % 9},1,{place}.50" for place, day in enumerate(DAYS)]
    (tmp_path / "p1.json").write_text(json.dumps(items))
    (tmp_path / "o1.csv").write_text("\n".join(["order_id,customer_id,order_date,sku,quantity,amount", *lines]) + "\n")
    proposal = draft([str(tmp_path)], tmp_path, {})
    assert table(proposal, "items")["columns"] == {"item_id": "sku", "name": "name", "category": "category"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bills(DAYS).encode() + b"\0" * 9000, "text with NUL bytes in it"),
        (b'[{"order_id": "B1", "customer_id": "C1", "ord', "no record that can be read"),
    ],
)
def test_a_file_that_is_cut_off_says_so(content, words, tmp_path):
    with pytest.raises(SourceError, match=words):
        drafted(tmp_path, export__csv=content)


def test_ids_that_differ_in_capitals_alone_are_asked_about(tmp_path):
    proposal = drafted(tmp_path, bills__csv=bills(DAYS).replace("C1,2024-01-0", "c1,2024-01-0"))
    (question,) = [question for question in proposal.questions if "capitals" in question]
    assert "C1 and c1" in question
    assert not any("capitals" in question for question in drafted(tmp_path, bills__csv=bills(DAYS)).questions)


def test_two_columns_of_one_name_and_numbers_of_bills_on_several_rows_are_asked_about(tmp_path):
    head, *rows = bills(DAYS, header="order_id,customer_id,order_date,amount").splitlines()
    lines = [f"{row},{place}.25" for place, row in enumerate(rows)]
    proposal = drafted(tmp_path, bills__csv="\n".join([f"{head},amount", *lines, *lines]) + "\n")
    questions = " ".join(proposal.questions)
    assert "several columns are called 'amount'" in questions
    assert "order_id stands on several rows: are they lines of a bill?" in questions


def test_letters_of_a_bills_number_are_no_currency(tmp_path):
    rows = [f"R{place:06},C{place % 9},{day},{place + 1}.50" for place, day in enumerate(DAYS)]
    proposal = drafted(tmp_path, bills__csv="\n".join([HEADER, *rows]))
    assert tomllib.loads(proposal.text)["currency"] == "XXX"
    assert not any("written with R" in question for question in proposal.questions)


@pytest.mark.parametrize(("guests", "is_taken"), [(12, True), (1, False)])
def test_a_user_of_number_nought_is_asked_about_with_the_figures_whether_taken_for_guests_or_not(
    guests, is_taken, tmp_path
):
    users = ["0"] * guests + [str(place % 9 + 1) for place in range(28 - guests)]
    rows = [f"B{place},{user},{DAYS[place]},{place + 1}.50" for place, user in enumerate(users)]
    proposal = drafted(tmp_path, bills__csv="\n".join([HEADER, *rows]))
    (question,) = [question for question in proposal.questions if "is user 0 a person?" in question]
    assert f"stands on {guests} bills of the sample, the next user on {2 if is_taken else 3}" in question
    assert ("taken for guests" in question) == is_taken
    assert tomllib.loads(proposal.text).get("not_a_user", []) == (["0"] if is_taken else [])
    assert ('not_a_user = ["0"]  # ?' in proposal.text) == is_taken


def test_a_word_for_guests_is_no_question(tmp_path):
    rows = [f"B{place},{'GUEST' if place % 2 else f'C{place}'},{day},{place + 1}.50" for place, day in enumerate(DAYS)]
    proposal = drafted(tmp_path, bills__csv="\n".join([HEADER, *rows]))
    assert 'not_a_user = ["GUEST"]  # GUEST: a word for guests' in proposal.text
    assert not any("a person?" in question for question in proposal.questions)


def test_files_of_two_brands_with_the_same_numbers_are_asked_about_and_their_glob_is_cut_between_words(tmp_path):
    proposal = drafted(tmp_path, alba_sales__csv=bills(DAYS), bora_sales__csv=bills(DAYS))
    assert table(proposal)["location"] == "*_sales.csv"
    (question,) = [question for question in proposal.questions if "two brands" in question]
    assert "100 % of the numbers in alba_sales.csv stand in bora_sales.csv too" in question
    assert not any("lines of a bill" in question for question in proposal.questions)


def test_a_glob_is_cut_within_a_word_where_a_wider_one_would_mean_other_files(tmp_path):
    files = {"alba_sales__csv": bills(DAYS), "bora_sales__csv": bills(DAYS, first=28)}
    proposal = drafted(tmp_path, **files, costs_sales__csv="a,b\n1,2\n")
    assert table(proposal)["location"] == "*a_sales.csv"


def test_days_that_can_be_read_one_way_alone_are_not_said_to_be_doubtful(tmp_path):
    proposal = drafted(tmp_path, bills__csv=bills([*DAYS, *(f"{day}.02.2024" for day in range(1, 29))]))
    (question,) = [question for question in proposal.questions if "several formats" in question]
    assert "both are read" in question
    assert "either way round" not in question


def test_pictures_called_tables_are_refused_with_the_whole_reason(tmp_path):
    with pytest.raises(SourceError) as caught:
        drafted(tmp_path, one__csv=b"\x89PNG" + bytes(600), two__csv=b"\xff\xd8\xff" + bytes(600))
    assert str(caught.value).count('[tables.media], source = "files"') == 2
    assert "more characters" not in str(caught.value)


@pytest.mark.parametrize(("said", "kept"), [("", "JPY"), ("KWD", "KWD"), ("kwd", "KWD"), ("USD", None)])
def test_rows_of_the_currency_that_a_person_says_are_kept_and_not_those_of_the_commonest(said, kept, tmp_path):
    rows = [f"B{place},C{place % 9},{day},5,{'KWD' if place % 3 else 'JPY'}\n" for place, day in enumerate(DAYS)]
    rows += [f"X{place},C{place % 9},{day},700,JPY\n" for place, day in enumerate(DAYS)]
    (tmp_path / "bills.csv").write_text(HEADER + ",currency\n" + "".join(rows))
    proposal = draft([str(tmp_path)], tmp_path, {"currency": said} if said else {})
    assert table(proposal).get("where") == (f"upper(currency) = '{kept}'" if kept else None)
    assert any("never USD" in question for question in proposal.questions) is (said == "USD")


@pytest.mark.parametrize(
    ("clock", "value", "form"),
    [
        (lambda n: f"{9 + n % 9}h{n % 60:02}", "concat(day, ' ', heure)", "yyyy-MM-dd H'h'mm"),
        (lambda n: f"{9 + n % 9}{n % 60:02}", "concat(day, ' ', lpad(heure, 4, '0'))", "yyyy-MM-dd HHmm"),
        (lambda n: f"{9 + n % 9}{n % 60:02}07", "concat(day, ' ', lpad(heure, 6, '0'))", "yyyy-MM-dd HHmmss"),
    ],
)
def test_a_time_of_day_beside_the_day_is_read_however_it_is_written(clock, value, form, tmp_path):
    rows = [f"B{n},C{n % 9},{DAYS[n % 28]},{clock(n)},{n + 1}.50" for n in range(80)]
    proposal = drafted(tmp_path, bills__csv="\n".join(["order_id,customer_id,day,heure,total", *rows]) + "\n")
    assert table(proposal)["columns"]["billed_at"] == value
    assert table(proposal)["options"]["timestamp_format"] == form


def test_a_row_of_units_below_the_names_makes_no_text_of_numbers(tmp_path):
    rows = [f"B{n // 2};C{n % 9};{DAYS[n % 28]};P{n % 5};{n % 3 + 1};{(n % 3 + 1) * 2},50" for n in range(60)]
    text = "\n".join(["Beleg;Kunde;Datum;Artikel;Menge;Betrag", ";;;;Stk;EUR", *rows]) + "\n"
    proposal = drafted(tmp_path, lines__csv=text)
    assert table(proposal, "line_items")["columns"]["quantity"] == "Menge"
    assert "is of units (Stk EUR)" in proposal.text


def test_a_count_of_seconds_whose_name_is_not_known_may_be_the_time(tmp_path):
    rows = [f"{n},A{n % 9},{1_704_100_000_000 + n * 86_400_000},{n + 1}" for n in range(60)]
    text = "\n".join(["id,account_id,happened,value", *rows]) + "\n"
    proposal = drafted(tmp_path, transactions__csv=text)
    assert table(proposal)["columns"]["billed_at"] == "happened"
    assert table(proposal)["options"]["timestamp_format"] == "epoch_ms"
