"""What sources and destinations share on the way to other people's systems: credentials by name.

Belongs here: what more than one kind of store or destination needs. Does not belong here: what one kind knows alone.
"""
