-- The index is fed no longer: nothing of it is parked any more.
DELETE FROM {table} WHERE document = %(document)s
