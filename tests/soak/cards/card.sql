-- One document for each card that is shown.
SELECT
    card.id,
    json_build_object(
        'label', card.label, 'edition', card.edition, 'price', cards.price(card.worth)
    ) AS document
FROM cards.shown AS card
WHERE card.id = ANY(%(ids)s)
