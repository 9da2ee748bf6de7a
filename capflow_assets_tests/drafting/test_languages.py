"""Drafts of files that speak other languages than English: their encodings, the words of their heads, their money."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from capflow_assets.drafting.draft import draft
from capflow_assets.drafting.encodings import encoding_of

CANONICAL = ("bill_id", "billed_at", "store_id", "user_id", "item_id", "item_name", "quantity", "amount")
# Head, encoding, store and currency's sign of tills in five languages. The last column but one is the price of a piece.
HEADS = {
    "turkish": (
        "Fiş No;Tarih;Mağaza;Müşteri No;Ürün Kodu;Ürün Adı;Adet;Birim Fiyat;Tutar", "cp1254", "Kadıköy", " TL",
    ),
    "japanese": (
        "伝票番号;購入日時;店舗;会員番号;商品コード;商品名;数量;単価;金額", "cp932", "渋谷①店", "円",
    ),
    "chinese": (
        "订单编号;订单日期;门店;会员编号;商品编码;商品名称;数量;单价;金额", "gb18030", "上海店", "元",
    ),
    "korean": (
        "주문번호;주문일시;매장;회원번호;상품코드;상품명;수량;단가;금액", "cp949", "강남점", "원",
    ),
    "russian": (
        "Номер чека;Дата;Магазин;Номер клиента;Код товара;Название;Количество;Цена;Сумма", "cp1251", "Арбат", " руб.",
    ),
}  # fmt: skip
CURRENCIES = {"turkish": "TRY", "japanese": "JPY", "chinese": "CNY", "korean": "KRW", "russian": "RUB"}


def written(path: Path, head: str, encoding: str, store: str, sign: str) -> None:
    rows = [head]
    for number in range(120):
        price, pieces = 100 + 37 * (number % 40), 1 + number % 3
        day = f"2024-{1 + number // 28:02}-{1 + number // 2 % 28:02} 10:{number // 2 % 60:02}:00"
        line = [
            f"{number // 2:06}",
            day,
            store,
            f"K{number // 2 % 17:04}",
            f"P{number % 11:03}",
            f"{store} {number % 11}",
        ]
        rows.append(";".join([*line, str(pieces), f"{price}{sign}", f"{price * pieces}{sign}"]))
    path.write_bytes(("\n".join(rows) + "\n").encode(encoding))


@pytest.mark.parametrize("language", HEADS)
def test_a_till_in_its_own_language_and_encoding_is_drafted_whole(language, tmp_path):
    head, encoding, store, sign = HEADS[language]
    written(tmp_path / "export.csv", head, encoding, store, sign)
    drafted = tomllib.loads(draft([str(tmp_path)], tmp_path, {}).text)
    lines, names = drafted["tables"]["line_items"], head.split(";")
    del names[-2]
    assert lines["options"]["encoding"] == encoding
    assert lines["columns"] == dict(zip(CANONICAL, names, strict=True))
    assert drafted["currency"] == CURRENCIES[language]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("store;total\nKadıköy;1\nBeşiktaş;2\nÜsküdar;3\n", "cp1254"),
        ("store;total\nReykjavík;1\nÞórshöfn;2\nAkureyri og nágrenni við Ísafjörð;3\n", "cp1252"),
        ("Beleg-Nr.;Geschäft\n1;Köln\n2;Düsseldorf\n", "cp1252"),
        ("nr paragonu;ilość\n1;2\nłódź;3\n", "cp1250"),
    ],
)  # fmt: skip
def test_letters_tell_encodings_apart_where_several_read_the_bytes(text, encoding):
    assert encoding_of([text.encode(encoding)]) == encoding
