"""What people read: a customer's report, its features, pictures and their words. Pages need no script and no network.

Does not belong here: which figures are drawn of what; the stages compute them.
"""
