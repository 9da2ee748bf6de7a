"""Encoders: texts as vectors. No table of its own.

Belongs here: what makes vectors of the texts that it is handed. Does not belong here: which texts, and what is known of
them when. Pure but for the files of an encoder that a customer chose.
"""
