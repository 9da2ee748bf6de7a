"""What several kinds of store share: files and where they lie, packed files, encodings, documents.

Belongs here: what more than one kind of store needs to read. Does not belong here: what one kind knows alone; this
package is no kind of store.
    storage         the files that a location means, judged and opened
    listing         which files those are; packed_files, what is packed in them
    file_origins    what a file's place says of its rows; file_exports, files as exports of a table
    arrow_frames    DataFrames of what workers read part by part
    row_search      rows found again by their values
    text_encodings  bytes that are no text in an encoding
    documents       stores of documents: one schema over all; document_batches, their rows
    shapes          the type that holds what documents have at one place
"""
