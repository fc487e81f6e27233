-- One document for each ticket.
SELECT ticket.id, json_build_object('label', ticket.label) AS document
FROM cards.ticket AS ticket
WHERE ticket.id = ANY(%(ids)s)
