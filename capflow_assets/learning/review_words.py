"""What a review says in words: its tokens, and how kind they are by a list of words that needs no customer.

The list holds frequent kind and unkind words of five languages, and signs that stand for a face or a hand. It is short
on purpose: it is the rule where nobody has given stars or labels, and what a model has to beat where somebody has.
A word after a negation counts the other way round ("not good").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# How many words a negation reaches.
REACH = 2
WORD = re.compile(r"[^\W\d_]+|[\u2600-\u27bf\U0001f300-\U0001faff]")
# Scripts that put no space between words: what they say is in pairs of signs.
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")

KIND = """
amazing awesome beautiful best better brilliant comfortable comfy delicious delighted durable easy enjoy enjoyed
excellent fabulous fantastic fast favourite favorite fine fresh friendly glad good gorgeous great happy helpful ideal
impressed impressive kind like liked love loved lovely nice outstanding perfect perfectly pleasant pleased polite
quick recommend recommended reliable satisfied soft solid sturdy stylish super superb tasty thanks useful well
wonderful worth angenehm aufmerksam ausgezeichnet ausgezeichnete begeistert beste bequem empfehlen empfehlenswert
erstklassig fantastisch freundlich freundliche freundliches froh gefällt genial gerne glücklich gut gute guter gutes
herrlich hervorragend hilfsbereit hilfsbereite hochwertig klasse lecker lieben liebe perfekt praktisch prima schnell
schnelle schön schöne schönes sehrgut spitze stabil toll tolle tolles traumhaft weich wunderbar wunderschön zufrieden
zuverlässig adorable adore agréable aimable aime beau belle bien bon bonne confortable content contente excellente
facile fantastique formidable génial géniale gentil gentille gentils heureux idéal impeccable joli jolie magnifique
meilleur merci merveilleux parfait parfaite parfaitement pratique rapide ravi ravie recommande satisfait satisfaite
solide superbe agradable amable bonita bonito bueno buena cómodo cómoda contento contenta delicioso encanta encantado
excelente fácil fantástico gracias increíble maravilloso mejor perfecto perfecta práctico rápido rápida recomiendo
recomendable rico satisfecho bello bella bellissimo bravo buono buona buonissimo comodo comoda consiglio eccellente
fantastico felice gentile gentili gradevole grazie ideale magnifico meraviglioso migliore ottimo ottima perfetto
perfetta piace piacevole pratico rapido soddisfatto squisito veloce
😀 😃 😄 😁 😊 😍 🥰 😘 🤩 😋 👍 👏 🙌 💯 ❤ 💕 ✨ ⭐ 🌟 ☺ 🎉 💪 👌 ✅
"""
UNKIND = """
annoying awful bad boring broke broken cheap complaint complain cracked damaged defective dirty disappointed
disappointing disappointment disgusting dreadful expensive fail failed failure fake faulty hate hated horrible ignored
impolite junk lacking late lost mess nasty overpriced pathetic poor poorly problem problems refund regret ridiculous
rubbish rude scam shoddy slow terrible tight tiny torn ugly uncomfortable unfriendly unhappy unhelpful unreliable
useless waste weak worse worst worthless wrong ärgerlich ärgern beschädigt billig billiges defekt dreckig ekelhaft
enttäuscht enttäuschend enttäuschung falsch falsche fehler fehlerhaft furchtbar grauenhaft hässlich kaputt katastrophe
langsam langweilig leider mangelhaft mies miserabel mühsam nutzlos peinlich probleme reklamation schlecht schlechte
schlechter schlechtes schlimm schmutzig schrecklich schreckliche teuer unangenehm unbequem unbrauchbar unfreundlich
unfreundliche unfreundliches ungenügend unverschämt unverschämte unzufrieden verlor verspätet wertlos zerrissen abîmé
affreux arnaque cassé cassée catastrophe cher chère déchiré déçu déçue décevant décevante défaut défectueux
désagréable dommage ennuyeux erreur fragile honte impoli impolis inconfortable inutile laid lent lente mal mauvais
mauvaise médiocre moche nul nulle pénible pire problème retard sale triste aburrido asco barato caro decepción
decepcionado decepcionada decepcionante defectuoso demora desagradable dañado error estafa feo incómodo inútil lento
mala malo mediocre peor pésimo problema queja rompió roto sucio brutto cattivo cattiva costoso danneggiato deludente
deluso delusa difettoso errore maleducato orribile peggio peggiore pessimo pessima rotto rotta ritardo schifo scomodo
scortese sporco terribile truffa 😞 😟 😠 😡 😢 😭 😤 🤬 😒 😣 😩 😫 🤢 🤮 👎 💔 💩 ☹ ❌ 😱 🙄
"""
# Words that hold sentences together, and name nothing, by language.
JOINING = {
    "en": """
    the and that this was were are had has have been for with from they their them there you your our his her its but
    than then too very all any one out into over after before when who what which would could will just only also more
    some is it my to of at be me am on in an a
    """,
    "de": """
    der die das den dem des ein eine einen einem einer und oder aber ist war sind waren hat habe haben wurde worden wird
    mit von vom zum zur bei beim auf aus für nach vor über sie ich wir man mir mich sich wie als auch noch nur sehr
    schon dass es zu im am in an
    """,
    "fr": """
    le la les un une du de et ou mais est sont était ont avec pour par sur dans aux en il elle elles ils nous vous mon
    ma mes son sa ses ce cette ces qui que plus très tout tous des à au je on ne a
    """,
    "es": "el la los las una unos de en a me y pero es era con para por que del al se mi su sus muy más lo como todo",
    "it": "la le un in a gli uno ed è sono per di della nel si mio mia molto più che come tutto",
}
NEGATIONS = """
not no never without hardly isn wasn doesn didn don won cannot nicht kein keine keinen nie ohne kaum pas jamais sans
aucun aucune nunca sin ningún non mai senza nessun
"""


@lru_cache(maxsize=1)
def kindness() -> dict[str, int]:
    """1 for a kind word or sign, -1 for an unkind one."""
    return dict.fromkeys(map(_plain, UNKIND.split()), -1) | dict.fromkeys(map(_plain, KIND.split()), 1)


@lru_cache(maxsize=1)
def joining() -> frozenset[str]:
    """The words that hold sentences together, of all languages."""
    return frozenset(word for words in JOINING.values() for word in words.split())


@lru_cache(maxsize=1)
def negations() -> frozenset[str]:
    """The words that turn the next ones round."""
    return frozenset(NEGATIONS.split())


def tokens(text: str) -> list[str]:
    """The words and signs of a text in their order, in small letters; of a script without spaces pairs of its letters.

    >>> tokens("Not GOOD at all 👎, 3 stars")
    ['not', 'good', 'at', 'all', '👎', 'stars']
    """
    return [part for word in WORD.findall(_plain(text)) for part in _parts(word)]


def grams(words: Sequence[str]) -> Iterator[str]:
    """What a review's words are counted by: each word, and each with the next."""
    yield from words
    yield from (f"{one} {other}" for one, other in pairwise(words))


def listed(words: Sequence[str]) -> list[tuple[str, int]]:
    """The words of the list that a text says, in its order, each 1 as praise or -1: a negation before turns it round.

    >>> listed(["not", "good", "but", "fast"])
    [('good', -1), ('fast', 1)]
    """
    known = kindness()
    return [
        (word, -known[word] if negations().intersection(words[max(0, at - REACH) : at]) else known[word])
        for at, word in enumerate(words)
        if word in known
    ]


def balances(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Of each text, as its tokens, how many words of the list it says as praise and as complaints: (texts, 2)."""
    import numpy as np

    signs = [[sign for _, sign in listed(words)] for words in texts]
    counts = [(sum(sign > 0 for sign in of_text), sum(sign < 0 for sign in of_text)) for of_text in signs]
    return np.array(counts, dtype=float).reshape(len(texts), 2)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _parts(word: str) -> list[str]:
    if len(word) < 2 or not UNSPACED.search(word):
        return [word]
    return [word[at : at + 2] for at in range(len(word) - 1)]
