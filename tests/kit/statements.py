"""Statements that several tests share."""

from __future__ import annotations

WITHOUT_NOTIFY = """
    UPDATE content.film_work SET title = 'Unheard ' || title
    WHERE id IN (SELECT md5('film ' || n)::uuid FROM generate_series(1, 100) AS n);
    INSERT INTO content.genre (id, name)
    SELECT md5('genre ' || n)::uuid, 'Unheard ' || n FROM generate_series(13, 112) AS n;
    INSERT INTO content.genre_film_work (film_work_id, genre_id)
    SELECT md5('film ' || n)::uuid, md5('genre ' || n)::uuid FROM generate_series(13, 112) AS n;
    UPDATE content.person SET full_name = 'Unheard ' || full_name
    WHERE id IN (SELECT md5('person ' || n)::uuid FROM generate_series(1, 100) AS n);
    UPDATE content.person_film_work SET film_work_id = md5('film 200')::uuid
    WHERE id IN (SELECT md5('person link ' || n || ' 1')::uuid FROM generate_series(101, 200) AS n)
      AND NOT EXISTS (
          SELECT FROM content.person_film_work AS other
          WHERE other.film_work_id = md5('film 200')::uuid
            AND other.person_id = person_film_work.person_id
            AND other.role = person_film_work.role
      );
    DELETE FROM content.film_work
    WHERE id IN (SELECT md5('film ' || n)::uuid FROM generate_series(210, 230) AS n);
    DELETE FROM content.film_work
    WHERE id IN (SELECT md5('film ' || n)::uuid FROM generate_series(295, 300) AS n);
    DELETE FROM content.person
    WHERE id IN (SELECT md5('person ' || n)::uuid FROM generate_series(110, 115) AS n);
    DELETE FROM content.genre WHERE id = md5('genre 5')::uuid"""
"""About a hundred rows of each watched table edited or added, and some of each deleted."""
