-- One document for each card that is shown. Where the bonus is, the search_path says.
SELECT
    card.id,
    json_build_object(
        'label', card.label, 'edition', card.edition, 'price', cards.price(card.worth),
        'bonus', bonus()
    ) AS document
FROM cards.shown AS card
WHERE card.id = ANY(%(ids)s)
