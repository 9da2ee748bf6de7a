"""One file = one kind of destination, to which predictions are brought.

Belongs here: a module that declares ``DESTINATION``, a ``Destination`` of the contract: it says what it holds, takes
rows in batches, and takes them back. A module without one is an error. Does not belong here: who may be delivered
(``nights.rules``), what was delivered (``nights``), and what several kinds share: sets of files (``file_sets``), and
what sources share with them (``transfer``). Credentials are named, never written: ``password = { env = "NAME" }``.
"""

# Modules here that are no kinds of destination.
SHARED = ("dynamodb_items", "encodings", "file_sets", "klaviyo_errors", "profiles", "redis_keys")
