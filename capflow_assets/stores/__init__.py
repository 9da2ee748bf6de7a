"""Where tables and models lie: the lake, its history and damage, written files, the model registry.

Does not belong here: what a table or a model is made of.
"""
