-- The index that was loaded is in use: what is parked of it is found by its alias from now on.
UPDATE {table} SET document = %(alias)s WHERE document = %(document)s
