"""Drafting: a customer's TOML out of the files that the customer sends, with a comment beside every guess.

Belongs here: samples of files and databases (``containers``, ``text_files``, ``stored``), what their columns look like
and mean (``profiles``, ``words``, ``meanings``), what table each is (``roles``, ``lines``, ``bills``, ``amounts``), the
exports of programs that are known whole (``programs``), the TOML's text (``toml_draft``), and a trial of it
(``trial``). Does not belong here: a verdict about a customer's data; landing and the checks give that. Nothing is sent
anywhere, and what the files do not tell is asked, never guessed in silence.
"""
