#!/usr/bin/env bash
# Creates the role, the database, the schema and the content of the movies example.
#
# The official PostgreSQL image runs this once, at the first start with an empty data directory,
# while its server listens on the socket alone. It may also be run by hand, as a superuser.
#
#   POSTGRES_USER, POSTGRES_DB    superuser to connect as, and a database that exists
#   LISTENER_DB, LISTENER_DB_USER, LISTENER_DB_PASSWORD    what to create
#
# The role owns the database and its tables, since whoever creates triggers must own the table,
# but it is no superuser. The password goes to psql by the environment, never onto a command line.
set -euo pipefail

: "${LISTENER_DB:?is not set: name of the database to create}"
: "${LISTENER_DB_USER:?is not set: name of the role to create}"
: "${LISTENER_DB_PASSWORD:?is not set: password of the role to create}"
export LISTENER_DB LISTENER_DB_USER LISTENER_DB_PASSWORD

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
movies="$here/movies"
[ -r "$movies/data/movies.ndjson.gz" ] || {
    echo "$movies/data/movies.ndjson.gz cannot be read: mount the whole folder sql" >&2
    exit 1
}

run_psql() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" "$@"
}

echo "movies: creating role $LISTENER_DB_USER and database $LISTENER_DB"
run_psql --dbname "${POSTGRES_DB:-postgres}" <<'SQL'
\set user `printf %s "$LISTENER_DB_USER"`
\set password `printf %s "$LISTENER_DB_PASSWORD"`
\set database `printf %s "$LISTENER_DB"`
-- Whatever the server is told to log, the next statement holds a password.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
CREATE ROLE :"user" LOGIN PASSWORD :'password';
-- Lets the listener name the session that holds its watermark back.
GRANT pg_read_all_stats TO :"user";
CREATE DATABASE :"database" OWNER :"user" TEMPLATE template0 ENCODING 'UTF8';
SQL

echo "movies: creating schema content and loading the films"
cd "$movies"
run_psql --dbname "$LISTENER_DB" --single-transaction <<'SQL'
\set user `printf %s "$LISTENER_DB_USER"`
SET ROLE :"user";
\i schema.sql
\i stage.sql
\copy pg_temp.film_line (film) FROM PROGRAM 'gzip -dc data/movies.ndjson.gz' (FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02')
\i fill.sql
SQL
run_psql --dbname "$LISTENER_DB" --tuples-only --no-align <<'SQL'
SELECT 'movies: ' || count(*) || ' films' FROM content.film_work;
SQL
